// The detector in a browser: what nbs/language/01_audio to 03_vad, 08_calibration and 09_detector do in Python, with
// the names of their functions. What has a name there comes in `about`, and what was learned in the weights' own file.

// The weights: a .safetensors file with the graph, the last layers, and the card

const TYPES = {F32: Float32Array, U8: Uint8Array};

export function readWeights(buffer) { // ArrayBuffer -> {card, graph, layers: {name: {shape, values}}}
  const start = 8 + Number(new DataView(buffer).getBigUint64(0, true));
  const {__metadata__: about, ...entries} = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, start - 8)));
  const layers = {};
  for (const [name, {dtype, shape, data_offsets: [from, to]}] of Object.entries(entries)) {
    if (!TYPES[dtype]) throw new Error(`The weights hold ${name} as ${dtype}, which this page cannot read.`);
    layers[name] = {shape, values: new TYPES[dtype](buffer.slice(start + from, start + to))};
  }
  const {graph, ...rest} = layers;
  return {card: JSON.parse(about.card), graph: graph.values, layers: rest};
}

// Numbers

const sum = values => values.reduce((total, x) => total + x, 0);
const energy = values => values.reduce((total, x) => total + x * x, 0);
const sigmoid = x => 1 / (1 + Math.exp(-x));
const logSigmoid = x => Math.min(x, 0) - Math.log1p(Math.exp(-Math.abs(x)));
const largest = values => values.reduce((a, b) => Math.max(a, b), -Infinity);
const indexOfLargest = values => values.indexOf(largest(values));

function softmax(values) {
  const top = largest(values), powers = values.map(x => Math.exp(x - top)), total = sum(powers);
  return powers.map(x => x / total);
}

function quantile(values, share) { // between two values on the straight line
  const sorted = Float64Array.from(values).sort(), at = share * (sorted.length - 1), low = Math.floor(at);
  return sorted[low] + (at - low) * (sorted[Math.min(low + 1, sorted.length - 1)] - sorted[low]);
}

function interpolate(x, xs, ys) { // beyond the ends, the value there
  const i = xs.findIndex(at => at > x);
  if (i <= 0) return i < 0 ? ys.at(-1) : ys[0];
  return ys[i - 1] + (ys[i] - ys[i - 1]) * (x - xs[i - 1]) / (xs[i] - xs[i - 1]);
}

function linspace(from, to, n) {
  return Array.from({length: n}, (_, i) => n > 1 ? from + i * (to - from) / (n - 1) : from);
}

function roundToEven(x) { // halves to the even number, as NumPy does
  const low = Math.floor(x);
  return x - low == 0.5 ? low + low % 2 : Math.round(x);
}

function mirrored(i, n) { // an index beyond the ends, mirrored at them
  const at = ((i % (2 * n)) + 2 * n) % (2 * n);
  return at < n ? at : 2 * n - 1 - at;
}

// Samples

function toMono(channels, about) { // Float32Arrays -> [samples, warnings]
  if (channels.length == 1) return [channels[0], []];
  const mono = channels[0].map((_, i) => sum(channels.map(channel => channel[i])) / channels.length);
  const each = channels.map(energy);
  if (energy(mono) >= 0.1 * sum(each) / channels.length ** 2) return [mono, []];
  return [channels[indexOfLargest(each)], [about.CANCELLED]];
}

function bessel(x) { // I0, of which Kaiser's window is made
  let term = 1, total = 1;
  for (let k = 1; term > 1e-12 * total; k++) total += term *= (x / 2 / k) ** 2;
  return total;
}

const greatestDivisor = (a, b) => b ? greatestDivisor(b, a % b) : a;

