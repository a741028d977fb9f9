// The browser's half of mlcourse.widgets. A widget's `part` says which of the three it is:
// 'upload', 'recorder' or 'button'.

// What all three use

const CHUNK = 1 << 20; // bytes; the server cuts the connection at a message of 10 MB

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

async function sendFile(model, view, file, name, first) {
  const refused = file.size > model.get('max_mb') * 1e6, about = {view, name, first, size: file.size};
  if (refused) return model.send({...about, start: true, last: true, refused}, undefined, []);
  const count = Math.max(1, Math.ceil(file.size / CHUNK));
  for (let i = 0; i < count; i++) {
    const chunk = await file.slice(i * CHUNK, (i + 1) * CHUNK).arrayBuffer();
    model.send({...about, start: i == 0, last: i == count - 1}, undefined, [chunk]);
  }
}

function follow(model, status) { // shows Python's sentence
  const show = () => {
    status.textContent = model.get('message');
    status.classList.toggle('mlc-wrong', model.get('wrong'));
  };
  model.on('change:message change:wrong', show);
  show();
  return () => model.off('change:message change:wrong', show);
}

function ownKeys(el, tries = 50) { // the element may not be on the page yet
  const app = el.closest('.mlc-app');
  if (!app) return tries && setTimeout(() => ownKeys(el, tries - 1), 100);
  app.setAttribute('data-lm-suppress-shortcuts', 'true');
  app.onkeydown = event => event.stopPropagation(); // or an arrow in a list moves to the next cell
}

// A place to drop files

function renderUpload({model, el}) {
  const view = String(Math.random()), multiple = model.get('multiple');
  const hint = make('span', {class: 'mlc-quiet', id: 'hint' + view});
  const status = make('p', {class: 'mlc-message', role: 'status'});
  const input = make('input', {type: 'file', 'aria-describedby': hint.id, accept: model.get('accept')});
  const button = make('label', {class: 'mlc-button'}, model.get('label'), input);
  const box = make('div', {class: 'mlc-drop'}, make('div', {class: 'mlc-row'}, button, hint), status);
  input.multiple = multiple;
  const limit = `up to ${model.get('max_mb')} MB`;
  hint.textContent = multiple ? `or drop them here; ${limit} each` : `or drop it here; ${limit}`;

  const sendOne = (file, first) => {
    status.classList.remove('mlc-wrong');
    status.textContent = `Reading ${file.name} …`;
    return sendFile(model, view, file, file.name, first).catch(() =>
      status.textContent = `${file.name} cannot be read from the disk; choose it again.`);
  };
  let queue = Promise.resolve();
  const send = files => [...files].slice(0, multiple ? undefined : 1).forEach((file, i) =>
    queue = queue.then(() => sendOne(file, i == 0)));
  input.onchange = () => {
    send(input.files);
    input.value = ''; // emptied, so that the same file can be chosen again
  };
  box.ondragover = event => {
    event.preventDefault();
    box.classList.add('mlc-over');
  };
  box.ondragleave = () => box.classList.remove('mlc-over');
  box.ondrop = event => {
    event.preventDefault();
    box.classList.remove('mlc-over');
    send(event.dataTransfer.files);
  };
  el.append(box);
  ownKeys(el);
  return follow(model, status);
}

// A microphone

const WHY = {
  NotAllowedError: 'The browser may not use the microphone: allow it beside the address of this page, then try again.',
  NotFoundError: 'No microphone was found: plug one in, or upload a recording.',
  NotReadableError: 'The microphone gives no sound: close other programs that use it, then try again.',
};
const NO_DEVICES =
  'A page may use the microphone only at localhost or over https: open it there, or upload a recording.';

function openMicrophone() {
  if (!navigator.mediaDevices) throw new Error(NO_DEVICES);
  const audio = {autoGainControl: false, echoCancellation: false, noiseSuppression: false};
  return navigator.mediaDevices.getUserMedia({audio});
}

function watchLevel(stream, show) { // calls show ten times a second with dB below full scale
  const context = new AudioContext(), analyser = context.createAnalyser();
  const wave = new Float32Array(analyser.fftSize);
  context.createMediaStreamSource(stream).connect(analyser);
  const timer = setInterval(() => {
    analyser.getFloatTimeDomainData(wave);
    show(10 * Math.log10(wave.reduce((sum, x) => sum + x * x, 0) / wave.length + 1e-9));
  }, 100);
  return () => {
    clearInterval(timer);
    context.close();
  };
}

