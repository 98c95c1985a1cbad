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
    node = shutil.which("node") or shutil.which("nodejs")
    if node is None:
        pytest.skip("Node.js is not installed")
    write_scripts(tmp_path, ("samples.mjs", "envelope.mjs"))
    (tmp_path / "main.mjs").write_text(PROGRAM)
    done = subprocess.run([node, tmp_path / "main.mjs", case], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {"id": 5, "error": error}