export function resample(samples, rate, wanted) { // through a low-pass: passes 0.913 of the band, stops 100 dB above it
  if (rate == wanted) return samples;
  const divisor = greatestDivisor(rate, wanted), phases = wanted / divisor, step = rate / divisor;
  const part = Math.min(1, wanted / rate), cutoff = 0.957 * part, beta = 10.06, scale = bessel(beta);
  const half = Math.ceil(74 / part), out = new Float32Array(Math.round(samples.length * wanted / rate));
  const filters = Array.from({length: phases}, (_, phase) => Float64Array.from({length: 2 * half}, (_, i) => {
    const x = i - half + 1 - phase / phases, angle = Math.PI * cutoff * x;
    const window = Math.abs(x) < half ? bessel(beta * Math.sqrt(1 - (x / half) ** 2)) / scale : 0;
    return cutoff * window * (angle ? Math.sin(angle) / angle : 1);
  }));
  for (let n = 0; n < out.length; n++) {
    const first = Math.floor(n * step / phases) - half + 1, filter = filters[n * step % phases];
    const end = Math.min(2 * half, samples.length - first);
    let total = 0;
    for (let i = Math.max(0, -first); i < end; i++) total += filter[i] * samples[first + i];
    out[n] = total;
  }
  return out;
}

function withinScale(samples) { // turned down if it is beyond -1 to 1; single samples of damage are cut off
  if (samples.every(x => Math.abs(x) <= 1)) return samples;
  const scale = Math.max(quantile(samples.map(Math.abs), 0.9999), 1);
  return samples.map(x => Math.min(Math.max(x / scale, -1), 1));
}

// Chromium reads 16-bit numbers above 0 as parts of 32,767 and the rest of 32,768; other programs take 32,768 for all.

function asWritten(channel) {
  const isWhole = x => Math.abs(x - Math.round(x)) < 0.01;
  if (!channel.every(x => isWhole(x * (x > 0 ? 32767 : 32768)))) return channel;
  return channel.map(x => x > 0 ? x * 32767 / 32768 : x);
}

export function prepare(channels, rate, about) { // -> [samples at 16 kHz, warnings]
  const [mono, warnings] = toMono(channels.map(asWritten), about);
  return [withinScale(resample(mono, rate, about.SAMPLE_RATE)), warnings];
}

// The log-mel spectrogram: an array of bands, each with a value every 10 ms

function fourier(n) { // a function that transforms in place; n is a power of two
  const cosine = Float64Array.from({length: n / 2}, (_, k) => Math.cos(2 * Math.PI * k / n));
  const sine = Float64Array.from({length: n / 2}, (_, k) => -Math.sin(2 * Math.PI * k / n));
  const reversed = new Uint32Array(n); // the bits of each index from behind
  for (let i = 1; i < n; i++) reversed[i] = reversed[i >> 1] >> 1 | (i & 1 && n >> 1);
  return (real, imaginary) => { // imaginary is zero
    for (let i = 0; i < n; i++) {
      const j = reversed[i], kept = real[i];
      if (i < j) {
        real[i] = real[j];
        real[j] = kept;
      }
    }
    for (let half = 1; half < n; half *= 2)
      for (let start = 0; start < n; start += 2 * half)
        for (let k = 0; k < half; k++) {
          const a = start + k, b = a + half, c = cosine[k * n / 2 / half], s = sine[k * n / 2 / half];
          const x = real[b] * c - imaginary[b] * s, y = real[b] * s + imaginary[b] * c;
          real[b] = real[a] - x;
          imaginary[b] = imaginary[a] - y;
          real[a] += x;
          imaginary[a] += y;
        }
  };
}

const toMel = hertz => 2595 * Math.log10(1 + hertz / 700), toHertz = mel => 700 * (10 ** (mel / 2595) - 1);

export function melFilters({N_MELS, N_FFT, F_MIN, F_MAX, SAMPLE_RATE}) { // for each band, weights of 1 + N_FFT/2
  const edges = linspace(toMel(F_MIN), toMel(F_MAX), N_MELS + 2).map(toHertz);
  return Array.from({length: N_MELS}, (_, band) => {
    const [low, centre, high] = edges.slice(band, band + 3);
    return Float32Array.from({length: 1 + N_FFT / 2}, (_, i) => {
      const hertz = i * SAMPLE_RATE / N_FFT;
      return Math.max(0, Math.min((hertz - low) / (centre - low), (high - hertz) / (high - centre)));
    });
  });
}

