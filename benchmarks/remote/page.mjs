// The program inside the browser: asks the server that it came from for requests and posts the responses.

import { ArtifactFault, TargetError, decode, respond } from "./envelope.mjs";
import { methods, openOnnx } from "./samples.mjs";

const parameters = new URLSearchParams(location.search);
const threads = Number(parameters.get("threads") ?? 1);
const log = document.querySelector("#log");
const runtimes = {};

/** Loads a runtime once; the number of its threads is fixed from then on. */
function load(name, start) {
  return (runtimes[name] ??= start());
}

function litertFor(job) {
  return load("litert", async () => {
    const core = await import("@litertjs/core");
    // Operators that WebGPU does not support can run on the processor in between only where WebAssembly can be suspended,
    // and LiteRT.js has no build that has threads too.
    const jspi = job.accelerator === "webgpu";
    const options = { threads: threads > 1 && !jspi, jspi };
    await core.loadLiteRt(new URL("./modules/@litertjs/core/wasm/", location).href, options);
    return core;
  });
}

async function openTflite(job) {
  const accelerator = job.accelerator === "webgpu" ? "webgpu" : "wasm";
  const litert = await litertFor(job);
  // The threads of WebAssembly; see litertFor.
  const cpuOptions = { numThreads: accelerator === "wasm" ? threads : 1 };
  let model;
  try {
    model = await litert.loadAndCompile(job.location, { accelerator, cpuOptions });
  } catch (error) {
    throw new ArtifactFault("loads", error);
  }
  const signature = model.signatures[`batch_${job.batch}`] ?? model;
  const port = ({ name, dtype, shape }) => ({ name, dtype, shape: [...shape] });
  return {
    inputs: signature.getInputDetails().map(port),
    outputs: signature.getOutputDetails().map(port),
    figures: accelerator === "webgpu" ? { fully_accelerated: model.isFullyAccelerated ? 1 : 0 } : {},
    run: (feed) => runTflite(litert, signature, feed),
    close: () => model.delete(),
  };
}

async function runTflite(litert, signature, feed) {
  const tensors = Object.fromEntries(
    Object.entries(feed).map(([name, { data, shape }]) => [name, new litert.Tensor(data, shape)]),
  );
  const results = await signature.run(tensors);
  const found = {};
  for (const [name, tensor] of Object.entries(results)) {
    const here = await tensor.moveTo("wasm");
    found[name] = { shape: [...here.type.layout.dimensions], data: here.toTypedArray().slice() };
    here.delete();
  }
  for (const tensor of Object.values(tensors)) if (!tensor.deleted) tensor.delete();
  return found;
}

function onnxruntimeFor(job) {
  const webgpu = job.accelerator === "webgpu";
  return load(webgpu ? "onnx-webgpu" : "onnx", async () => {
    const dist = new URL("./modules/onnxruntime-web/dist/", location).href;
    const module = await import(`${dist}${webgpu ? "ort.webgpu.min.mjs" : "ort.wasm.min.mjs"}`);
    module.env.wasm.numThreads = threads;
    module.env.wasm.wasmPaths = dist;
    module.env.logLevel = "error";
    return module;
  });
}

async function openOnnxHere(job) {
  return openOnnx(await onnxruntimeFor(job), job, {
    executionProviders: [job.accelerator === "webgpu" ? "webgpu" : "wasm"],
    graphOptimizationLevel: job.optimizations === "builtin" ? "disabled" : "all",
  });
}

async function prepare(job) {
  if (job.accelerator === "webgpu" && !(await navigator.gpu?.requestAdapter())) {
    throw new TargetError("this browser has no WebGPU adapter");
  }
  if (job.format === "tflite" && job.optimizations === "builtin") {
    throw new TargetError("LiteRT.js has no kernels but the optimized ones");
  }
  await (job.format === "tflite" ? litertFor(job) : onnxruntimeFor(job));
}

function open(given) {
  const job = { ...given, location: `./bundle/${given.location}` };
  return job.format === "tflite" ? openTflite(job) : openOnnxHere(job);
}

async function version(name) {
  return (await (await fetch(`./modules/${name}/package.json`)).json()).version;
}

async function facts() {
  const adapter = await navigator.gpu?.requestAdapter();
  const browser = navigator.userAgentData?.brands?.find(({ brand }) => brand === "Chromium");
  return {
    "@litertjs/core": await version("@litertjs/core"),
    "adapter": adapter ? [adapter.info.vendor, adapter.info.architecture].join(" ").trim() || "unnamed" : "none",
    "browser": browser ? `Chromium ${browser.version}` : navigator.userAgent,
    "cross-origin isolated": String(crossOriginIsolated),
    "onnxruntime-web": await version("onnxruntime-web"),
  };
}

const handlers = methods(facts, prepare, open);

/** Answers one request; for another number of threads the page is loaded anew first. */
async function step() {
  const response = await fetch("./request");
  if (response.status === 204) return;
  const request = decode(new Uint8Array(await response.arrayBuffer()));
  const { id, params: job } = request.message;
  if (job && job.threads !== threads) {
    location.search = `?threads=${job.threads}`;
    await new Promise(() => {});
  }
  if (job) log.append(Object.assign(document.createElement("li"), { textContent: job.artifact }));
  await fetch(`./response?id=${id}`, { method: "POST", body: await respond(request, handlers) });
}

fetch("./alive").catch(() => {});
for (;;) await step();
