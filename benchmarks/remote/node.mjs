// The program inside Node: reads requests from stdin and writes responses to stdout.
// Started as: node node.mjs FOLDER, where FOLDER holds node_modules.

import { createRequire } from "node:module";
import { readFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";

import { messages, respond } from "./envelope.mjs";
import { methods, openOnnx } from "./samples.mjs";

const folder = path.join(process.argv[2], "node_modules");
const ort = createRequire(path.join(folder, "main.js"))("onnxruntime-node");
const { version } = JSON.parse(await readFile(path.join(folder, "onnxruntime-node", "package.json"), "utf8"));

async function open(job) {
  return openOnnx(ort, job, {
    executionProviders: ["cpu"],
    graphOptimizationLevel: job.optimizations === "builtin" ? "disabled" : "all",
    interOpNumThreads: 1,
    intraOpNumThreads: job.threads,
    logSeverityLevel: 3,
  });
}

function facts() {
  const cpu = os.cpus()[0]?.model ?? "unknown";
  return { "cpu": cpu, "node": process.versions.node, "onnxruntime-node": version, "machine": `${os.type()} ${os.machine()}` };
}

const handlers = methods(facts, () => {}, open);
for await (const request of messages(process.stdin)) process.stdout.write(await respond(request, handlers));
