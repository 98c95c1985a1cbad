"""The page that runs a decoder in the browser: its files, its server, and itself in Chromium."""

import contextlib
import http.client
import json
import shutil
import socket
import struct
import subprocess
import threading
import urllib.request
import webbrowser
from pathlib import Path

import numpy as np
import pytest

import pocketvae
from pocketvae import apps
from pocketvae.apps import LatentPath, SiteServer, between, export_site, site_files
from pocketvae.apps.explorer import web_runtime
from pocketvae.cli.main import main
from pocketvae.data.pixels import to_pixels
from pocketvae.errors import DataError, ManifestError, TargetError
from pocketvae.numerics.noise import normal_noise, normal_table
from pocketvae.system import local_server
from pocketvae.system.cache import ONNXRUNTIME_WEB_VERSION

PAGE = Path(__file__).parents[3] / "apps" / "explorer" / "page"
# So long that only what hangs for ever fails: the machine may be busy with anything.
_LIMIT_S = 300
PHONE = {"width": 390, "height": 844}


@pytest.fixture
def runtime(tmp_path, monkeypatch):
    """A runtime that is none, for tests that run no JavaScript."""
    folder = tmp_path / "cache" / f"onnxruntime-web-{ONNXRUNTIME_WEB_VERSION}"
    folder.mkdir(parents=True)
    monkeypatch.setenv("POCKETVAE_CACHE", str(tmp_path / "cache"))
    contents = {name: name.encode() for name in web_runtime.RUNTIME_FILES}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    hashes = {name: pocketvae.system.files.sha256_bytes(content) for name, content in contents.items()}
    monkeypatch.setattr(web_runtime, "RUNTIME_FILES", hashes)
    return folder


@pytest.fixture
def bundle(tmp_path, bundles):
    with pocketvae.open(bundles.make_bundle(tmp_path / "b")) as opened:
        yield opened


@pytest.fixture
def server(bundle, runtime):
    with served(bundle) as serving:
        yield serving


@contextlib.contextmanager
def served(bundle):
    """Serves a bundle's site until the block ends, however it ends."""
    with SiteServer(site_files(bundle)) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        try:
            yield serving
        finally:
            serving.shutdown()


def ask(server, path, host=None, method="GET"):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=_LIMIT_S)
    connection.putrequest(method, path, skip_host=True)
    connection.putheader("Host", host or f"127.0.0.1:{server.server_port}")
    connection.endheaders()
    answer = connection.getresponse()
    return answer.status, dict(answer.getheaders()), answer.read()


def test_the_site_is_served_and_nothing_else(server, bundle):
    status, headers, body = ask(server, "/")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert b"explore.js" in body
    assert "default-src 'self'" in headers["Content-Security-Policy"]
    assert ask(server, "/artifacts/decoder.float32.onnx")[2] == (bundle.path / "decoder.float32.onnx").read_bytes()
    assert ask(server, "/", method="HEAD")[2] == b""
    for path in ("/manifest.json", "/../b/manifest.json", "/artifacts/../manifest.json", "//etc/passwd", "/%2e%2e/b"):
        assert ask(server, path)[0] == 404, path


def test_no_path_breaks_an_answer(server, capfd):
    for path in ("//[", "/[", "/?x=//[", "/%00", "//[::1]/manifest.json"):
        assert ask(server, path)[0] == (200 if path.startswith("/?") else 404), path
    assert capfd.readouterr().err == ""


def test_a_browser_that_goes_away_is_not_heard_of(server, capfd):
    answered = threading.Event()

    # More than the system's buffers hold, so that the server still writes when the browser is gone.
    server.site = {**server.site, "large.bin": bytes(1 << 26)}
    shutdown = server.shutdown_request

    def note(request):
        shutdown(request)
        answered.set()

    server.shutdown_request = note
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=_LIMIT_S)
    connection.request("GET", "/large.bin")
    assert connection.getresponse().read(10) == bytes(10)
    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    assert answered.wait(_LIMIT_S)
    assert capfd.readouterr().err == ""


def test_a_fault_of_the_server_itself_is_shown(server, capfd):
    answered = threading.Event()
    shutdown = server.shutdown_request

    def note(request):
        shutdown(request)
        answered.set()

    server.shutdown_request = note
    server.site = {"index.html": Path("gone")}
    with pytest.raises(http.client.RemoteDisconnected):
        ask(server, "/")
    assert answered.wait(_LIMIT_S)
    assert "FileNotFoundError" in capfd.readouterr().err


def test_the_usual_port_need_not_be_named(server, monkeypatch):
    assert ask(server, "/", host="127.0.0.1")[0] == 403
    monkeypatch.setattr(local_server, "_HTTP_PORT", server.server_port)
    assert ask(server, "/", host="127.0.0.1")[0] == 200
    assert ask(server, "/", host="localhost")[0] == 200
    assert ask(server, "/", host="example.org")[0] == 403