export function logMel(samples, about) {
  const {N_FFT, HOP_LENGTH, TOP_DB} = about, n = 1 + Math.floor(samples.length / HOP_LENGTH);
  const window = Float32Array.from({length: N_FFT}, (_, i) => 0.5 - 0.5 * Math.cos(2 * Math.PI * i / N_FFT));
  const real = new Float64Array(N_FFT), imaginary = new Float64Array(N_FFT), transform = fourier(N_FFT);
  const filters = melFilters(about).map(weights => [...weights.entries()].filter(([, weight]) => weight));
  const bands = filters.map(() => new Float32Array(n));
  for (let frame = 0; frame < n; frame++) { // the first is centred on the first sample
    for (let i = 0, at = frame * HOP_LENGTH - N_FFT / 2; i < N_FFT; i++) real[i] = window[i] * (samples[at + i] ?? 0);
    transform(real, imaginary.fill(0));
    const power = i => real[i] ** 2 + imaginary[i] ** 2;
    filters.forEach((weights, band) => {
      const total = weights.reduce((total, [i, weight]) => total + weight * power(i), 0);
      bands[band][frame] = 10 * Math.log10(Math.max(total, 1e-10));
    });
  }
  const floor = largest(bands.map(largest)) - TOP_DB;
  return bands.map(band => band.map(x => Math.max(x, floor)));
}

// Where there is speech

function frameLevels(samples, {FRAME}) { // dB below full scale, every 10 ms
  return Float64Array.from({length: Math.ceil(samples.length / FRAME)}, (_, i) =>
    10 * Math.log10(energy(samples.subarray(i * FRAME, (i + 1) * FRAME)) / FRAME + 1e-12));
}

export function trimSilence(samples, about) { // -> [first sample, the one after the last, seconds of sound]
  const {FRAME, TRIM_DB, SILENCE_DB, SAMPLE_RATE} = about, levels = frameLevels(samples, about), n = levels.length;
  const lasting = levels.map((_, i) => // the quietest of 80 ms
    Math.min(...Array.from({length: 8}, (_, k) => levels[mirrored(i - 4 + k, n)])));
  const floor = Math.max(largest(lasting) + TRIM_DB, SILENCE_DB), isLoud = level => level > floor;
  const loud = levels.filter(isLoud).length;
  if (!loud) return [0, 0, 0];
  const last = Math.min((levels.findLastIndex(isLoud) + 1) * FRAME, samples.length);
  return [levels.findIndex(isLoud) * FRAME, last, loud * FRAME / SAMPLE_RATE];
}

function energyAboveFloor(spectrogram) { // dB, for each frame
  const bands = spectrogram.slice(4, 56), n = bands[0].length, height = new Float64Array(n);
  for (const band of bands) {
    const floor = Float32Array.from(band).sort()[Math.floor(n / 10)];
    band.forEach((x, i) => height[i] += Math.max(x - floor, 0) / bands.length);
  }
  const smooth = height.map((_, i) => sum(Array.from({length: 7}, (_, k) => height[mirrored(i - 3 + k, n)])) / 7);
  const low = quantile(smooth, 0.1);
  return smooth.map(x => x - low);
}

function runs(flags) { // [first, the one after the last] of each stretch that is true
  const found = [];
  flags.forEach((flag, i) => {
    if (flag && flags[i - 1]) found.at(-1)[1] = i + 1;
    else if (flag) found.push([i, i + 1]);
  });
  return found;
}

export function speechMask(spectrogram) { // true or false, for each frame
  const height = energyAboveFloor(spectrogram), floor = Math.max(1.5, 0.25 * largest(height)), n = height.length;
  const out = runs(Array.from(height, x => x > floor)).filter(([first, last]) => last - first >= 8);
  const spoken = new Array(n).fill(!out.length);
  for (const [first, last] of out) spoken.fill(true, Math.max(first - 30, 0), last + 30);
  return spoken;
}

