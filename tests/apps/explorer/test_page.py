import contextlib
import json
import shutil
import subprocess
import threading
from pathlib import Path

import numpy as np
import pytest

import pocketvae
from pocketvae.apps import LatentPath, SiteServer, between, site_files
from pocketvae.apps.explorer import web_runtime
from pocketvae.errors import TargetError
from pocketvae.numerics.noise import normal_noise, normal_table
from pocketvae.numerics.pixels import to_pixels

PAGE = Path(__file__).parents[3] / "apps" / "explorer" / "page"
# So long that only what hangs for ever fails: the machine may be busy with anything.
_LIMIT_S = 300
PHONE = {"width": 390, "height": 844}


@pytest.fixture
def bundle(tmp_path, bundles):
    with pocketvae.open(bundles.make_bundle(tmp_path / "b")) as opened:
        yield opened


@contextlib.contextmanager
def served(bundle):
    """Serves a bundle's site until the block ends, however it ends."""
    with SiteServer(site_files(bundle)) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        try:
            yield serving
        finally:
            serving.shutdown()


def run_javascript(code):
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    done = subprocess.run(
        [node, "--input-type=module", "-e", code],
        cwd=PAGE,
        capture_output=True,
        text=True,
        check=False,
        timeout=_LIMIT_S,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def table_file(tmp_path):
    (tmp_path / "noise.bin").write_bytes(normal_table().astype("<f4").tobytes())
    return tmp_path / "noise.bin"


def test_noise_in_javascript_has_the_same_bits(table_file):
    pairs = [(0, 0), (7, 3), (-1, 5), (2**31 - 1, -(2**31)), (-(2**31), 2**31 - 1), (123456789, -987654321)]
    code = f"""
import {{ readFileSync }} from "node:fs";
import {{ normalNoise, threefry }} from "./noise.js";
const table = new Float32Array(readFileSync({json.dumps(str(table_file))}).buffer.slice(0));
const bytes = readFileSync({json.dumps(str(table_file))});
const exact = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
const pairs = {json.dumps(pairs)};
const bits = pairs.map(([s, i]) => [...new Int32Array(normalNoise(exact, s, i, 17).buffer)]);
console.log(JSON.stringify({{ bits, known: threefry(0, 0, 0, 0).map((x) => x >>> 0) }}));
"""
    result = run_javascript(code)
    assert result["known"] == [0x6B200159, 0x99BA4EFE]  # Random123's known answer
    expected = normal_noise([seed for seed, _ in pairs], [index for _, index in pairs], 17).view(np.int32)
    assert result["bits"] == expected.tolist()


def test_great_circles_in_javascript_are_the_same():
    ends = np.random.default_rng(0).normal(size=(2, 6)).astype(np.float32)
    code = f"""
import {{ spherical }} from "./latents.js";
const [first, last] = {json.dumps(ends.tolist())};
console.log(JSON.stringify([0, 0.25, 0.5, 0.75, 1].map((share) => spherical(first, last, share))));
"""
    np.testing.assert_allclose(run_javascript(code), between(ends[0], ends[1], 5, LatentPath.SPHERICAL), rtol=1e-5)


# What models.js takes of onnxruntime-web, for a decoder whose first output is not its image.
RUNTIME = """
const outputs = { x_log_var: { data: Float32Array.of(9) }, image: { data: Float32Array.of(1) } };
export const env = { wasm: {} };
export class Tensor {}
export const InferenceSession = {
  create: async () => ({ inputNames: ["z"], outputNames: Object.keys(outputs), run: async () => outputs }),
};
"""


def test_of_several_outputs_the_page_shows_the_data(tmp_path):
    for name in ("models.js", "latents.js"):
        shutil.copy(PAGE / name, tmp_path)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "runtime").mkdir()
    (tmp_path / "runtime/ort.wasm.bundle.min.mjs").write_text(RUNTIME)
    code = f"""
globalThis.fetch = async () => new Response("");
const {{ decode }} = await import({json.dumps((tmp_path / "models.js").as_uri())});
const {{ item }} = await decode("d.onnx", [0, 0], 0, [{{ name: "z", shape: [2] }}], "image");
console.log(JSON.stringify([...item]));
"""
    assert run_javascript(code) == [1]


