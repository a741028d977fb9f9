// A thumbnail among its neighbours, as people meet it: on a phone's start page and in its lists, on a computer's start
// page, in its search, and in the column beside a video. A module without a framework, with feed.css beside it.
//
//   const feed = makeFeed(element, data);      draws into the element
//   feed.update(data);                         the same place and order, other videos
//   feed.remove();
//
// data: {variants: [video, ...],               one's own, one to three: each gets a page of its own, the rest alike
//        neighbours: [video, ...],             up to eight are shown; more are used to mislead in the glance test
//        place, dark, measures}                where it begins: 'phone', 'list', 'home', 'search' or 'side'; true for a
//                                              dark page; sentences to show below, measured elsewhere
// video: {image,                               a data: or blob: address
//         title, channel, about, length,       texts; about as '12K views', length as '12:34'
//         watched, label}                      share of the red bar, 0 to 1; what to call a variant
//
// Texts are shown as texts, whatever is in them. In a notebook anywidget calls `render`; the data are its trait `feed`.
// On a page of its own, also one opened from a disk: put this file's text into <script type="module">, and the lines
// that call makeFeed after it.

const PLACES = {phone: 'Phone', list: 'Phone list', home: 'Computer', search: 'Search', side: 'Beside a video'};
const NEIGHBOURS = 8, GLANCE = 1000; // videos beside one's own; milliseconds
let made = 0; // a number for the names of its choices

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function picture(video, alt) {
  const image = make('img', {alt, draggable: 'false'});
  if (/^(data:image\/|blob:)/.test(video.image ?? '')) image.src = video.image;
  return image;
}

function shuffled(items) {
  const mixed = [...items];
  for (let i = mixed.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [mixed[i], mixed[j]] = [mixed[j], mixed[i]];
  }
  return mixed;
}

// A video

function makeThumb(video) {
  const thumb = make('span', {class: 'feed-thumb'}, picture(video, ''));
  if (video.length) thumb.append(make('span', {class: 'feed-length'}, video.length));
  if (video.watched > 0) {
    const bar = make('span', {class: 'feed-watched'});
    bar.style.width = `${Math.min(1, video.watched) * 100}%`;
    thumb.append(make('span', {class: 'feed-rest'}), bar);
  }
  return thumb;
}

function makeVideo(video, mine) {
  const channel = video.channel ?? '', face = make('span', {class: 'feed-face', 'aria-hidden': 'true'});
  face.textContent = [...channel.trim()][0]?.toUpperCase() ?? '';
  face.style.setProperty('--hue', [...channel].reduce((sum, letter) => sum + 37 * letter.codePointAt(0), 0) % 360);
  const quiet = [channel, video.about].filter(Boolean).map(text => make('span', {class: 'feed-quiet'}, text));
  const title = make('span', {class: 'feed-title', dir: 'auto'}, video.title ?? '');
  const words = make('span', {class: 'feed-words'}, title, ...quiet);
  const about = make('span', {class: 'feed-about'}, face, words);
  return make('div', {class: mine ? 'feed-video feed-mine' : 'feed-video', role: 'listitem'}, makeThumb(video), about);
}

// A page of videos for each variant

function makeScreen(variant, neighbours, {place, dark, slot, marked}) {
  const videos = neighbours.map(video => makeVideo(video, false));
  videos.splice(Math.min(slot, videos.length), 0, makeVideo(variant, true));
  const kind = `feed-screen ${place} ${dark ? 'dark' : 'light'}${marked ? ' feed-marked' : ''}`;
  const label = `${PLACES[place]}, ${dark ? 'dark' : 'light'}`;
  return make('div', {class: kind, tabindex: '0', role: 'list', 'aria-label': label}, ...videos);
}

function choices(legend, options, chosen, choose) { // radio buttons in a row
  const name = `feed-${++made}`, set = make('fieldset', {}, make('legend', {class: 'feed-legend'}, legend));
  for (const [value, text] of Object.entries(options)) {
    const input = make('input', {type: 'radio', name, value});
    input.checked = value == chosen;
    input.onchange = () => choose(value);
    set.append(make('label', {class: 'feed-choice'}, input, text));
  }
  return set;
}

function button(text, work, kind = '') {
  const element = make('button', {type: 'button', class: kind}, text);
  element.onclick = work;
  return element;
}

// The glance test

const wait = ms => new Promise(done => setTimeout(done, ms));

function inSight(screen) { // numbers of the videos of whose picture at least half is to be seen
  const frame = screen.getBoundingClientRect();
  return [...screen.querySelectorAll('.feed-thumb')].flatMap((thumb, i) => {
    const box = thumb.getBoundingClientRect();
    return Math.min(box.bottom, frame.bottom) - Math.max(box.top, frame.top) >= box.height / 2 ? [i] : [];
  });
}

async function flash(screen) { // shows a page for a second; at the end it stays hidden
  screen.scrollTop = 0;
  screen.classList.add('feed-blank');
  await wait(1200);
  screen.classList.remove('feed-blank');
  await wait(GLANCE);
  screen.classList.add('feed-blank', 'feed-hidden');
}