export function findSpeech(samples, about) { // what is listened to; null for silence
  const [first, last, loud] = trimSilence(samples, about), {SAMPLE_RATE} = about;
  if (!loud) return null;
  const whole = logMel(samples.subarray(first, last), about), mask = speechMask(whole);
  const start = mask.indexOf(true), end = mask.lastIndexOf(true) + 1, spoken = mask.slice(start, end);
  return {spectrogram: whole.map(band => band.subarray(start, end)), spoken, start: first / SAMPLE_RATE + start / 100,
          sound: Math.min(loud, sum(spoken) / spoken.length * (last - first) / SAMPLE_RATE)};
}

// What the network says of it

function blocks(n, most) { // where each begins and ends
  const starts = linspace(0, n, Math.ceil(n / most) + 1).slice(0, -1).map(x => Math.floor(Math.floor(x) / 4) * 4);
  return starts.map((start, i) => [start, starts[i + 1] ?? n]);
}

async function encodeSpeech({spectrogram, spoken}, run, about) { // {frames, bottleneck, score}: an array for each frame
  const found = {frames: [], bottleneck: [], score: []}, n = spectrogram.length;
  for (const [start, end] of blocks(spoken.length, about.BLOCK)) {
    const size = end - start, input = new Float32Array(n * size);
    spectrogram.forEach((band, i) => input.set(band.subarray(start, end), i * size));
    const said = await run(input, [1, n, size]);
    for (const [name, {data, dims}] of Object.entries(said))
      for (let i = 0, width = dims[2] ?? 1; i < dims[1]; i++)
        if (spoken[start + 4 * i]) found[name].push(data.subarray(i * width, (i + 1) * width));
  }
  return found;
}

function meanAndDeviation(weight, rows) {
  const mean = new Float64Array(rows[0].length), square = new Float64Array(rows[0].length);
  rows.forEach((row, i) => row.forEach((x, k) => {
    mean[k] += weight[i] * x;
    square[k] += weight[i] * x * x;
  }));
  return [...mean, ...square.map((x, k) => Math.sqrt(Math.max(x - mean[k] ** 2, 1e-4)))];
}

function summarise(frames, bottleneck, score) {
  const even = score.map(() => 1 / score.length), attention = softmax(score.map(([x]) => x));
  return [...meanAndDeviation(attention, bottleneck), ...meanAndDeviation(even, bottleneck),
          ...meanAndDeviation(even, frames)];
}

function classify(summary, layers) { // -> [a logit for each language, the logit of speech]
  const apply = name => {
    const {shape: [, width], values} = layers[`${name}.weight`], bias = layers[`${name}.bias`].values;
    const seen = summary.slice(0, width);
    return Array.from(bias, (start, row) => start + sum(seen.map((x, k) => x * values[row * width + k])));
  };
  return [apply('language'), apply('speech')[0]];
}

function windowStarts(n, size) {
  const beyond = Math.max(n - size, 0);
  return linspace(0, beyond, 1 + Math.ceil(beyond / (size * 2 / 3))).map(roundToEven);
}

function averageWindows(windows) { // of [logits, speech]
  const weight = softmax(windows.map(([, speech]) => logSigmoid(speech)));
  const mean = pick => sum(windows.map((one, i) => weight[i] * pick(one)));
  return [windows[0][0].map((_, k) => mean(([logits]) => logits[k])), mean(([, speech]) => speech)];
}

function scoreFrames({frames, bottleneck, score}, seconds, layers) { // of windows -> [[logits, speech], ...]
  const size = Math.min(roundToEven(seconds * 25), score.length), starts = windowStarts(score.length, size);
  const part = (rows, i) => rows.slice(i, i + size);
  return starts.map(i => classify(summarise(part(frames, i), part(bottleneck, i), part(score, i)), layers));
}

