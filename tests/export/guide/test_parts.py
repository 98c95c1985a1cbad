"""The code that scores a stream: it compiles, and what can be run here scores the right windows."""

import json
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest

from pocketvae.export.guide import embed_guide
from pocketvae.spec import Component
from pocketvae.vae_spec import class_label
from tests.export.guide.test_page import STREAM, VAES, manifest, stream_blocks, stream_guide, write_blocks


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
        calls, names = [], {"np": np}

        def score(window, calls=calls):
            calls.append(window.copy())
            return [1.5], [1], [[0.5, 0.25]]

        exec(compile(code[start:], "EMBED.md", "exec"), names)
        names["score"] = score
        watcher = names["Watcher"](hop=3)
        found = {step: watcher.push(sample) for step, sample in enumerate(PUSHES)}
        expected = windows_of(PUSHES, 3)
        assert {step for step, result in found.items() if result} == set(expected)
        assert found[7] == (1.5, True, [0.5, 0.25])
        np.testing.assert_array_equal(np.stack(calls), np.stack(list(expected.values())))


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
