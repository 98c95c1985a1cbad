"""The code that scores a stream: it compiles, and what can be run here scores the right windows."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from pocketvae.export.guide import embed_guide
from pocketvae.export.guide.parts import Part
from pocketvae.reporting.escapes import is_identifier
from pocketvae.spec import Component, Format, Precision, TensorSpec
from pocketvae.vae_spec import class_label
from tests.export.guide.test_page import (
    STREAM,
    VAES,
    code_blocks,
    manifest,
    record,
    stream_blocks,
    stream_guide,
    write_blocks,
)


def test_cpp_code_that_watches_a_stream_compiles(tmp_path, compile_cpp):
    compile_cpp(*write_blocks(stream_guide(), "cpp", tmp_path, "cpp"))


def windows_of(pushes, hop):
    """Returns the windows of 8 time steps that are scored, one in a hop, after each of which time step."""
    return {step: pushes[step - 7 : step + 1] for step in range(7, len(pushes), hop)}


PUSHES = np.arange(60, dtype=np.float32).reshape(30, 2)


def test_the_python_code_scores_the_last_time_steps_of_a_stream():
    blocks = stream_blocks("python")[:2]
    assert len(blocks) == 2
    for code in blocks:
        start = code.index("class Watcher")
        calls = []

        def score(window, calls=calls):
            calls.append(window.copy())
            return [1.5], [1], [[0.5, 0.25]]

        names = {"np": np, "score": score}
        exec(compile(code[start:], "EMBED.md", "exec"), names)
        watcher = names["Watcher"](hop=3)
        found = {step: watcher.push(sample) for step, sample in enumerate(PUSHES)}
        expected = windows_of(PUSHES, 3)
        assert {step for step, result in found.items() if result} == set(expected)
        assert found[7] == (1.5, True, [0.5, 0.25])
        np.testing.assert_array_equal(np.stack(calls), np.stack(list(expected.values())))


class Runtime:
    """Both runtimes, as far as the code of EMBED.md uses them: every output is zero."""

    def __init__(self, path, *_, **__):
        component = Component(Path(path).name.split(".")[0])
        artifacts = manifest(STREAM, components=(component,)).artifacts
        self.outputs = artifacts[0].outputs

    def get_signature_runner(self, key):
        assert key == "serving_default"
        return lambda **_: {item.name: np.zeros(item.shape, item.dtype) for item in self.outputs}

    def get_outputs(self):
        return self.outputs

    def run(self, names, inputs):
        return [self.get_signature_runner("serving_default")(**inputs)[name] for name in names]


@pytest.fixture
def stub_runtimes(monkeypatch):
    onnxruntime = SimpleNamespace(SessionOptions=SimpleNamespace, InferenceSession=Runtime)
    monkeypatch.setitem(sys.modules, "onnxruntime", onnxruntime)
    monkeypatch.setitem(sys.modules, "ai_edge_litert", SimpleNamespace())
    litert = SimpleNamespace(Interpreter=lambda model_path, num_threads: Runtime(model_path))
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", litert)


@pytest.mark.usefixtures("stub_runtimes")
def test_the_loop_of_the_documentation_runs_for_more_than_one_result():
    page = (Path(__file__).parents[3] / "docs/anomalies.md").read_text("utf-8")
    (loop,) = [code for language, code in code_blocks(page) if language == "python" and "Watcher" in code]
    for code in stream_blocks("python")[:2]:
        names = {"sensor": PUSHES, "results": []}
        exec(compile(code + loop + "        results.append(result)\n", "EMBED.md", "exec"), names)
        assert len(names["results"]) == 2
        # A variable of an app may have the function's name.
        exec("score = 0.5\nfor sample in sensor: results.append(watcher.push(sample))", names)
        assert len([result for result in names["results"] if result]) > 3


@pytest.mark.parametrize("sample", [[1.0], 1.0, [1.0, 2.0, 3.0]])
def test_python_refuses_a_time_step_of_another_width(sample):
    code = stream_blocks("python")[0]
    names = {"np": np, "score": None}
    exec(compile(code[code.index("class Watcher") :], "EMBED.md", "exec"), names)
    with pytest.raises(ValueError, match=f"a time step has 2 values, got {np.size(sample)}"):
        names["Watcher"]().push(sample)


def test_kotlin_and_swift_refuse_a_time_step_of_another_width():
    assert 'require(sample.size == 2) { "a time step has 2 values' in stream_blocks("kotlin")[0]
    blocks = stream_blocks("swift")
    assert len(blocks) == 2
    assert all('precondition(sample.count == 2, "a time step has 2 values")' in code for code in blocks)


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_javascript_refuses_a_time_step_of_another_width(tmp_path):
    for code in stream_blocks("js"):
        watcher = code[code.index("export class Watcher") :].replace("export ", "")
        (tmp_path / "watch.mjs").write_text(
            f"const score = async () => true;\n{watcher}\nconst found = [];\n"
            "for (const sample of [[1], 1, [1, 2, 3]]) {\n"
            "  await new Watcher().push(sample).catch((error) => found.push(error.message));\n}\n"
            "process.stdout.write(JSON.stringify(found));\n"
        )
        done = subprocess.run(["node", tmp_path / "watch.mjs"], capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == [f"a time step has 2 values, got {size}" for size in (1, "undefined", 3)]


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_the_javascript_code_scores_the_last_time_steps_of_a_stream(tmp_path):
    blocks = stream_blocks("js")
    assert len(blocks) == 2
    for code in blocks:
        watcher = code[code.index("export class Watcher") :].replace("export ", "")
        (tmp_path / "watch.mjs").write_text(
            f"const calls = [];\nconst score = async (window) => (calls.push(Array.from(window)), true);\n{watcher}\n"
            f"const watcher = new Watcher(3), found = [];\n"
            f"for (const sample of {PUSHES.tolist()}) found.push((await watcher.push(sample)) !== null);\n"
            "process.stdout.write(JSON.stringify({ calls, found }));\n"
        )
        done = subprocess.run(["node", tmp_path / "watch.mjs"], capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        answer, expected = json.loads(done.stdout), windows_of(PUSHES, 3)
        assert [step for step, result in enumerate(answer["found"]) if result] == list(expected)
        np.testing.assert_array_equal(answer["calls"], [window.ravel() for window in expected.values()])


def test_only_windows_of_a_stream_are_watched():
    assert "class Watcher" not in embed_guide(manifest(VAES["grey"], components=(Component.SCORER,)))


def test_a_watcher_is_promised_only_where_there_is_one():
    labelled = replace(STREAM, conditions=class_label(10))
    for vae, promised in ((STREAM, True), (labelled, False)):
        page = embed_guide(manifest(vae, components=(Component.SCORER,)))
        assert ("`Watcher` keeps the last 8 time steps" in page, "class Watcher" in page) == (promised, promised)


def test_swift_code_that_watches_a_stream_has_right_types(tmp_path, check_swift):
    check_swift(*write_blocks(stream_guide(), "swift", tmp_path, "swift"))


def test_no_variable_nor_what_is_derived_from_it_is_anothers():
    names = ("z_1", "z1", "z", "z_shape", "z_data", "z_value", "z_buffer", "a-b", "a_b", "θ", "φ", "model", "model_")
    plain = record(VAES["grey"], Component.DECODER, Format.ONNX, Precision.FLOAT32)
    inputs = tuple(TensorSpec(name=name, dtype="float32", shape=(1, 2)) for name in names)
    # Even an output that is called as an input is.
    part = Part(artifact=replace(plain, inputs=inputs, outputs=inputs[-3:]), vae=VAES["grey"])
    tensors = (*part.inputs, *part.outputs)
    for attribute, endings in (("variable", ("", "_shape", "_data")), ("camel_name", ("", "Buffer", "Value"))):
        found = [getattr(item, attribute) + ending for item in tensors for ending in endings]
        assert len(set(found)) == len(found) == 3 * (len(names) + 3)
        assert all(is_identifier(name) and name.strip("_") for name in found)
    assert [item.variable for item in part.inputs[:2]] == ["z_1", "z1"]
    assert [item.camel_name for item in part.inputs[:2]] == ["z1", "z1_"]
