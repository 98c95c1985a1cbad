// The exported files, run by onnxruntime-web in this page.

import { parts } from "./latents.js";
import * as ort from "./runtime/ort.wasm.bundle.min.mjs";

ort.env.wasm.numThreads = 1;
ort.env.wasm.wasmPaths = { wasm: new URL("./runtime/ort-wasm-simd-threaded.wasm", import.meta.url).href };
ort.env.logLevel = "error";

const sessions = new Map();

async function open(file) {
  if (!sessions.has(file)) {
    const answer = await fetch(`./artifacts/${file}`);
    if (!answer.ok) throw new Error(`it is not there (${answer.status})`);
    sessions.set(file, ort.InferenceSession.create(new Uint8Array(await answer.arrayBuffer())));
  }
  return sessions.get(file);
}

function labelOf(session, label) {
  return session.inputNames.includes("label") ? { label: new ort.Tensor("int32", Int32Array.of(label), [1]) } : {};
}

// Runs a decoder; returns its item, the output of that name, as a Float32Array and the milliseconds that the runtime took.
export async function decode(file, z, label, latents, output) {
  const session = await open(file);
  const feeds = {};
  for (const { name, values, shape } of parts(z, latents)) feeds[name] = new ort.Tensor("float32", values, [1, ...shape]);
  Object.assign(feeds, labelOf(session, label));
  const start = performance.now();
  const found = await session.run(feeds);
  const ms = performance.now() - start;
  // A file may have several, and not the data first.
  return { item: found[output].data, ms };
}

// Runs a learned prior on noise; returns the latent.
export async function transform(file, eps, label) {
  const session = await open(file);
  const feeds = { eps: new ort.Tensor("float32", eps, [1, eps.length]), ...labelOf(session, label) };
  const found = await session.run(feeds);
  return found[session.outputNames[0]].data;
}