// Probabilities, confidence, thresholds

function applyCalibration(calibration, [logits, speech], seconds, {MIN_SOUND_S}) { // -> [probabilities, confidence]
  if (!calibration) {
    const probabilities = softmax(logits);
    return [probabilities, sigmoid(speech) * largest(probabilities)];
  }
  const {scale, offsets, weights, bias} = calibration;
  const probabilities = softmax(logits.map((x, i) => scale * x + offsets[i]));
  const [first, second] = probabilities.toSorted((a, b) => b - a);
  const logOdds = Math.log(first + 1e-6) - Math.log(second + 1e-6);
  const features = [speech, logOdds, Math.log2(Math.max(seconds, MIN_SOUND_S))];
  return [probabilities, sigmoid(bias + sum(features.map((x, i) => x * weights[i])))];
}

function thresholdAt({threshold, calibration}, seconds) {
  const [lengths, confidences] = calibration?.thresholds ?? [];
  if (!lengths) return threshold;
  return interpolate(Math.log2(Math.max(seconds, 0.1)), lengths.map(Math.log2), confidences);
}

function decide(windows, sound, {languages, ...card}, about) { // [language or 'unsure', probabilities, confidence]
  const [chances, confidence] = applyCalibration(card.calibration, averageWindows(windows), sound, about);
  const sure = confidence >= thresholdAt(card, sound);
  return [sure ? languages[indexOfLargest(chances)] : 'unsure', chances, confidence];
}

// Where the language switches

function slice({spectrogram, spoken}, first, last) {
  return {spectrogram: spectrogram.map(band => band.subarray(first, last)), spoken: spoken.slice(first, last)};
}

function likeliestPath(logs, cost) { // Viterbi's, when all switches are equally likely; logs[window][state]
  let best = logs[0];
  const cameFrom = logs.slice(1).map(now => {
    const leader = indexOfLargest(best), change = best[leader] - cost;
    const from = best.map((value, state) => value >= change ? state : leader);
    best = now.map((value, state) => Math.max(best[state], change) + value);
    return from;
  });
  const path = [indexOfLargest(best)];
  for (const from of cameFrom.reverse()) path.unshift(from[path[0]]);
  return path;
}

function switchTimes(path, logs, centres) { // when the path goes from one state to another
  return path.slice(1).flatMap((state, i) => {
    if (state == path[i]) return [];
    const [before, after] = [logs[i], logs[i + 1]].map(one => one[path[i]] - one[state]);
    const share = before > 0 && after < 0 ? before / (before - after) : 0.5;
    return [centres[i] + share * (centres[i + 1] - centres[i])];
  });
}

function maySwitch(encoded, chances, {card, layers}, about) { // does any short window doubt the whole?
  const seconds = about.SPAN / 100, best = indexOfLargest(chances);
  return scoreFrames(encoded, seconds, layers)
    .some(said => applyCalibration(card.calibration, said, seconds, about)[0][best] < about.DOUBT);
}

async function findSwitches(heard, run, {card, layers}, about) { // frames: the first, those of a switch, the end
  const {SPAN, STEP, LEAST, SWITCH} = about, end = heard.spoken.length;
  const starts = linspace(0, end - SPAN, 1 + Math.max(Math.ceil((end - SPAN) / STEP), 0))
    .map(x => Math.floor(Math.trunc(x) / 4) * 4)
    .filter(i => sum(heard.spoken.slice(Math.max(i, 0), i + SPAN)) >= LEAST);
  if (starts.length < 2) return [0, end];
  const logs = [];
  for (const i of starts) {
    const part = slice(heard, i, i + SPAN), {frames, bottleneck, score} = await encodeSpeech(part, run, about);
    const said = classify(summarise(frames, bottleneck, score), layers);
    const [chances, confidence] = applyCalibration(card.calibration, said, sum(part.spoken) / 100, about);
    logs.push([...chances.map(p => confidence * p), 1 - confidence].map(p => Math.log(p + 1e-3)));
  }
  const times = switchTimes(likeliestPath(logs, SWITCH), logs, starts.map(i => i + SPAN / 2));
  return [0, ...times.map(t => Math.floor(Math.trunc(t) / 4) * 4), end];
}

