"""The Python and JavaScript code of EMBED.md, taken from a real bundle and run; its output is the golden."""

import json
import os
import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest

from pocketvae.bundle.bundle import open_bundle
from pocketvae.export.guide import embed_guide
from pocketvae.numerics.metrics import ELBO_CHANGE, measure
from pocketvae.numerics.pixels import to_pixels
from pocketvae.spec import Component
from tests.export.guide.test_page import VAES, code_blocks, half_steps, manifest

pytestmark = pytest.mark.slow
SAMPLES = 24
FUNCTIONS = {
    Component.DECODER: "decode",
    Component.ENCODER: "encode",
    Component.GENERATOR: "generate",
    Component.SAMPLER: "sample",
}
# What numbers of four digits in JSON or another kernel add to a limit.
SLACK = 1.25


@pytest.fixture(scope="module")
def bundle(tiny_bundle):
    return open_bundle(tiny_bundle)


def code_of(bundle, title):
    text = (bundle.path / "EMBED.md").read_text("utf-8")
    section = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)[1]
    return re.search(r"^```\w+\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)[1]


def goldens_of(bundle, component):
    """Returns some goldens; inputs in the order of the functions' arguments, which JSON does not keep."""
    goldens = bundle.goldens(component)
    chosen = slice(None, None, max(1, goldens.count // SAMPLES))
    names = [spec.name for spec in bundle.manifest.vae.inputs(component)]
    return {n: goldens.inputs[n][chosen] for n in names}, {n: v[chosen] for n, v in goldens.outputs.items()}


def check(bundle, artifact_name, expected, rows):
    """Compares rows of outputs, each in the order in which the code returns them, with the goldens."""
    artifact = bundle.manifest.artifact(artifact_name)
    names = [spec.name for spec in artifact.outputs]
    found = {name: [row[index] for row in rows] for index, name in enumerate(names)}
    shaped = {name: np.asarray(found[name], np.float32).reshape(expected[name].shape) for name in names}
    # Some of the goldens have not got the images that the ELBO's limit needs.
    for tolerance in (item for item in artifact.tolerances if item.metric != ELBO_CHANGE):
        assert measure(tolerance, expected, shaped) <= max(tolerance.limit * SLACK, 1e-7), (artifact_name, tolerance)


def file_of(code, component):
    return re.search(rf'"({component}\.[\w.]+)"', code)[1]


@pytest.mark.parametrize("title", ["Python, LiteRT", "Python, onnxruntime"])
def test_python_code_computes_the_goldens(bundle, monkeypatch, title):
    monkeypatch.chdir(bundle.path)
    code, names = code_of(bundle, title), {}
    exec(compile(code, "EMBED.md", "exec"), names)
    for component, function in FUNCTIONS.items():
        inputs, expected = goldens_of(bundle, component)
        results = [names[function](*values) for values in zip(*inputs.values(), strict=True)]
        rows = [result if isinstance(result, tuple) else (result,) for result in results]
        check(bundle, file_of(code, component), expected, rows)
    pixels = names["to_pixels"](expected_image(bundle))
    assert pixels.dtype == np.uint8
    assert pixels.shape == bundle.manifest.vae.image_shape
    np.testing.assert_allclose(pixels / 255, expected_image(bundle), atol=0.5 / 255 + 1e-6)
    halves = bundle_half_steps(bundle)
    np.testing.assert_array_equal(names["to_pixels"](halves), to_pixels(halves).reshape(pixels.shape))


def bundle_half_steps(bundle):
    """Returns an image of numbers half a step between two pixels."""
    steps = np.arange(np.prod(bundle.manifest.vae.image_shape), dtype=np.float32) % 255 + np.float32(0.5)
    return steps / np.float32(255)


# No image of the goldens is of them: black is not 0, and the scale no power of 2 times 255.
RANGES = ((-1.0, 1.0), (0.0, 255.0), (-2.118, 2.64))


def drawn(data_range):
    """Returns a page whose images have a range, an image of half steps and others, and its pixels."""
    vae = replace(VAES["colour"], data_shape=(20, 20, 3), data_range=data_range)
    image = half_steps(vae)
    return embed_guide(manifest(vae)), image, to_pixels(np.nan_to_num(image, nan=data_range[0]), data_range)


@pytest.mark.parametrize("data_range", RANGES)
def test_python_code_rounds_as_the_files_with_pixels_do(data_range):
    page, image, expected = drawn(data_range)
    blocks = [code for language, code in code_blocks(page) if "def to_pixels" in code]
    assert len(blocks) == 2
    for code in blocks:
        names = {"np": np}
        exec(compile(code[code.index("def to_pixels") :], "EMBED.md", "exec"), names)
        np.testing.assert_array_equal(names["to_pixels"](image).ravel(), expected)


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
@pytest.mark.parametrize("data_range", RANGES)
def test_javascript_code_rounds_as_the_files_with_pixels_do(data_range, tmp_path):
    page, image, expected = drawn(data_range)
    blocks = [code for language, code in code_blocks(page) if "function toRgba" in code]
    assert len(blocks) == 2
    (tmp_path / "image.bin").write_bytes(image.astype("<f4").tobytes())
    for code in blocks:
        function = code[code.index("export function toRgba") :].replace("export ", "")
        (tmp_path / "drawn.mjs").write_text(
            f'import {{ readFileSync }} from "node:fs";\n{function}\n'
            'const bytes = new Uint8Array(readFileSync("image.bin"));\n'
            "process.stdout.write(JSON.stringify(Array.from(toRgba(new Float32Array(bytes.buffer)))));\n"
        )
        done = subprocess.run(
            ["node", "drawn.mjs"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stderr
        rgba = np.array(json.loads(done.stdout)).reshape(-1, 4)
        np.testing.assert_array_equal(rgba[:, :3].ravel(), expected)


@pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")
@pytest.mark.parametrize("data_range", RANGES)
def test_cpp_code_rounds_as_the_files_with_pixels_do(data_range, tmp_path):
    page, image, expected = drawn(data_range)
    blocks = [code for language, code in code_blocks(page) if language == "cpp"]
    assert len(blocks) == 2
    assert len({code[code.index("inline std::vector<uint8_t> to_pixels") :] for code in blocks}) == 1
    code = blocks[0]
    (tmp_path / "drawn.cpp").write_text(
        "#include <algorithm>\n#include <cmath>\n#include <cstdint>\n#include <cstdio>\n#include <vector>\n"
        f"{code[code.index('inline std::vector<uint8_t> to_pixels') :]}\n"
        f"int main() {{\n  std::vector<float> image({image.size});\n"
        "  if (std::fread(image.data(), 4, image.size(), stdin) != image.size()) return 1;\n"
        '  for (int pixel : to_pixels(image)) std::printf("%d ", pixel);\n}\n'
    )
    # What a compiler may fuse on this processor, it does.
    compiler = ["g++", "-std=c++17", "-O3", "-march=native", "-ffp-contract=fast", "drawn.cpp", "-o", "drawn"]
    subprocess.run(compiler, cwd=tmp_path, check=True, timeout=300)
    done = subprocess.run(
        [tmp_path / "drawn"], input=image.astype("<f4").tobytes(), capture_output=True, check=True, timeout=60
    )
    np.testing.assert_array_equal([int(word) for word in done.stdout.split()], expected)


def test_swift_code_rounds_in_the_same_way():
    blocks = [code for language, code in code_blocks(drawn((-1.0, 1.0))[0]) if language == "swift"]
    assert len(blocks) == 2
    for code in blocks:
        assert "let level = (value * 127.5 + 128.0).rounded(.down)" in code
        assert "return level > 0 ? UInt8(min(level, 255)) : 0" in code


def expected_image(bundle):
    return goldens_of(bundle, Component.DECODER)[1]["image"][0]


def test_the_integer_code_computes_the_goldens(bundle, monkeypatch):
    monkeypatch.chdir(bundle.path)
    names = {}
    exec(compile(code_of(bundle, "Integer interface"), "EMBED.md", "exec"), names)
    inputs, expected = goldens_of(bundle, Component.DECODER)
    check(bundle, "decoder.int8_io.tflite", expected, [(names["run"](z),) for z in inputs["z"]])


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """A folder with onnxruntime-web installed."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not installed")
    folder = tmp_path_factory.mktemp("node")
    (folder / "package.json").write_text('{"private": true, "type": "module"}')
    install = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock", "onnxruntime-web"]
    done = subprocess.run(install, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        pytest.skip(f"npm cannot install onnxruntime-web: {done.stderr.strip().splitlines()[-1:]}")
    return folder


RUNNER = """
import { readFile } from "node:fs/promises";

// What a web server does for a page.
globalThis.fetch = async (url) => new Response(await readFile(`${process.env.BUNDLE}/${url}`));
const code = await import("./embed.mjs");
const jobs = JSON.parse(await readFile("jobs.json", "utf-8"));
const results = {};
for (const { name, calls } of jobs) {
  results[name] = [];
  for (const values of calls) {
    const result = await code[name](...values);
    const outputs = result.length === undefined ? Object.values(result) : [result];
    results[name].push(outputs.map((output) => Array.from(output)));
  }
}
const rgba = Array.from(code.toRgba(Float32Array.from(results.decode[0][0])));
const halves = Array.from(code.toRgba(Float32Array.from(JSON.parse(await readFile("halves.json", "utf-8")))));
process.stdout.write(JSON.stringify({ results, rgba, halves }));
"""


def test_javascript_code_computes_the_goldens(bundle, node):
    code = code_of(bundle, "Web, onnxruntime")
    (node / "embed.mjs").write_text(code)
    (node / "run.mjs").write_text(RUNNER)
    goldens = {component: goldens_of(bundle, component) for component in FUNCTIONS}
    jobs = [
        {
            "name": name,
            "calls": [[flat(value) for value in values] for values in zip(*goldens[c][0].values(), strict=True)],
        }
        for c, name in FUNCTIONS.items()
    ]
    (node / "jobs.json").write_text(json.dumps(jobs))
    (node / "halves.json").write_text(json.dumps(bundle_half_steps(bundle).tolist()))
    environment = {**os.environ, "BUNDLE": str(bundle.path)}
    done = subprocess.run(
        ["node", "run.mjs"], cwd=node, env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    for component, name in FUNCTIONS.items():
        check(bundle, file_of(code, component), goldens[component][1], answer["results"][name])
    height, width, _ = bundle.manifest.vae.image_shape
    rgba = np.array(answer["rgba"]).reshape(height, width, 4)
    assert (rgba[..., 3] == 255).all()
    image = np.array(answer["results"]["decode"][0][0]).reshape(height, width)
    np.testing.assert_allclose(rgba[..., 0] / 255, image, atol=0.5 / 255 + 1e-6)
    np.testing.assert_array_equal(answer["halves"][::4], to_pixels(bundle_half_steps(bundle)))


def flat(value):
    return value.ravel().tolist() if value.ndim else value.item()
