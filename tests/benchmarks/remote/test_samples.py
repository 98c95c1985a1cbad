"""samples.mjs, the part that Node and the browser share, in whatever Node is installed."""

import json
import shutil
import subprocess

import pytest

from pocketvae.benchmarks.remote.scripts import write_scripts

PROGRAM = """
import { ArtifactFault, TargetError, decode, respond } from "./envelope.mjs";
import { methods, openOnnx } from "./samples.mjs";
const stop = (error) => async () => { throw error; };
const ort = (words) => ({ InferenceSession: { create: stop(new Error(words)) } });
const cases = {
  start: [stop(new Error("JSPI is not supported\\nat load")), stop(new Error("not reached"))],
  missing: [stop(new TargetError("no WebGPU adapter")), stop(new Error("not reached"))],
  open: [async () => {}, stop(new ArtifactFault("loads", new Error("damaged")))],
  backend: [async () => {}, (job) => openOnnx(ort("no available backend found. ERR: [wasm] 404"), job, {})],
  file: [async () => {}, (job) => openOnnx(ort("protobuf parsing failed"), job, {})],
};
const [prepare, open] = cases[process.argv[2]];
const request = { message: { id: 5, method: "run", params: { location: "a.onnx" } }, block: new Uint8Array(0) };
console.log(JSON.stringify(decode(await respond(request, methods(() => ({}), prepare, open))).message));
"""


def run_program(folder, program, case):
    node = shutil.which("node") or shutil.which("nodejs")
    if node is None:
        pytest.skip("Node.js is not installed")
    write_scripts(folder, ("samples.mjs", "envelope.mjs"))
    (folder / "main.mjs").write_text(program)
    return json.loads(
        subprocess.run([node, folder / "main.mjs", case], capture_output=True, text=True, check=True).stdout
    )


@pytest.mark.parametrize(
    ("case", "error"),
    [
        ("start", {"type": "TargetError", "message": "the runtime does not start: JSPI is not supported"}),
        ("missing", {"type": "TargetError", "message": "no WebGPU adapter"}),
        ("open", {"type": "ArtifactFault", "message": "damaged", "data": {"check": "loads"}}),
        (
            "backend",
            {
                "type": "TargetError",
                "message": "the runtime does not start: no available backend found. ERR: [wasm] 404",
            },
        ),
        ("file", {"type": "ArtifactFault", "message": "protobuf parsing failed", "data": {"check": "loads"}}),
    ],
)
def test_a_runtime_that_does_not_start_is_no_fault_of_the_artifact(case, error, tmp_path):
    assert run_program(tmp_path, PROGRAM, case) == {"id": 5, "error": error}


SLOW = """
import { methods } from "./samples.mjs";
let now = 0;
Object.defineProperty(globalThis, "performance", { value: { now: () => (now += 1e-3) } });
const runner = { run: async () => { now += 1e3 * Number(process.argv[2]); }, close: () => {} };
const inputs = () => ({ z: { dtype: "float32", shape: [1, 1], data: new Float32Array(1) } });
const { result } = await methods(() => ({}), async () => {}, async () => runner).time({ timed_calls: 200 }, inputs);
console.log(JSON.stringify(result.latency.values_s.length));
"""


@pytest.mark.parametrize(("call_s", "count"), [("0.01", 200), ("1", 60), ("10", 30)])
def test_slow_files_get_fewer_values(call_s, count, tmp_path):
    assert run_program(tmp_path, SLOW, call_s) == count
