// The browser's half of the language app's player: a clip to hear and to see.
// A line moves over the picture while the clip plays, and a click on the picture jumps there.

function render({model, el}) {
  const audio = document.createElement('audio'), picture = document.createElement('div');
  let url = null;
  const move = () => {
    const cursor = picture.querySelector('.mlc-cursor');
    if (!cursor) return;
    cursor.hidden = audio.currentTime == 0;
    cursor.style.left = `${Math.min(100, 100 * audio.currentTime / model.get('seconds'))}%`;
    if (!audio.paused) requestAnimationFrame(move);
  };
  const free = () => {
    audio.pause();
    if (url) URL.revokeObjectURL(url);
  };
  const jump = event => {
    const box = event.currentTarget.getBoundingClientRect();
    audio.currentTime = model.get('seconds') * Math.max(0, (event.clientX - box.left) / box.width);
  };
  const show = () => {
    free();
    picture.innerHTML = model.get('picture');
    const sound = model.get('sound'), plot = picture.querySelector('.mlc-plot');
    if (!sound.byteLength) return;
    audio.src = url = URL.createObjectURL(new Blob([sound], {type: 'audio/flac'}));
    if (plot) plot.onclick = jump;
  };
  audio.controls = true;
  audio.setAttribute('aria-label', 'The clip, as the detector hears it');
  audio.onplay = audio.onseeked = move;
  model.on('change:picture', show);
  el.append(audio, picture);
  show();
  return () => {
    free();
    model.off('change:picture', show);
  };
}

export default {render};
