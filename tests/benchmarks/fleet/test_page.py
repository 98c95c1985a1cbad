"""The page and the summary of a fleet."""

import re
from dataclasses import replace

import numpy as np
import pytest

from pocketvae.benchmarks import BenchConfig
from pocketvae.benchmarks.fleet.page import latency_markdown, latency_page, parity_markdown, parity_page
from pocketvae.benchmarks.fleet.run import bench_fleet, verify_fleet
from pocketvae.benchmarks.fleet.tables import devices_table, parity_line, parity_models_table
from pocketvae.benchmarks.not_run import NotRun


@pytest.fixture(scope="module")
def labels():
    return {f"d{number}": {"model": "<pixel>" if number < 8 else "pi", "site": "a & b"} for number in range(10)}


def test_a_page_of_latency_names_outliers_and_who_was_lost(fleet_of, devices, bundles, tmp_path, labels):
    behaviours = {"d2": devices.Behaviour(times=0.5), "d9": devices.Behaviour(lost_after=0)}
    with devices.simulated(behaviours):
        result = bench_fleet(bundles.make_bundle(tmp_path / "b"), fleet_of(labels), BenchConfig()).result
    page = latency_page(result, result.fleet)
    assert "9 of 10 devices ran everything; 1 lost; 1 not like their model." in page
    # A chart of decoders and one of encoders for each model, each for wide screens and for narrow ones.
    assert page.count("<figure>") == 4
    assert page.count("<svg") == 8
    assert page.count('class="apart"') == page.count("<title>d2: 510 µs</title>") == 4
    assert "&lt;pixel&gt;" in page
    assert "<pixel>" not in page
    assert "site a &amp; b" in page
    outliers = page.partition("<h2>Outliers")[2].partition("<h2>")[0]
    assert re.findall(r"<code>(.*?)</code>", outliers) == ["d2"]
    assert ">0.50<" in outliers
    assert ">2 of 2<" in outliers
    lost = page.partition("<h2>Devices that could not run everything")[2].partition("<h2>")[0]
    assert "the cable was pulled" in lost
    assert "d9 (pi): lost: the cable was pulled" in latency_markdown(result, result.fleet)


def test_of_a_fleet_without_outliers_the_rule_is_said_beside_the_charts(fleet_of, devices, bundles, tmp_path, labels):
    with devices.simulated({}):
        result = bench_fleet(bundles.make_bundle(tmp_path / "b"), fleet_of(labels), BenchConfig()).result
    page = latency_page(result, result.fleet)
    assert "There is none here: an outlier is a device whose modified z-score" in page
    assert "<h2>Outliers" not in page
    assert "<h2>Devices that could not" not in page


def test_a_page_of_parity_has_the_worst_case_of_each_model(fleet_of, devices, bundles, tmp_path, labels):
    decoder = bundles.decoder_model(np.zeros_like(bundles.right_weight()))
    with devices.simulated({}):
        result = verify_fleet(bundles.make_bundle(tmp_path / "b", decoder=decoder), fleet_of(labels)).result
    page = parity_page(result, result.fleet)
    assert "A check failed on 10 of 10 devices; 10 of 10 devices ran everything." in page
    line = "decoder.float32.onnx on 8 of 8 devices of &lt;pixel&gt; (d0, d1, d2 and 5 more): image max_abs"
    assert f"<li>{line}</li>" in page
    models = page.partition("<h2>The worst case of each model")[2].partition("<h2>")[0]
    assert models.count("1 of 2 match") == models.count(">FAIL<") == 2
    assert "<svg" not in page
    text = parity_markdown(result, result.fleet)
    assert "| FAIL |" in text
    assert len(text) < 4000


def test_a_model_that_supports_no_artifact_has_no_verdict(fleet_of, devices, bundles, tmp_path, labels):
    with devices.simulated({"d9": devices.Behaviour(lost_after=0)}):
        result = verify_fleet(bundles.make_bundle(tmp_path / "b"), fleet_of(labels)).result
    fleet = replace(result.fleet, parity=())
    assert [row[:2] for row in parity_models_table(result, fleet)[1]] == [["<pixel>", "-"], ["pi", "incomplete"]]


def test_a_device_on_which_nothing_ran_is_seen(fleet_of, devices, bundles, tmp_path, labels):
    with devices.simulated({}):
        result = verify_fleet(bundles.make_bundle(tmp_path / "b"), fleet_of(labels)).result
    declined = tuple(
        NotRun(artifact=name, target="d9", reason="it runs no ONNX")
        for name in ("decoder.float32.onnx", "encoder.float32.onnx")
    )
    checks = tuple(check for check in result.checks if check.target != "d9")
    result = replace(result, checks=checks, declined=declined)
    said = "Every artifact matches the original on every device that runs any; nothing ran on d9"
    assert parity_line(result, result.fleet) == said
    (row,) = [row for row in devices_table(result.fleet, result)[1] if row[0] == "d9"]
    assert row[-4:] == ["nothing ran: it supports none", "", "", "-"]


def test_a_page_of_a_fleet_that_passes_says_so(fleet_of, devices, bundles, tmp_path, labels):
    with devices.simulated({}):
        result = verify_fleet(bundles.make_bundle(tmp_path / "b"), fleet_of(labels)).result
    assert "Every artifact matches the original on every device." in parity_page(result, result.fleet)