function startRecording(stream, finish) { // finish(blob, name) is called at the end
  const recorder = new MediaRecorder(stream), parts = [], kind = /webm|mp4|ogg/.exec(recorder.mimeType) ?? ['webm'];
  recorder.ondataavailable = event => parts.push(event.data);
  recorder.onstop = () => finish(new Blob(parts), `recording.${kind[0]}`);
  recorder.start();
  return recorder;
}

function makeMeter() { // an element, and a function that shows a level in it, in dB
  const fill = make('div'), word = make('span', {class: 'mlc-quiet'});
  const meter = make('div', {class: 'mlc-level', role: 'meter', 'aria-label': 'Level of the microphone',
                             'aria-valuemin': -60, 'aria-valuemax': 0}, fill);
  const show = dB => {
    fill.style.width = `${Math.min(100, Math.max(0, (dB + 60) / 60 * 100))}%`;
    meter.setAttribute('aria-valuenow', Math.round(dB));
    word.textContent = dB < -50 ? 'very quiet' : dB > -6 ? 'too loud' : 'good level';
  };
  return [[meter, word], show];
}

function renderRecorder({model, el}) {
  const view = String(Math.random()), label = model.get('label');
  const status = make('p', {class: 'mlc-message', role: 'status'});
  const button = make('button', {class: 'mlc-button', type: 'button'}, label);
  const [meter, showLevel] = makeMeter(), left = make('span', {class: 'mlc-quiet', role: 'timer'});
  const live = make('div', {class: 'mlc-row'}, ...meter, left);
  const say = (text, wrong = false) => {
    status.textContent = text;
    status.classList.toggle('mlc-wrong', wrong);
  };

  let stop = null, gone = false; // stop() ends a recording that is going on
  const finish = (blob, name) => {
    if (gone) return;
    say('Reading the recording …');
    sendFile(model, view, blob, name, true);
  };
  const begin = async () => {
    const stream = await openMicrophone(), end = Date.now() + model.get('seconds') * 1000;
    const unwatch = watchLevel(stream, showLevel), recorder = startRecording(stream, finish);
    const tick = () => {
      left.textContent = `${Math.max(0, Math.ceil((end - Date.now()) / 1000))} s left`;
      if (Date.now() > end) stop();
    };
    const timer = setInterval(tick, 200);
    stop = () => {
      stop = null;
      recorder.stop();
      unwatch();
      clearInterval(timer);
      stream.getTracks().forEach(track => track.stop());
      live.hidden = true;
      button.textContent = label;
    };
    live.hidden = false;
    button.textContent = 'Stop';
    say('Listening: speak now.');
    tick();
  };
  button.onclick = () => {
    if (stop) return stop();
    button.disabled = true;
    Promise.resolve().then(begin).catch(error => say(WHY[error.name] ?? error.message, true))
      .finally(() => button.disabled = false);
  };
  live.hidden = true;
  el.append(make('div', {class: 'mlc-row'}, button, live), status);
  ownKeys(el);
  const unfollow = follow(model, status);
  return () => {
    gone = true;
    stop?.();
    unfollow();
  };
}

// A button, which can also save a file that Python sends

function saveFile(name, buffers) {
  const link = make('a', {href: URL.createObjectURL(new Blob(buffers)), download: name});
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function renderButton({model, el}) {
  const status = make('span', {class: 'mlc-message', role: 'status'});
  const button = make('button', {class: 'mlc-button mlc-plain', type: 'button'}, model.get('label'));
  let asked = false; // another view of this widget may have asked
  const rest = () => button.disabled = model.get('busy');
  const save = (content, buffers) => {
    if (asked) saveFile(content.name, buffers);
    asked = false;
  };
  button.onclick = () => {
    asked = true;
    model.send({});
  };
  model.on('msg:custom', save);
  model.on('change:busy', rest);
  el.append(make('div', {class: 'mlc-row'}, button, status));
  ownKeys(el);
  const unfollow = follow(model, status);
  return () => {
    model.off('msg:custom', save);
    model.off('change:busy', rest);
    unfollow();
  };
}

const PARTS = {upload: renderUpload, recorder: renderRecorder, button: renderButton};

export {make, makeMeter, openMicrophone, startRecording, watchLevel, WHY};

export default {render: context => PARTS[context.model.get('part')](context)};
