// What Node and the browser share: tensors as text, one call per sample, times.

const TYPES = {
  float32: Float32Array,
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  int32: Int32Array,
  int64: globalThis.BigInt64Array,
};
const WARMUP_CALLS = 20;
// A value has to be this much longer than a step of the clock.
const CLOCK_STEPS = 20;
const MOST_LOOPS = 1024;
// What onnxruntime's JavaScript packages say where none of the execution providers can be started.
const NO_BACKEND = "no available backend found";

function firstLine(error) {
  return String(error?.message ?? error).split("\n")[0].slice(0, 300);
}

/** The artifact is wrong; `check` is what it fails: loads, interface or runs. */
export class Fault extends Error {
  constructor(check, error) {
    super(firstLine(error));
    this.check = check;
  }
}

/** The target has not got what the job needs. */
export class Missing extends Error {}

/**
 * Does a job and returns the answer: `prepare` starts the runtime, which an app does once and which is not timed; `open`
 * opens the artifact.
 */
export async function answer(job, prepare, open) {
  try {
    await start(job, prepare);
    const started = performance.now();
    const runner = await open(job);
    const loaded = performance.now();
    try {
      const inputs = unpackAll(job.inputs);
      const ports = { inputs: runner.inputs, outputs: runner.outputs, figures: runner.figures ?? {} };
      if (job.timed_calls) {
        return { ...ports, latency: { load_s: (loaded - started) / 1e3, ...(await time(runner, inputs, job)) } };
      }
      return { ...ports, arrays: await runSamples(runner, inputs, job.batch) };
    } finally {
      await runner.close();
    }
  } catch (error) {
    if (error instanceof Missing) return { missing: true, reason: error.message };
    const fault = error instanceof Fault ? error : new Fault("runs", error);
    return { fault: fault.check, reason: fault.message };
  }
}

/** A runtime that does not start says nothing about the artifact. */
async function start(job, prepare) {
  try {
    await prepare(job);
  } catch (error) {
    throw error instanceof Missing ? error : new Missing(`the runtime does not start: ${firstLine(error)}`);
  }
}

/** A last batch that is not full is filled with its last sample, and what comes out for those is dropped. */
async function runSamples(runner, inputs, batch) {
  const count = Object.values(inputs)[0].shape[0];
  const collected = {};
  for (let start = 0; start < count; start += batch) {
    const wanted = Math.min(batch, count - start);
    for (const [name, tensor] of Object.entries(await run(runner, samples(inputs, start, batch)))) {
      const found = (collected[name] ??= { shape: [count, ...tensor.shape.slice(1)], parts: [] });
      found.parts.push(tensor.data.slice(0, (tensor.data.length / batch) * wanted));
    }
  }
  return Object.fromEntries(Object.entries(collected).map(([name, { shape, parts }]) => [name, pack(shape, parts)]));
}

async function run(runner, feed) {
  try {
    return await runner.run(feed);
  } catch (error) {
    throw error instanceof Missing ? error : new Fault("runs", error);
  }
}

/** Times calls on the first sample; a value holds as many calls as the clock needs. */
async function time(runner, inputs, job) {
  const feed = samples(inputs, 0, 1);
  const first = performance.now();
  await run(runner, feed);
  const first_s = (performance.now() - first) / 1e3;
  for (let call = 0; call < WARMUP_CALLS; call++) await runner.run(feed);
  const step_s = clockStep();
  let loops = 1;
  while (loops < MOST_LOOPS && (await value(runner, feed, loops)) * loops < CLOCK_STEPS * step_s) loops *= 2;
  const values_s = [];
  for (let index = 0; index < job.timed_calls; index++) values_s.push(await value(runner, feed, loops));
  return { first_s, loops, values_s };
}

async function value(runner, feed, loops) {
  const started = performance.now();
  for (let call = 0; call < loops; call++) await runner.run(feed);
  return (performance.now() - started) / 1e3 / loops;
}

function clockStep() {
  const started = performance.now();
  let now = started;
  while (now === started) now = performance.now();
  return (now - started) / 1e3;
}

function samples(inputs, start, batch) {
  return Object.fromEntries(
    Object.entries(inputs).map(([name, { dtype, shape, data }]) => {
      const size = data.length / shape[0];
      const chosen = new data.constructor(batch * size);
      for (let row = 0; row < batch; row++) {
        const index = Math.min(start + row, shape[0] - 1);
        chosen.set(data.subarray(index * size, (index + 1) * size), row * size);
      }
      return [name, { dtype, shape: [batch, ...shape.slice(1)], data: chosen }];
    }),
  );
}

function unpackAll(tensors) {
  return Object.fromEntries(
    Object.entries(tensors).map(([name, { dtype, shape, data }]) => {
      if (!TYPES[dtype]) throw new Missing(`JavaScript has no arrays of ${dtype}`);
      const bytes = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
      return [name, { dtype, shape, data: new TYPES[dtype](bytes.buffer) }];
    }),
  );
}

function pack(shape, parts) {
  const dtype = Object.keys(TYPES).find((name) => parts[0] instanceof TYPES[name]);
  if (!dtype) throw new Missing(`an output is a ${parts[0]?.constructor?.name}, which cannot be sent`);
  const texts = [];
  for (const part of parts) texts.push(new Uint8Array(part.buffer, part.byteOffset, part.byteLength));
  return { dtype, shape, data: base64(texts) };
}

function base64(chunks) {
  let text = "";
  for (const chunk of chunks) {
    for (let start = 0; start < chunk.length; start += 0x8000) {
      text += String.fromCharCode(...chunk.subarray(start, start + 0x8000));
    }
  }
  return btoa(text);
}

/** Opens an ONNX file with any of onnxruntime's JavaScript packages. */
export async function openOnnx(ort, job, options) {
  let session;
  try {
    session = await ort.InferenceSession.create(job.location, options);
  } catch (error) {
    // onnxruntime-web starts its WebAssembly with the first file.
    if (firstLine(error).startsWith(NO_BACKEND)) throw new Missing(`the runtime does not start: ${firstLine(error)}`);
    throw new Fault("loads", error);
  }
  // A file of several batch sizes leaves its first dimension open and gives it a name.
  const size = (dimension) => (typeof dimension === "number" ? dimension : job.batch);
  const port = ({ name, type, shape }) => ({ name, dtype: type, shape: shape.map(size) });
  return {
    inputs: session.inputMetadata.map(port),
    outputs: session.outputMetadata.map(port),
    async run(feed) {
      const tensors = Object.entries(feed).map(([name, t]) => [name, new ort.Tensor(t.dtype, t.data, t.shape)]);
      const results = await session.run(Object.fromEntries(tensors));
      const found = {};
      for (const [name, tensor] of Object.entries(results)) {
        found[name] = { shape: [...tensor.dims], data: (await tensor.getData()).slice() };
        tensor.dispose();
      }
      return found;
    },
    close: () => session.release(),
  };
}