def test_the_page_is_served_while_a_browser_of_the_terminal_is_open(bundle, runtime, monkeypatch):
    found = []

    class Stopped(SiteServer):
        def serve_forever(self, poll_interval=0.5):
            serving = threading.Thread(target=super().serve_forever, daemon=True)
            serving.start()
            assert done.wait(_LIMIT_S)
            self.shutdown()

    done = threading.Event()

    def browse(address):
        with urllib.request.urlopen(address, timeout=_LIMIT_S) as answer:
            found.append(answer.status)
        done.set()

    monkeypatch.setattr(webbrowser, "open", browse)
    monkeypatch.setattr(apps, "SiteServer", Stopped)
    assert main(["explore", str(bundle.path), "--quiet"]) == 0
    assert found == [200]


def test_a_page_of_another_name_may_not_read_it(server):
    assert ask(server, "/", host="example.org")[0] == 403
    assert ask(server, "/", host=f"localhost:{server.server_port}")[0] == 200


def test_a_port_in_use_is_an_error(bundle, runtime, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(DataError, match=f"port {port} is in use: choose another --port"):
            SiteServer({}, port)
        assert main(["explore", str(bundle.path), "--port", str(port), "--no-browser"]) == 2
    assert "is in use" in capsys.readouterr().err


def test_the_exported_site_holds_every_file_and_no_address(bundle, runtime, tmp_path):
    out = tmp_path / "site"
    size = export_site(bundle, out, force=False)
    files = {file.relative_to(out).as_posix(): file.read_bytes() for file in out.rglob("*") if file.is_file()}
    assert set(files) == set(site_files(bundle))
    assert sum(map(len, files.values())) == size
    document = json.loads(files["bundle.json"])
    assert document["decoders"][0]["file"] == "decoder.float32.onnx"
    assert sorted(document["order"]) == [0, 1, 2]
    own = b"".join(content for name, content in files.items() if name.endswith((".html", ".js", ".css")))
    assert b"http:" not in own
    assert b"https:" not in own


def test_force_replaces_a_site_of_explore_alone(bundle, runtime, tmp_path, capsys):
    (tmp_path / "homepage").mkdir()
    (tmp_path / "homepage" / "index.html").write_text("mine")
    words = ["explore", str(bundle.path), "--force", "--quiet", "--export-dir"]
    assert main([*words, str(tmp_path / "homepage")]) == 2
    assert "replaces an empty folder or one with a noise.bin" in capsys.readouterr().err
    assert (tmp_path / "homepage" / "index.html").read_text() == "mine"
    for _ in range(2):
        assert main([*words, str(tmp_path / "site")]) == 0


def test_what_cannot_be_explored_is_refused(bundle, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("POCKETVAE_CACHE", str(tmp_path / "empty"))
    with pytest.raises(TargetError, match="is not set up, .* is missing: run pocketvae explore --setup"):
        site_files(bundle)
    assert main(["explore", str(bundle.path), "--no-browser"]) == 3
    assert main(["explore"]) == 2
    assert "required: BUNDLE" in capsys.readouterr().err
    assert main(["explore", "--setup", str(bundle.path)]) == 2
    assert "--setup does not take a BUNDLE" in capsys.readouterr().err
    monkeypatch.setattr(web_runtime.shutil, "which", lambda _: None)
    assert main(["explore", "--setup"]) == 3
    assert "npm is not installed" in capsys.readouterr().err


def test_a_damaged_runtime_is_refused(runtime):
    (runtime / "ort.wasm.bundle.min.mjs").write_bytes(b"other")
    with pytest.raises(TargetError, match="is damaged: delete it and run pocketvae explore --setup"):
        web_runtime.runtime_files()


@pytest.mark.slow
def test_a_bundle_without_onnx_is_refused(tiny_bundle, runtime, tmp_path):
    with pocketvae.open(tiny_bundle) as bundle:
        artifacts = tuple(record for record in bundle.manifest.artifacts if record.format == "tflite")
        object.__setattr__(bundle.manifest, "artifacts", artifacts)
        with pytest.raises(ManifestError, match="does not have an ONNX decoder"):
            site_files(bundle)


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


@pytest.mark.parametrize("high", [1.0, 255.0, 7.3])
def test_pixels_in_javascript_are_the_same(high):
    steps = np.arange(-1, 256, dtype=np.float32) + np.float32(0.5)
    values = steps * np.float32(high) / np.float32(255)
    code = f"""
import {{ pixelsOf }} from "./pixels.js";
console.log(JSON.stringify({json.dumps(values.tolist())}.map(pixelsOf([0, {high}]))));
"""
    assert run_javascript(code) == to_pixels(values, (0.0, high)).tolist()


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
def chromium():
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium is installed")
    try:
        web_runtime.runtime_files()
    except TargetError as e:
        pytest.skip(str(e))
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


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
