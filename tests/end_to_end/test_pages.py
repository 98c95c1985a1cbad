"""The pages in a browser: readable by screen readers in both colour schemes, and no wider than a phone."""

import contextlib

import pytest

from pocketvae.benchmarks import BenchConfig, bench_bundle, bench_page, verify_bundle, write_report
from pocketvae.benchmarks.report.contact_sheet import contact_rows
from pocketvae.bundle.bundle import open_bundle

PHONE = {"width": 375, "height": 700}


@pytest.fixture(scope="module")
def pages(tmp_path_factory, bundles, few_values):
    """Pages by name; two of the three have something to complain of."""
    folder = tmp_path_factory.mktemp("pages")
    right = bundles.make_bundle(folder / "right")
    wrong = bundles.make_bundle(folder / "wrong", decoder=bundles.decoder_model(bundles.right_weight() * 2))
    bench = bench_bundle(right, BenchConfig(include_original=False))
    pictures = {"Samples": contact_rows(open_bundle(right))[0].images_png}
    made = {name: folder / f"{name}.html" for name in ("report", "failed", "bench")}
    write_report(right, made["report"], verify_bundle(right), bench, pictures)
    write_report(wrong, made["failed"], verify_bundle(wrong))
    made["bench"].write_text(bench_page(bench, verify_bundle(right)), "utf-8")
    return made


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["report", "failed", "bench"])
def test_anyone_can_read_the_page_on_a_phone(name, scheme, browser, pages):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    with contextlib.closing(browser.new_page(viewport=PHONE, color_scheme=scheme)) as page:
        page.goto(pages[name].as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        problems = axe.Axe().run(page).response["violations"]
        assert [(item["id"], [node["html"] for node in item["nodes"]][:3]) for item in problems] == []


@pytest.mark.slow
def test_pictures_come_before_the_chart_and_the_tables(browser, pages):
    with contextlib.closing(browser.new_page(viewport=PHONE)) as page:
        page.goto(pages["report"].as_uri())
        assert page.locator("h2").all_inner_texts()[:4] == [
            "The model",
            "The same latents, every decoder",
            "What to embed",
            "Artifacts",
        ]
        assert "Embed decoder.float32.onnx: " in page.inner_text("main")
        assert page.locator("svg text.chosen").count() == 1
