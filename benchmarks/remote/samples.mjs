// What Node and the browser share: the methods of the program inside them, one call per sample, times.

import { ArtifactFault, TargetError, firstLine } from "./envelope.mjs";

const WARMUP_CALLS = 20;
// Slow files get fewer warm-up calls and values, so that a job ends in time.
const WARMUP_BUDGET_MS = 5e3;
const VALUES_BUDGET_MS = 60e3;
const FEWEST_VALUES = 30;
// A value has to be this much longer than a step of the clock.
const CLOCK_STEPS = 20;
const MOST_LOOPS = 1024;
// What onnxruntime's JavaScript packages say where none of the execution providers can be started.
const NO_BACKEND = "no available backend found";

/**
 * Returns what the methods do: `facts` says what runs here, `prepare` starts the runtime, which an app does once and
 * which is not timed, and `open` opens the artifact.
 */
export function methods(facts, prepare, open) {
  return {
    facts: async () => ({ result: await facts() }),
    run: (job, inputs) => withRunner(job, prepare, open, async (runner) => ({
      result: { figures: runner.figures ?? {}, inputs: runner.inputs, outputs: runner.outputs },
      arrays: await runSamples(runner, inputs(), job.batch),
    })),
    time: (job, inputs) => withRunner(job, prepare, open, async (runner, load_s) => ({
      result: { figures: runner.figures ?? {}, latency: { load_s, ...(await time(runner, inputs(), job)) } },
    })),
  };
}

/** Opens the artifact of a job, does something with it, and closes it; what goes wrong then is its fault. */
async function withRunner(job, prepare, open, work) {
  await start(job, prepare);
  try {
    const started = performance.now();
    const runner = await open(job);
    const load_s = (performance.now() - started) / 1e3;
    try {
      return await work(runner, load_s);
    } finally {
      await runner.close();
    }
  } catch (error) {
    throw error instanceof ArtifactFault || error instanceof TargetError ? error : new ArtifactFault("runs", error);
  }
}

/** A runtime that does not start says nothing about the artifact. */
async function start(job, prepare) {
  try {
    await prepare(job);
  } catch (error) {
    throw error instanceof TargetError ? error : new TargetError(`the runtime does not start: ${firstLine(error)}`);
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
  return collected;
}

async function run(runner, feed) {
  try {
    return await runner.run(feed);
  } catch (error) {
    throw error instanceof TargetError ? error : new ArtifactFault("runs", error);
  }
}

/** Times calls on the first sample; a value holds as many calls as the clock needs. */
async function time(runner, inputs, job) {
  const feed = samples(inputs, 0, 1);
  const first = performance.now();
  await run(runner, feed);
  const first_s = (performance.now() - first) / 1e3;
  const warm = performance.now() + WARMUP_BUDGET_MS;
  for (let call = 0; call < WARMUP_CALLS && performance.now() < warm; call++) await runner.run(feed);
  const step_s = clockStep();
  let loops = 1;
  while (loops < MOST_LOOPS && (await value(runner, feed, loops)) * loops < CLOCK_STEPS * step_s) loops *= 2;
  const values_s = [];
  const end = performance.now() + VALUES_BUDGET_MS;
  while (values_s.length < job.timed_calls && (values_s.length < FEWEST_VALUES || performance.now() < end)) {
    values_s.push(await value(runner, feed, loops));
  }
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

/** Opens an ONNX file with any of onnxruntime's JavaScript packages. */
export async function openOnnx(ort, job, options) {
  let session;
  try {
    session = await ort.InferenceSession.create(job.location, options);
  } catch (error) {
    // onnxruntime-web starts its WebAssembly with the first file.
    if (firstLine(error).startsWith(NO_BACKEND)) throw new TargetError(`the runtime does not start: ${firstLine(error)}`);
    throw new ArtifactFault("loads", error);
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
