"""The project for React Native: TypeScript takes its types beside the published ones, and Node.js runs parts of it."""

import base64
import io
import json
import shutil
import subprocess
import tarfile
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from pocketvae.export.app.plan import METRICS, plan_app
from pocketvae.export.app.react_native import DEVELOPMENT, PACKAGES, react_native_files
from pocketvae.numerics.metrics import measure
from pocketvae.numerics.pixels import to_pixels
from pocketvae.numerics.tolerance import Tolerance
from pocketvae.spec import Component, Format
from tests.export.guide.test_page import half_steps

# What is needed of the packages to know their types, without what these depend on.
TYPED = {
    name: version
    for name, version in (PACKAGES | DEVELOPMENT).items()
    if name.startswith("react-native") or name in ("@types/react", "typescript")
}
TYPED |= {"csstype": "3.2.4", "@react-native/virtualized-lists": PACKAGES["react-native"]}


@pytest.fixture(scope="module")
def project(tmp_path_factory, write_files, labelled):
    """A project, with the packages that its types need."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not installed")
    folder = tmp_path_factory.mktemp("native")
    write_files(react_native_files(plan_app(labelled, (Format.TFLITE,), "Digits")), folder)
    packed = tmp_path_factory.mktemp("packed")
    wanted = [f"{name}@{version}" for name, version in TYPED.items()]
    pack = ["npm", "pack", "--ignore-scripts", "--json", *wanted]
    done = subprocess.run(pack, cwd=packed, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        pytest.skip(f"npm cannot bring the packages: {done.stderr.strip().splitlines()[-1:]}")
    for archive in packed.glob("*.tgz"):
        with tarfile.open(archive) as tar:
            [top] = {name.split("/")[0] for name in tar.getnames() if "/" in name}
            tar.extractall(packed / archive.stem, filter="data")
        found = packed / archive.stem / top
        name = json.loads((found / "package.json").read_text("utf-8"))["name"]
        place = folder / "node_modules" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        found.rename(place)
    return folder


def run(folder, *words):
    return subprocess.run(["node", *words], cwd=folder, capture_output=True, text=True, check=False, timeout=300)


def compiler(folder):
    return str(folder / "node_modules/typescript/bin/tsc")


@pytest.mark.slow
def test_typescript_takes_every_file(project):
    done = run(project, compiler(project))
    assert done.returncode == 0, done.stdout
    view = project / "App.tsx"
    text = view.read_text("utf-8")
    try:
        view.write_text(text.replace("toRgb(image), WIDTH", "toRgb(image), `${WIDTH}`"), "utf-8")
        done = run(project, compiler(project))
    finally:
        view.write_text(text, "utf-8")
    assert "not assignable to parameter of type 'number'" in done.stdout


PROGRAM = """
import { readFile } from "node:fs/promises";
import { check, measure } from "./goldens.js";
import { pngUri } from "./png.js";

const goldens = JSON.parse(await readFile(process.argv[2], "utf-8"));
const { images, metrics, difference, rgb } = JSON.parse(await readFile(process.argv[3], "utf-8"));
let place = 0;
const results = await check(async () => Float32Array.from(images[place++]), goldens, "generator.int8.tflite");
const values = metrics.map((metric) => measure(metric, Float64Array.from(difference), 1));
const uri = pngUri(Uint8Array.from(rgb), 300, 100);
console.log(JSON.stringify({ results, values, uri, lost: measure("p99_abs", Float64Array.of(NaN, 0), 1) }));
"""


@pytest.mark.slow
def test_its_pictures_and_its_comparison_are_right(project, demo, tmp_path):
    options = ["--module", "esnext", "--target", "es2022", "--moduleResolution", "bundler", "--outDir", str(tmp_path)]
    # They import types alone from the rest.
    done = run(project, compiler(project), "--ignoreConfig", *options, "src/png.ts", "src/goldens.ts", "--skipLibCheck")
    if "Unknown compiler option" in done.stdout:
        done = run(project, compiler(project), *options, "src/png.ts", "src/goldens.ts", "--skipLibCheck")
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "program.js").write_text(PROGRAM)
    rng = np.random.default_rng(0)
    images = demo.goldens(Component.GENERATOR).outputs["image"]
    found = images + rng.normal(0, 0.002, images.shape).astype(np.float32)
    rgb = rng.integers(0, 256, (100, 300, 3), np.uint8)
    first, second = (rng.random((2, 4, 4, 1), dtype=np.float32) / 60 for _ in range(2))
    given = {
        "images": found.reshape(len(found), -1).tolist(),
        "metrics": METRICS,
        "difference": np.abs(first - second).ravel().tolist(),
        "rgb": rgb.ravel().tolist(),
    }
    (tmp_path / "given.json").write_text(json.dumps(given))
    done = run(tmp_path, "program.js", str(project / "assets/goldens.json"), "given.json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    kind, _, data = answer["uri"].partition(",")
    assert kind == "data:image/png;base64"
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))), rgb)
    assert answer["lost"] is None
    for metric, value in zip(METRICS, answer["values"], strict=True):
        tolerance = Tolerance(output="image", metric=metric, limit=1.0, source="test")
        assert value == pytest.approx(measure(tolerance, {"image": first}, {"image": second}), rel=1e-5), metric
    limits = {item.metric: item for item in demo.manifest.artifact("generator.int8.tflite").tolerances}
    assert answer["results"]
    for result in answer["results"]:
        expected = measure(limits[result["metric"]], {"image": images}, {"image": found})
        assert result["value"] == pytest.approx(expected, rel=1e-4)
        assert result["passed"] == (expected <= result["limit"])


def test_pixels_are_those_of_the_files_with_pixels(demo, tmp_path):
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    manifest = demo.manifest
    vae = replace(manifest.vae, data_range=(-1.0, 1.0))
    changed = replace(demo, manifest=replace(manifest, vae=vae))
    code = react_native_files(plan_app(changed, (Format.TFLITE,), "Digits"))["src/generator.ts"]
    function = code[code.index("export function toRgb") :].replace("export ", "")
    function = function.replace("(image: Float32Array): Uint8Array", "(image)")
    image = half_steps(vae)
    (tmp_path / "image.bin").write_bytes(image.astype("<f4").tobytes())
    (tmp_path / "drawn.mjs").write_text(
        f'import {{ readFileSync }} from "node:fs";\nconst [WIDTH, HEIGHT] = [28, 28];\n{function}\n'
        'const bytes = new Uint8Array(readFileSync("image.bin"));\n'
        "process.stdout.write(JSON.stringify(Array.from(toRgb(new Float32Array(bytes.buffer)))));\n"
    )
    done = run(tmp_path, "drawn.mjs")
    assert done.returncode == 0, done.stderr
    expected = to_pixels(np.nan_to_num(image, nan=-1.0), (-1.0, 1.0))
    np.testing.assert_array_equal(json.loads(done.stdout)[::3], expected)


def test_the_project_names_published_versions(demo):
    files = react_native_files(plan_app(demo, (Format.TFLITE,), "Digits"))
    package = json.loads(files["package.json"])
    assert package["dependencies"] == dict(PACKAGES)
    assert json.loads(files["app.json"])["name"] == "Digits"
    assert 'require("../assets/generator.int8.tflite")' in files["src/generator.ts"]
