"""envelope.mjs against its counterpart in Python, in whatever Node is installed."""

import shutil
import subprocess

import numpy as np
import pytest

from pocketvae.benchmarks.remote.scripts import write_scripts
from pocketvae.errors import TargetError
from pocketvae.processes.arrays import pack, unpack
from pocketvae.processes.envelope import Request, Response, encode, read
from pocketvae.processes.failures import error_of
from pocketvae.processes.line_process import LineProcess
from pocketvae.processes.rpc import Client

# Sends every array back, in parts of one value each where there are such, and the request's own parameters.
ECHO = """
import { messages, respond } from "./envelope.mjs";
const cut = (data) => (data.length ? [...data].map((_, index) => data.slice(index, index + 1)) : [data]);
const parts = ({ shape, data }) => ({ shape, parts: cut(data) });
const echo = async (params, arrays) => ({
  result: params,
  arrays: Object.fromEntries(Object.entries(arrays()).map(([name, tensor]) => [name, parts(tensor)])),
});
for await (const request of messages(process.stdin)) process.stdout.write(await respond(request, { echo }));
"""
ARRAYS = {
    "a": np.array([[np.nan, np.inf, -np.inf], [-0.0, 1.5, 3e-45]], np.float32),
    "bytes": np.array([-128, 127, 10], np.int8),
    "empty": np.zeros((0, 4), np.float32),
    "last": np.array([2**62, -1], np.int64),
    "odd": np.array([1, 2, 3], np.uint8),
    "short": np.array([[-32768], [32767]], np.int16),
    "ä": np.array(7, np.int32),
}


@pytest.fixture
def command(tmp_path):
    node = shutil.which("node") or shutil.which("nodejs")
    if node is None:
        pytest.skip("Node.js is not installed")
    write_scripts(tmp_path, ("envelope.mjs",))
    (tmp_path / "main.mjs").write_text(ECHO, "utf-8")
    return [node, str(tmp_path / "main.mjs")]


def test_arrays_come_back_from_javascript_as_they_were(command):
    with LineProcess(command) as process:
        result, found = Client(process).call_with_arrays("echo", {"x": "ü\n"}, ARRAYS, dict[str, str], 60)
    assert result == {"x": "ü\n"}
    assert list(found) == sorted(ARRAYS)
    for name, array in ARRAYS.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        assert found[name].tobytes() == array.tobytes()


def test_messages_are_read_however_they_are_cut(command):
    sent = [Request(id=number, method="echo", params=number, block=pack(ARRAYS)) for number in range(3)]
    data = b"".join(map(encode, sent))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        for start in range(0, len(data), 700):
            process.stdin.write(data[start : start + 700])
            process.stdin.flush()
        process.stdin.close()
        found = [read(Response, process.stdout.readline(), process.stdout) for _ in sent]
    assert [(response.id, response.result) for response in found] == [(0, 0), (1, 1), (2, 2)]
    assert all(unpack(response.block)["bytes"].tolist() == [-128, 127, 10] for response in found)


def test_a_type_that_javascript_does_not_have_and_a_method_that_is_unknown_are_errors(command):
    with LineProcess(command) as process:
        with pytest.raises(TargetError, match="JavaScript has no arrays of float16"):
            Client(process).call_with_arrays("echo", None, {"x": np.zeros(1, np.float16)}, type(None), 60)
        response = process.ask(Request(id=1, method="eco"), 60)
    assert "handlers[method] is not a function" in str(error_of(response.error))