function makeTicks(videos) { // pictures to tick
  return videos.map((video, i) => {
    const input = make('input', {type: 'checkbox', 'aria-label': `Picture ${i + 1}: ${video.title ?? ''}`});
    return make('label', {class: 'feed-tick'}, input, picture(video, ''));
  });
}

function verdict(asked, ticked) { // asked: [{shown, mine}]; ticked: booleans
  const of = want => asked.map((video, i) => want(video) ? ticked[i] : null).filter(tick => tick != null);
  const count = ticks => `${ticks.filter(Boolean).length} of ${ticks.length}`;
  const shown = of(video => video.shown), absent = of(video => !video.shown), [mine] = of(video => video.mine);
  const false_ = absent.length ? `, and ${count(absent)} that were not` : '';
  return `You ticked ${count(shown)} that were shown${false_}. ` +
    `Yours was ${mine ? 'among them' : 'not among them'}. ` +
    'You know your own picture: somebody who has never seen it is the better judge, and one glance is one glance.';
}

// All of it

export function makeFeed(element, data) {
  const state = {place: data.place in PLACES ? data.place : 'list', dark: !!data.dark, slot: 1, marked: false};
  const root = make('div', {class: 'mlc-feed'}), screens = make('div', {class: 'feed-screens'});
  const test = make('div'), measures = make('ul', {class: 'feed-measures'});
  let order = [], running = 0;

  function draw() {
    running++; // a test in progress ends here
    test.replaceChildren();
    const variants = (data.variants ?? []).slice(0, 3), shown = order.slice(0, NEIGHBOURS);
    screens.replaceChildren(...variants.map((variant, i) => {
      const caption = make('figcaption', {}, variant.label ?? `Variant ${'ABC'[i]}`);
      return make('figure', {}, ...(variants.length > 1 ? [caption] : []), makeScreen(variant, shown, state));
    }));
    measures.replaceChildren(...(data.measures ?? []).map(text => make('li', {}, text)));
    measures.hidden = !measures.children.length;
  }

  function ask(variant, screen) { // what was seen?
    const seen = inSight(screen).map(i => [...screen.children][i].feedVideo);
    const absent = order.filter(video => !seen.includes(video)).slice(0, Math.max(4, seen.length));
    const asked = shuffled([...seen, ...absent]), ticks = makeTicks(asked);
    screens.replaceChildren();
    const done = button('That is all', () => {
      const ticked = ticks.map(tick => tick.querySelector('input').checked);
      const about = asked.map(video => ({shown: seen.includes(video), mine: video == variant}));
      draw();
      test.replaceChildren(make('p', {role: 'status'}, verdict(about, ticked)));
    }, 'feed-first');
    test.replaceChildren(make('p', {}, 'Which of these did you see? Tick them.'),
                         make('div', {class: 'feed-ticks'}, ...ticks), done);
    ticks[0]?.querySelector('input').focus({preventScroll: true});
  }

  async function glance() { // one variant, by lot, so that nobody knows which
    const variants = (data.variants ?? []).slice(0, 3), i = Math.floor(Math.random() * variants.length);
    if (!variants.length) return;
    order = shuffled(order);
    state.slot = Math.floor(Math.random() * (state.place == 'phone' ? 2 : 4));
    draw();
    const mine = ++running, figure = screens.children[i], screen = figure.querySelector('.feed-screen');
    const videos = [...order.slice(0, NEIGHBOURS)];
    videos.splice(Math.min(state.slot, videos.length), 0, variants[i]);
    [...screen.children].forEach((child, j) => child.feedVideo = videos[j]);
    screens.replaceChildren(figure);
    figure.querySelector('figcaption')?.remove();
    await flash(screen);
    if (mine == running) ask(variants[i], screen);
  }

  function update(newer) {
    data = newer;
    order = [...(data.neighbours ?? [])];
    draw();
  }

  const mark = button('Mark mine', () => {
    state.marked = !state.marked;
    mark.setAttribute('aria-pressed', state.marked);
    draw();
  });
  const tools = make('div', {class: 'feed-tools'},
    choices('Place', PLACES, state.place, place => { state.place = place; draw(); }),
    choices('Page', {light: 'Light', dark: 'Dark'}, state.dark ? 'dark' : 'light',
            page => { state.dark = page == 'dark'; draw(); }),
    button('Another order', () => {
      order = shuffled(order);
      state.slot = Math.floor(Math.random() * 4);
      draw();
    }),
    mark,
    button('Glance test', glance, 'feed-first'));
  root.append(tools, screens, test, measures);
  element.append(root);
  update(data);
  return {update, remove: () => { running++; root.remove(); }};
}

function render({model, el}) {
  el.setAttribute('data-lm-suppress-shortcuts', 'true');
  el.onkeydown = event => event.stopPropagation(); // or an arrow moves to the next cell of the notebook
  const feed = makeFeed(el, model.get('feed')), update = () => feed.update(model.get('feed'));
  model.on('change:feed', update);
  return () => {
    model.off('change:feed', update);
    feed.remove();
  };
}

export default {render};
