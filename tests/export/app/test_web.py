"""The project for the web: Node.js runs its test, and Chromium its page with both runtimes."""

import json
import os
import shutil
import subprocess
from contextlib import closing, contextmanager

import numpy as np
import pytest

from pocketvae.bundle.demo import demo_folder
from pocketvae.export.app import write_app
from pocketvae.export.app.plan import METRICS, plan_app
from pocketvae.export.app.web import web_files
from pocketvae.numerics.metrics import measure
from pocketvae.numerics.tolerance import Tolerance
from pocketvae.spec import Format


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A project whose packages are installed."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not installed")
    folder = tmp_path_factory.mktemp("site") / "app"
    write_app(demo_folder(), "web", folder, name="Digits")
    install = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"]
    done = subprocess.run(install, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        pytest.skip(f"npm cannot install the runtimes: {done.stderr.strip().splitlines()[-1:]}")
    return folder


def node(folder, *words):
    return subprocess.run(["node", *words], cwd=folder, capture_output=True, text=True, check=False, timeout=300)


@pytest.mark.slow
def test_its_test_passes_and_finds_a_wrong_model(site):
    done = node(site, "test.mjs")
    assert done.returncode == 0, done.stderr
    assert "passed  p99_abs" in done.stdout
    goldens = site / "goldens.json"
    content = goldens.read_text("utf-8")
    changed = json.loads(content)
    changed["inputs"]["seed"][-1] ^= 1
    try:
        goldens.write_text(json.dumps(changed), "utf-8")
        done = node(site, "test.mjs")
    finally:
        goldens.write_text(content, "utf-8")
    assert done.returncode == 1, done.stderr
    assert "FAILED" in done.stdout


@pytest.mark.slow
def test_no_limit_is_no_success(site):
    goldens = site / "goldens.json"
    content = goldens.read_text("utf-8")
    try:
        goldens.write_text(json.dumps(json.loads(content) | {"limits": {"generator.int8.onnx": []}}), "utf-8")
        done = node(site, "test.mjs")
    finally:
        goldens.write_text(content, "utf-8")
    assert done.returncode == 1
    assert "generator.int8.onnx has no limit that can be checked here" in done.stderr


MEASURE = """
import { measure } from "./goldens.mjs";
const { metrics, difference, span } = JSON.parse(process.argv[1]);
console.log(JSON.stringify(metrics.map((metric) => measure(metric, Float64Array.from(difference), span))));
const wrong = [Float64Array.from([0, NaN]), Float64Array.from([0, Infinity])];
console.log(measure("p99_abs", wrong[0], 1), measure("max_abs", wrong[1], 1));
"""


def test_its_metrics_are_those_of_verify(tmp_path, demo):
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    (tmp_path / "goldens.mjs").write_text(web_files(plan_app(demo, (Format.ONNX,), "Digits"))["goldens.mjs"], "utf-8")
    rng = np.random.default_rng(0)
    expected, found = (rng.random((2, 4, 4, 1), dtype=np.float32) / 60 for _ in range(2))
    difference = np.abs(expected - found).ravel().tolist()
    given = json.dumps({"metrics": METRICS, "difference": difference, "span": 1.0})
    done = node(tmp_path, "--input-type=module", "-e", MEASURE, given)
    assert done.returncode == 0, done.stderr
    values, not_finite = done.stdout.splitlines()
    assert not_finite == "NaN NaN"
    for metric, value in zip(METRICS, json.loads(values), strict=True):
        tolerance = Tolerance(output="image", metric=metric, limit=1.0, source="test")
        assert value == pytest.approx(measure(tolerance, {"image": expected}, {"image": found}), rel=1e-5), metric


def test_a_bundle_of_one_format_has_one_runtime(demo):
    for format, other in ((Format.TFLITE, "onnxruntime"), (Format.ONNX, "litert")):
        files = web_files(plan_app(demo, (format,), "Digits"))
        text = "".join(content for content in files.values() if isinstance(content, str))
        assert other not in text.lower()
        assert ("test.mjs" in files) == (format is Format.ONNX)


def test_a_model_with_a_class_is_asked_for_it(labelled):
    files = web_files(plan_app(labelled, (Format.ONNX,), "Digits"))
    assert 'id="label" type="number" step="1" min="0" max="9"' in files["index.html"]
    assert "await generate(seed, index, label)" in files["app.mjs"]
    assert 'inputs["label"][sample]' in files["goldens.mjs"]


PIXELS = "[...document.querySelector('#images').getContext('2d').getImageData(0, 0, 112, 112).data]"


@contextmanager
def served(folder):
    """The address of the project's own server."""
    environment = {**os.environ, "PORT": "0"}
    with subprocess.Popen(
        ["node", "server.mjs"], cwd=folder, env=environment, stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


def test_its_server_serves_the_folder_and_nothing_else(tmp_path, demo):
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    from urllib.error import HTTPError
    from urllib.request import urlopen

    write_app(demo.path, "web", tmp_path / "app")
    (tmp_path / "secret.txt").write_text("secret")
    with served(tmp_path / "app") as address:
        with urlopen(address) as answer:
            assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
            assert b'<script type="module" src="app.mjs">' in answer.read()
        for path in ("..%2fsecret.txt", "%2e%2e/secret.txt", "none.html", "%ff"):
            with pytest.raises(HTTPError, match="404"):
                urlopen(f"{address}{path}")


@pytest.mark.slow
def test_its_page_draws_and_checks_with_both_runtimes(site, browser):
    from playwright import sync_api as api

    with served(site) as address, closing(browser.new_page(viewport={"width": 375, "height": 812})) as page:
        problems = []
        page.on("pageerror", lambda problem: problems.append(problem))
        page.goto(address)
        status = page.locator("#status")
        drawn = {}
        for name, model in (("LiteRT.js", "generator.int8.tflite"), ("onnxruntime-web", "generator.int8.onnx")):
            page.select_option("#runtime", name)
            api.expect(status).to_contain_text(f"ms for one image, {name}", timeout=60_000)
            drawn[name] = np.array(
                page.evaluate(
                    "Array.from(document.querySelector('#images').getContext('2d').getImageData(0, 0, 112, 112).data)"
                )
            )
            page.click("#check")
            api.expect(status).to_have_text(f"{model}: draws what the original model drew", timeout=60_000)
            assert page.locator("#results tbody tr").count() >= 1
    assert problems == []
    first, second = drawn.values()
    assert first[::4].max() > 200
    # The same seeds give the same images, but for what 8 bits lose.
    assert np.abs(first - second).mean() < 4


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_anyone_can_read_the_page_on_a_phone(site, scheme, browser):
    from playwright import sync_api as api

    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    opened = browser.new_page(viewport={"width": 320, "height": 600}, color_scheme=scheme)
    with served(site) as address, closing(opened) as page:
        page.goto(address)
        page.select_option("#runtime", "onnxruntime-web")
        page.click("#check")
        api.expect(page.locator("#status")).to_contain_text("the original model", timeout=60_000)
        assert page.evaluate("document.documentElement.scrollWidth") <= 320
        problems = axe.Axe().run(page).response["violations"]
        assert [(item["id"], [node["html"] for node in item["nodes"]][:3]) for item in problems] == []