@pytest.mark.parametrize("high", [1.0, 255.0, 7.3])
def test_pixels_in_javascript_are_the_same(high):
    steps = np.arange(-1, 256, dtype=np.float32) + np.float32(0.5)
    values = steps * np.float32(high) / np.float32(255)
    code = f"""
import {{ pixelsOf }} from "./pixels.js";
console.log(JSON.stringify({json.dumps(values.tolist())}.map(pixelsOf([0, {high}]))));
"""
    assert run_javascript(code) == to_pixels(values, (0.0, high)).tolist()


def test_curves_in_javascript_end_at_the_edge_and_volumes_are_their_mean():
    code = """
import { curves, meanAlongDepth } from "./pictures.js";
console.log(JSON.stringify([
  curves([0, 1, 2, NaN, -5, 9], [3, 2], [0, 2]), curves([1], [1], [0, 2]),
  [...meanAlongDepth([1, 2, 3, 4, 3, 2, 1, 0], [2, 2, 2, 1])],
]));
"""
    assert run_javascript(code) == [[[0, 1, 0], [0.5, 1, 1]], [[0.5]], [2, 2, 2, 2]]


def test_numbers_that_mean_nothing_are_refused_in_javascript():
    code = """
import { temperature, wholeNumber } from "./numbers.js";
const tried = (work) => { try { return work(); } catch (error) { return `${error.name}: ${error.message}`; } };
const whole = ["0", "-2147483648", "2147483647", "2147483648", "1.5", "x"];
const scales = ["0", "0.5", "-1", "1e999", "x"];
console.log(JSON.stringify([
  whole.map((text) => tried(() => wholeNumber(text, "Seed"))), scales.map((text) => tried(() => temperature(text))),
]));
"""
    whole, scales = run_javascript(code)
    message = "RangeError: Seed must be a whole number from -2147483648 to 2147483647, got"
    assert whole == [0, -(2**31), 2**31 - 1, f"{message} 2147483648", f"{message} 1.5", f"{message} x"]
    assert scales == [
        0,
        0.5,
        *(f"RangeError: Temperature must be at least 0, got {text}" for text in ("-1", "1e999", "x")),
    ]


@pytest.fixture(scope="module")
def chromium(browser):
    try:
        web_runtime.runtime_files()
    except TargetError as e:
        pytest.skip(str(e))
    return browser


@pytest.fixture
def page(chromium, bundle):
    with served(bundle) as serving, contextlib.closing(chromium.new_page(viewport=PHONE)) as page:
        page.set_default_timeout(1000 * _LIMIT_S)
        problems, addresses = [], []
        page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda request: addresses.append(request.url))
        page.goto(serving.address)
        page.wait_for_selector("body[data-shown]")
        yield page
        assert problems == []
        outside = [url for url in addresses if not url.startswith((serving.address, "data:"))]
        assert outside == []


def shown(page):
    """Returns the pixels on the canvas, `[H, W]`, and the latent of the sliders by dimension."""
    pixels = page.locator("#image").evaluate(
        "c => Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data)"
    )
    return np.array(pixels, np.uint8).reshape(6, 6, 4)[..., 0]


def after(page, action):
    count = int(page.locator("body").get_attribute("data-shown"))
    action()
    page.wait_for_function(f"Number(document.body.dataset.shown) > {count}")


@pytest.mark.slow
def test_the_page_shows_what_numpy_computes(page, bundle):
    decoder = bundle.decoder()

    def expected(z):
        return decoder.decode_pixels(z)[0, ..., 0].astype(int)

    start = bundle.sample_latents(0, 0)
    assert np.abs(shown(page) - expected(start)).max() <= 1
    after(page, lambda: page.fill("#seed", "-7"))
    assert np.abs(shown(page) - expected(bundle.sample_latents(-7, 0))).max() <= 1
    after(page, lambda: page.click("#next"))
    assert np.abs(shown(page) - expected(bundle.sample_latents(-7, 1))).max() <= 1
    after(page, lambda: page.fill("#temperature", "0.5"))
    assert np.abs(shown(page) - expected(bundle.sample_latents(-7, 1, temperature=0.5))).max() <= 1
    assert "ms, median of" in page.inner_text("#latency")
    assert "largest difference 0.00 of 255" in page.inner_text("#deviation")
    assert "ort.InferenceSession" in page.inner_text("#code")


