// The page that hears a person say a sentence, or takes a clip, and says which language it is.

import {prepare} from './detector.js';
import {make, makeMeter, openMicrophone, startRecording, watchLevel, WHY} from './widgets.js';

const at = id => document.getElementById(id);
const about = await (await fetch('detector.json')).json();

function say(text, wrong = false) {
  at('message').textContent = text;
  at('message').classList.toggle('mlc-wrong', wrong);
}

// The detector, in a thread of its own; it loads while the visitor reads

const worker = new Worker('detect_worker.js', {type: 'module'}), waiting = new Map();
let broken = null;

worker.onmessage = ({data: {id, answer, error, progress, ready}}) => {
  if (progress) at('progress').value = progress;
  if (ready || error && !id) at('progress').hidden = true;
  if (error && !id) say(broken = error, true);
  if (error && !id) waiting.forEach(({fail}) => fail(new Error(error)));
  if (!id) return;
  const {done, fail} = waiting.get(id);
  waiting.delete(id);
  if (error) fail(new Error(error));
  else done(answer);
};

function ask(samples) { // -> the answer
  if (broken) throw new Error(broken);
  return new Promise((done, fail) => {
    const id = String(Math.random());
    waiting.set(id, {done, fail});
    worker.postMessage({id, samples});
  });
}

// Any recording that the browser can decode -> samples at 16 kHz

function ownRate(bytes) { // the sample rate that a file names, so that the browser need not resample; 0 if unknown
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const text = new TextDecoder('latin1').decode(bytes.subarray(0, 1 << 16)), starts = text.slice(0, 4);
  const after = mark => text.indexOf(mark) < 0 ? NaN : text.indexOf(mark) + mark.length;
  if (starts == 'RIFF' && after('fmt ')) return view.getUint32(after('fmt ') + 8, true);
  if (starts == 'fLaC') return view.getUint32(18) >> 12 & 0xfffff;
  if (starts == 'OggS' && after('\x01vorbis')) return view.getUint32(after('\x01vorbis') + 5, true);
  if (starts == 'OggS' || starts == '\x1aE\xdf\xa3') return 48000; // Opus, which browsers record too
  if (text.slice(4, 8) == 'ftyp') {
    const whole = new TextDecoder('latin1').decode(bytes), entry = whole.indexOf('mp4a', whole.indexOf('stsd'));
    return entry < 0 ? 0 : view.getUint16(entry + 28);
  }
  const tag = text.startsWith('ID3') ? 10 + [6, 7, 8, 9].reduce((size, i) => size * 128 + bytes[i], 0) : 0;
  if (bytes[tag] == 0xff && (bytes[tag + 1] & 0xe6) == 0xe2) { // MP3: MPEG 1, 2, 2.5
    const rate = [44100, 48000, 32000][bytes[tag + 2] >> 2 & 3];
    return rate / {3: 1, 2: 2, 0: 4}[bytes[tag + 1] >> 3 & 3] || 0;
  }
  return 0;
}

async function decode(blob, name) { // -> [samples, warnings]
  const buffer = await blob.arrayBuffer(), rate = ownRate(new Uint8Array(buffer)) || 48000;
  let sound;
  try { sound = await new OfflineAudioContext(1, 1, rate).decodeAudioData(buffer); }
  catch { throw new Error(`${name} cannot be read as a recording by this browser; try another clip.`); }
  const channels = Array.from({length: sound.numberOfChannels}, (_, i) => sound.getChannelData(i));
  const used = channels.map(channel => channel.subarray(0, (about.MAX_SECONDS + 1) * rate));
  if (!used[0].length) throw new Error(`${name} holds no sound; record it again.`);
  return prepare(used, rate, about);
}

export async function hear(blob, name) { // -> {answer, samples}
  const [samples, warnings] = await decode(blob, name), answer = await ask(samples);
  answer.warnings.push(...warnings);
  return {answer, samples};
}

// What is shown of a clip

const nameOf = language => about.names[language] ?? language;
const percent = share => share > 0.995 ? '>99%' : share < 0.005 ? '<1%' : `${Math.round(100 * share)}%`;

