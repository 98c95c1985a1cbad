// The program inside Node: reads questions from stdin, one line each, and writes answers to stdout.
// Started as: node node.mjs FOLDER, where FOLDER holds node_modules.

import { createRequire } from "node:module";
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import os from "node:os";
import path from "node:path";

import { answer, openOnnx } from "./samples.mjs";

const folder = path.join(process.argv[2], "node_modules");
const ort = createRequire(path.join(folder, "main.js"))("onnxruntime-node");
const { version } = JSON.parse(await readFile(path.join(folder, "onnxruntime-node", "package.json"), "utf8"));

async function open(job) {
  return openOnnx(ort, job, {
    executionProviders: ["cpu"],
    graphOptimizationLevel: job.kernels === "builtin" ? "disabled" : "all",
    interOpNumThreads: 1,
    intraOpNumThreads: job.threads,
    logSeverityLevel: 3,
  });
}

function facts() {
  const cpu = os.cpus()[0]?.model ?? "unknown";
  return { "cpu": cpu, "node": process.versions.node, "onnxruntime-node": version, "machine": `${os.type()} ${os.machine()}` };
}

for await (const line of createInterface({ input: process.stdin })) {
  const { job } = JSON.parse(line);
  const reply = job ? await answer(job, () => {}, open) : { facts: facts() };
  process.stdout.write(JSON.stringify(reply) + "\n");
}
