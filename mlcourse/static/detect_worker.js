// The detector in a thread of its own, so that the page stays alive: samples in, an answer out.

import * as ort from './ort.wasm.min.mjs';
import {predict, readWeights} from './detector.js';

let loaded = 0; // bytes

async function fetchUnpacked(name, total) { // a file that was packed with gzip; how much has come is told on the way
  const response = await fetch(name);
  if (!response.ok) throw new Error(`${name} cannot be loaded; load the page again.`);
  const count = new TransformStream({transform(part, controller) {
    postMessage({progress: Math.min(1, (loaded += part.length) / total)});
    controller.enqueue(part);
  }});
  const body = response.body.pipeThrough(count), unpacked = response.headers.has('Content-Encoding'); // by the browser
  return new Response(unpacked ? body : body.pipeThrough(new DecompressionStream('gzip'))).arrayBuffer();
}

async function open() {
  const about = await (await fetch('detector.json')).json();
  ort.env.wasm.wasmBinary = await fetchUnpacked('ort.wasm.gz', about.packed_bytes);
  ort.env.wasm.numThreads = 1; // more would need a server that isolates the page
  const started = ort.InferenceSession.create(new Uint8Array()).catch(() => {}); // compiles while the weights come
  const {card, graph, layers} = readWeights(await fetchUnpacked('weights.gz', about.packed_bytes));
  await started;
  const session = await ort.InferenceSession.create(graph, {extra: {session: {disable_quant_qdq: '1'}}});
  const run = (numbers, shape) => session.run({spectrograms: new ort.Tensor('float32', numbers, shape)});
  await run(new Float32Array(about.N_MELS * 100).fill(-100), [1, about.N_MELS, 100]); // the first time takes longer
  return samples => predict(samples, {card, layers}, run, about);
}

const detector = open();
detector.then(() => postMessage({ready: true}), error => postMessage({error: error.message}));

onmessage = async ({data: {id, samples}}) => {
  try { postMessage({id, answer: await (await detector)(samples)}); }
  catch (error) { postMessage({id, error: error.message}); }
};