function wav(samples) { // a file that every browser plays
  const numbers = Int16Array.from(samples, x => Math.round(32767 * x)), head = new DataView(new ArrayBuffer(44));
  const rate = about.SAMPLE_RATE, size = numbers.byteLength;
  const write = (place, text) => [...text].forEach((c, i) => head.setUint8(place + i, c.charCodeAt(0)));
  write(0, 'RIFF'); write(8, 'WAVEfmt '); write(36, 'data');
  [[4, 36 + size], [16, 16], [24, rate], [28, 2 * rate], [40, size]].forEach(([i, x]) => head.setUint32(i, x, true));
  [[20, 1], [22, 1], [32, 2], [34, 16]].forEach(([i, x]) => head.setUint16(i, x, true));
  return new Blob([head, numbers], {type: 'audio/wav'});
}

function headline({language, segments}) { // of a clip of more than one language: those heard, in turn
  if (language != 'mixed') return nameOf(language);
  const heard = segments.map(s => s.language).filter(name => name != 'unsure');
  const names = heard.filter((name, i) => name != heard[i - 1]).map(nameOf);
  return names.length < 4 ? names.join(', then ') : `${[...new Set(names)].join(' and ')}, in turns`;
}

function answerParts(answer) {
  const {language, probabilities, confidence, warnings} = answer;
  const sure = language in probabilities, number = sure ? percent(probabilities[language]) : '';
  const bars = Object.entries(probabilities).map(([name, p]) => {
    const fill = make('span');
    fill.style.width = `${100 * p}%`;
    return make('div', {class: 'mlc-chance'}, make('span', {}, nameOf(name)),
                make('span', {class: 'mlc-bar'}, fill), make('span', {}, percent(p)));
  });
  const word = make('div', {class: 'mlc-word'}, `${headline(answer)} `, make('span', {}, number));
  const large = make('div', {class: 'mlc-answer'}, word, make('div', {class: 'mlc-chances'}, ...bars));
  const trust = language == 'unsure' ?
    `Confidence in the likelier one: ${percent(confidence)}. That is too little for an answer. It says something ` +
    'about the detector, and nothing about how well anybody speaks.' :
    `Confidence that this answer is right: ${percent(confidence)}.`;
  const notes = warnings.map(text => make('p', {class: 'mlc-note'}, `Note: ${text}.`));
  return [large, make('p', {class: 'mlc-quiet'}, trust), ...notes];
}

function box(kind, start, end, seconds, text = '') { // over part of the clip
  const element = make('span', {class: kind, title: text}, text);
  element.style.left = `${100 * start / seconds}%`;
  element.style.width = `${100 * Math.max(end - start, 0) / seconds}%`;
  return element;
}

function lane(kind, parts, label) {
  return make('div', {class: `mlc-lane ${kind}`}, make('span', {class: 'mlc-gutter'}, label), ...parts);
}

function wave(samples) { // a drawing that can be stretched, as loud as it can be
  const n = Math.min(600, samples.length);
  const top = samples.reduce((most, x) => Math.max(most, Math.abs(x)), 0.01);
  const columns = Array.from({length: n}, (_, i) =>
    samples.subarray(Math.floor(i * samples.length / n), Math.floor((i + 1) * samples.length / n)));
  const edge = best => columns.map((column, i) => `${i},${50 - 48 / top * column.reduce((a, x) => best(a, x))}`);
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('viewBox', `0 0 ${n - 1} 100`);
  svg.setAttribute('preserveAspectRatio', 'none');
  const shape = document.createElementNS(svg.namespaceURI, 'polygon');
  shape.setAttribute('points', [...edge(Math.max), ...edge(Math.min).reverse()].join(' '));
  svg.append(shape);
  return svg;
}

function ticks(seconds) {
  const step = [0.2, 0.5, 1, 2, 5, 10, 20, 30].find(s => seconds / s <= 6) ?? 60;
  return Array.from({length: Math.floor(seconds / step) + 1}, (_, i) => {
    const tick = make('span', {}, i ? String(+(i * step).toFixed(1)) : '0 s');
    tick.style.left = `${100 * i * step / seconds}%`;
    return tick;
  });
}

