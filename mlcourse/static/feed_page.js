// The page that puts a visitor's thumbnail into a feed; what the feed looks like is in feed.js.

import {makeFeed} from './feed.js';

const at = id => document.getElementById(id), NEIGHBOURS = 8;
const data = await (await fetch('feed.json')).json(), [mine] = data.variants;
const feed = makeFeed(at('feed'), data);

function say(text, wrong = false) {
  at('message').textContent = text;
  at('message').classList.toggle('mlc-wrong', wrong);
}

async function address(file) { // of a picture that the browser can show
  try { (await createImageBitmap(file)).close(); }
  catch { throw new Error(`${file.name} cannot be read as a picture by this browser; save it as JPEG or PNG.`); }
  return URL.createObjectURL(file);
}

const named = file => file.name.replace(/\.\w+$/, '').replaceAll('_', ' ');

async function chooseMine(file) {
  mine.image = await address(file);
  say(`${file.name} is in the feed.`);
}

async function chooseNeighbours(files) { // their names become titles
  const videos = [];
  for (const file of files) videos.push({image: await address(file), title: named(file), channel: '', length: ''});
  data.neighbours = videos;
  const more = files.length > NEIGHBOURS ? `; ${NEIGHBOURS} are shown, the others mislead in the glance test` : '';
  say(`${files.length} ${files.length == 1 ? 'neighbour' : 'neighbours'}${more}.`);
}

async function take(choose, chosen) {
  if (!chosen) return;
  try { await choose(chosen); }
  catch (error) { say(error.message, true); }
  feed.update(data);
}

function follow(input, choose, pick) {
  input.onchange = () => {
    take(choose, pick([...input.files]));
    input.value = ''; // so that the same file can be chosen again
  };
}

follow(at('mine'), chooseMine, ([file]) => file);
follow(at('neighbours'), chooseNeighbours, files => files.length ? files : null);
for (const name of ['title', 'channel', 'length']) {
  at(name).value = mine[name];
  at(name).oninput = () => {
    mine[name] = at(name).value;
    feed.update(data);
  };
}
const ways = at('ways'), over = on => event => {
  event.preventDefault();
  ways.classList.toggle('mlc-over', on);
};
ways.ondragover = over(true);
ways.ondragleave = over(false);
ways.ondrop = event => {
  over(false)(event);
  const files = [...event.dataTransfer.files];
  take(files.length == 1 ? chooseMine : chooseNeighbours, files.length == 1 ? files[0] : files.length ? files : null);
};
document.documentElement.dataset.ready = 'yes'; // the page listens