@pytest.mark.slow
def test_the_page_begins_with_what_differs_from_float32(chromium, bundle):
    with served(bundle) as serving, contextlib.closing(chromium.new_page(viewport=PHONE)) as page:
        page.set_default_timeout(1000 * _LIMIT_S)

        def with_int8(route):
            document = route.fetch().json()
            [decoder] = document["decoders"]
            # The same file under another name.
            document["decoders"].append({**decoder, "precision": "int8", "file": f"{decoder['file']}#int8"})
            route.fulfill(json=document)

        page.route("**/bundle.json", with_int8)
        page.goto(serving.address)
        page.wait_for_selector("body[data-shown]")
        assert page.locator("#artifact option:checked").inner_text().startswith("int8, ")


@pytest.mark.slow
def test_the_image_stays_in_sight_on_a_phone(page):
    last = page.locator("#sliders input").last
    last.scroll_into_view_if_needed()
    box, height = page.locator("#image").bounding_box(), PHONE["height"]
    assert 0 <= box["y"] < height / 4
    assert box["y"] + box["height"] < last.bounding_box()["y"] + 1


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_screen_readers_can_use_the_page(page, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    page.emulate_media(color_scheme=scheme)
    assert [item["id"] for item in axe.Axe().run(page).response["violations"]] == []
    assert page.get_by_role("img").count() == 3


@pytest.mark.slow
def test_the_page_works_with_the_keyboard_on_a_phone(page, bundle):
    start = bundle.sample_latents(0, 0)[0]
    slider = page.locator("#sliders input").first
    dimension = int(slider.get_attribute("data-dimension"))
    slider.focus()
    after(page, lambda: page.keyboard.press("End"))
    moved = start.copy()
    moved[dimension] = 4
    assert np.abs(shown(page) - bundle.decoder().decode_pixels(moved)[0, ..., 0].astype(int)).max() <= 1
    after(page, lambda: page.keyboard.press("r"))
    assert np.abs(shown(page) - bundle.decoder().decode_pixels(start)[0, ..., 0].astype(int)).max() <= 1
    after(page, lambda: page.keyboard.press("n"))
    assert page.input_value("#index") == "1"
    assert page.evaluate_handle("document.documentElement").evaluate("e => e.scrollWidth <= e.clientWidth")


@pytest.mark.slow
def test_the_page_says_what_is_wrong_and_takes_it_back(page, bundle):
    before = shown(page)
    page.fill("#seed", "2147483648")
    page.wait_for_selector("#message:not([hidden])")
    assert page.inner_text("#message").startswith("Seed must be a whole number from -2147483648")
    assert np.array_equal(shown(page), before)
    after(page, lambda: page.fill("#seed", "2147483647"))
    page.wait_for_selector("#message", state="hidden")
    page.fill("#temperature", "-1")
    page.wait_for_selector("#message:not([hidden])")
    assert page.inner_text("#message") == "Temperature must be at least 0, got -1"
    after(page, lambda: page.fill("#temperature", "8"))
    page.wait_for_selector("#message", state="hidden")
    # Beyond the slider's end its value is still that of the latent.
    z = bundle.sample_latents(2**31 - 1, 0, temperature=8.0)[0]
    assert np.abs(z).max() > 4
    for row in page.locator("#sliders label").all():
        dimension = int(row.locator("input").get_attribute("data-dimension"))
        assert float(row.locator("output").inner_text()) == pytest.approx(z[dimension], abs=0.006)


@pytest.mark.slow
def test_without_a_clipboard_the_code_is_marked(page):
    page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    page.click("#copy")
    page.wait_for_function("document.getElementById('copy').textContent === 'Press Ctrl-C'")
    assert page.evaluate("getSelection().toString()").strip() == page.inner_text("#code").strip()


@pytest.mark.slow
def test_before_the_first_image_the_page_says_that_it_loads(chromium, bundle):
    with served(bundle) as serving, contextlib.closing(chromium.new_page(viewport=PHONE)) as page:
        page.set_default_timeout(1000 * _LIMIT_S)
        held = []
        page.route("**/runtime/*.mjs", lambda route: held.append(route))
        page.goto(serving.address, wait_until="commit")
        page.wait_for_selector("#sliders input", state="attached")
        assert page.inner_text("#latency") == "Loading the decoder …"
        assert page.locator("main").is_hidden()
        assert page.get_attribute("#latency", "role") is None
        while not held:
            page.wait_for_timeout(10)
        held[0].abort()
        page.wait_for_selector("#message:not([hidden])")
        assert page.inner_text("#message").startswith("The page could not be loaded: ")
        assert page.inner_text("#latency") == ""