function timeline({segments, spoken}, samples, audio) {
  const seconds = samples.length / about.SAMPLE_RATE, cursor = make('div', {class: 'mlc-cursor', hidden: ''});
  const text = segments.map(s => `${nameOf(s.language)} from ${s.start_s.toFixed(1)} to ${s.end_s.toFixed(1)} s`);
  const plot = make('div', {class: 'mlc-plot', role: 'img', 'aria-label': `Waveform. ${text.join(', ')}.`},
    lane('mlc-wave', [wave(samples)], 'sound'),
    lane('mlc-speech', spoken.map(([a, b]) => box('mlc-span', a, b, seconds)), 'speech'),
    lane('mlc-segments', segments.map(s => box(`mlc-segment mlc-${s.language}`, s.start_s, s.end_s, seconds,
                                               nameOf(s.language))), 'answer'),
    make('div', {class: 'mlc-ticks'}, ...ticks(seconds)), cursor);
  const move = () => {
    cursor.hidden = audio.currentTime == 0;
    cursor.style.left = `${Math.min(100, 100 * audio.currentTime / seconds)}%`;
    if (!audio.paused) requestAnimationFrame(move);
  };
  audio.onplay = audio.onseeked = move;
  plot.onclick = event => {
    const place = plot.getBoundingClientRect();
    audio.currentTime = seconds * Math.max(0, (event.clientX - place.left) / place.width);
  };
  return plot;
}

let address = null; // of the sound that is shown

function show({answer, samples}) {
  if (address) URL.revokeObjectURL(address);
  address = URL.createObjectURL(wav(samples));
  const audio = make('audio', {controls: '', src: address, 'aria-label': 'The clip, as the detector hears it'});
  at('result').replaceChildren(...answerParts(answer), audio, timeline(answer, samples, audio));
}

// The ways in

let latest = 0; // of two clips in a row, the later one is shown

async function tryClip(blob, name) {
  const mine = ++latest;
  say(`Listening to ${name}${at('progress').hidden ? '' : ' as soon as the detector is loaded'} …`);
  try {
    const heard = await hear(blob, name);
    if (mine != latest) return;
    show(heard);
    say(`${name}: ${nameOf(heard.answer.language)}.`);
  } catch (error) { if (mine == latest) say(error.message, true); }
}

let stop = null; // ends the recording that is going on

async function record() {
  const stream = await openMicrophone(), [meter, showLevel] = makeMeter(), end = Date.now() + 20_000;
  const left = make('span', {class: 'mlc-quiet', role: 'timer'}), unwatch = watchLevel(stream, showLevel);
  const recorder = startRecording(stream, blob => tryClip(blob, 'your recording'));
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
    at('live').hidden = true;
    at('record').textContent = 'Say something';
    at('record').classList.remove('mlc-stop');
  };
  at('live').replaceChildren(...meter, left);
  at('live').hidden = false;
  at('record').textContent = 'Stop';
  at('record').classList.add('mlc-stop');
  say('Listening: speak now, three seconds or more.');
}

at('record').onclick = () => {
  if (stop) return stop();
  record().catch(error => say(WHY[error.name] ?? error.message, true));
};
at('file').onchange = ({target}) => {
  const [file] = target.files;
  if (file) tryClip(file, file.name);
  target.value = ''; // so that the same file can be chosen again
};
const ways = at('ways'), over = on => event => {
  event.preventDefault();
  ways.classList.toggle('mlc-over', on);
};
ways.ondragover = over(true);
ways.ondragleave = over(false);
ways.ondrop = event => {
  over(false)(event);
  const [file] = event.dataTransfer.files;
  if (file) tryClip(file, file.name);
};
for (const [label, file] of Object.entries(about.examples)) at('examples').append(make('option', {value: file}, label));
at('examples').onchange = async ({target: {value, selectedOptions: [option]}}) => {
  if (value) tryClip(await (await fetch(value)).blob(), option.textContent);
};
document.documentElement.dataset.ready = 'yes'; // the page listens