async function findStretches(heard, encoded, whole, run, weights, about) { // of one answer each
  const doubt = maySwitch(encoded, whole[1], weights, about), stretches = [];
  const switches = doubt ? await findSwitches(heard, run, weights, about) : [0, heard.spoken.length];
  for (let i = 0; i < switches.length - 1; i++) {
    const [a, b] = [switches[i], switches[i + 1]], part = slice(heard, a, b), seconds = sum(part.spoken) / 100;
    let answer = ['unsure', null, 0];
    if (switches.length == 2) answer = whole;
    else if (seconds >= about.LEAST / 100) {
      const {card, layers} = weights, again = await encodeSpeech(part, run, about);
      answer = decide(scoreFrames(again, card.window_s, layers), seconds, card, about);
    }
    const [language, , confidence] = answer, end_s = heard.start + b / 100, last = stretches.at(-1);
    if (last?.language == language) Object.assign(last, {end_s, confidence: Math.max(confidence, last.confidence)});
    else stretches.push({start_s: heard.start + a / 100, end_s, language, confidence});
  }
  return stretches;
}

function clearlyThere(stretches, {MIXED_S}) { // {language: the highest confidence of its stretches}
  const found = {};
  for (const {language, start_s, end_s, confidence} of stretches)
    if (language != 'unsure' && end_s - start_s >= MIXED_S)
      found[language] = Math.max(confidence, found[language] ?? 0);
  return found;
}

function clipWarnings(samples, sound, {MAX_SECONDS, SAMPLE_RATE}) { // sentences
  const warnings = [], clipped = samples.reduce((n, x) => n + (Math.abs(x) > 0.99), 0);
  if (samples.length > MAX_SECONDS * SAMPLE_RATE) warnings.push(`only the first ${MAX_SECONDS} s were used`);
  if (sound == 0) warnings.push('the clip is silent');
  else if (sound < 1) warnings.push(`only ${sound.toFixed(1)} s of sound`);
  if (clipped > 0.001 * samples.length) warnings.push('the recording is too loud: its peaks are cut off');
  return warnings;
}

export async function predict(samples, weights, run, about) { // run(numbers, shape) -> what the graph gives
  const {card, card: {languages}} = weights, {MAX_SECONDS, SAMPLE_RATE, MIN_SOUND_S} = about;
  const used = samples.subarray(0, MAX_SECONDS * SAMPLE_RATE), heard = findSpeech(used, about);
  const warnings = clipWarnings(samples, heard?.sound ?? 0, about);
  const answer = (language, chances, confidence, more = {}) => ({
    language, confidence, warnings, segments: [], spoken: [], ...more,
    probabilities: Object.fromEntries(languages.map((name, i) => [name, chances[i]]))});
  if (!(heard?.sound >= MIN_SOUND_S)) return answer('unsure', languages.map(() => 1 / languages.length), 0);
  const encoded = await encodeSpeech(heard, run, about);
  const whole = decide(scoreFrames(encoded, card.window_s, weights.layers), heard.sound, card, about);
  const segments = await findStretches(heard, encoded, whole, run, weights, about);
  const end = Math.min(heard.start + heard.spoken.length / 100, used.length / SAMPLE_RATE);
  const spoken = runs(heard.spoken).map(([a, b]) => [heard.start + a / 100, Math.min(heard.start + b / 100, end)]);
  const clear = Object.values(clearlyThere(segments, about)).sort((a, b) => b - a);
  const [language, chances, confidence] = whole;
  const [name, sureness] = clear.length > 1 ? ['mixed', clear[1]] : [language, confidence];
  return answer(name, chances, sureness, {segments, spoken});
}
