"""verify and bench on a fleet, from the command line."""

import json
import re
import signal
import time
from xml.etree import ElementTree

import pytest

SITES = ("berlin", "oslo")


@pytest.fixture
def fleet_file(tmp_path):
    """A file with eight devices of two models."""
    lines = ["at_once = 4", '[groups.pixel-6]\nlabels = { model = "pixel-6" }', '[groups.pi]\nlabels = {model = "pi"}']
    for number in range(8):
        group = "pixel-6" if number < 6 else "pi"
        lines.append(f'[[devices]]\nname = "d{number}"\ntarget = "simulated://d{number}"\ngroup = "{group}"')
        lines.append(f'labels = {{ site = "{SITES[number % 2]}" }}')
    path = tmp_path / "fleet.toml"
    path.write_text("\n".join(lines))
    return path


def test_verify_writes_all_of_its_files(command, devices, fleet_file, bundles, tmp_path):
    outs = {kind: tmp_path / f"v.{kind}" for kind in ("json", "junit", "html", "markdown")}
    words = [word for kind, path in outs.items() for word in (f"--{kind}", path)]
    words += ["--save-worst", tmp_path / "worst"]
    bundle = bundles.make_bundle(tmp_path / "b")
    with devices.simulated({"d2": devices.Behaviour(lost_after=0)}):
        done = command("verify", bundle, "--targets", fleet_file, "--select", "model=pixel-6", *words, "--quiet")
    assert done.code == 3
    assert "d2 (pixel-6): lost: the cable was pulled" in done.out
    said = "Incomplete: no check failed; 5 of 6 devices ran everything; 1 lost"
    assert done.out.rstrip().endswith(said)
    # One verdict in every form.
    assert not [text for text in (done.out, *(path.read_text() for path in outs.values())) if "FAIL" in text]
    document = json.loads(outs["json"].read_text())
    assert (document["passed"], document["verdict"]) == (False, "incomplete")
    fleet = document["fleet"]
    assert [device["name"] for device in fleet["devices"]] == [f"d{number}" for number in range(6)]
    assert fleet["selection"] == "model=pixel-6"
    suites = ElementTree.fromstring(outs["junit"].read_text()).findall("testsuite")
    assert [suite.get("name") for suite in suites] == [f"d{number}" for number in range(6)]
    assert (suites[2].get("errors"), suites[2].get("failures")) == ("2", "0")
    saved = {folder.name: len(list(folder.glob("*.npy"))) for folder in (tmp_path / "worst").iterdir()}
    assert sorted(saved) == ["d0", "d1", "d3", "d4", "d5"]
    assert all(saved.values())
    page = outs["html"].read_text()
    assert f'<p class="verdict incomplete">{said}.</p>' in page
    assert "the cable was pulled" in page
    assert "- d2 (pixel-6): lost: the cable was pulled" in outs["markdown"].read_text()


def test_a_device_whose_worst_inputs_cannot_be_written_is_not_lost(command, devices, fleet_file, bundles, tmp_path):
    bundle, worst = bundles.make_bundle(tmp_path / "b"), tmp_path / "worst"
    worst.mkdir()
    (worst / "d3").write_text("in the way")
    with devices.simulated({}):
        done = command("verify", bundle, "--targets", fleet_file, "--save-worst", worst, "--quiet")
    assert done.code == 0
    assert "d3: the worst inputs could not be written" in done.out
    assert (worst / "d2").is_dir()


def test_bench_names_outliers(command, devices, fleet_file, bundles, tmp_path):
    bundle, page, result = bundles.make_bundle(tmp_path / "b"), tmp_path / "b.html", tmp_path / "b.json"
    with devices.simulated({"d4": devices.Behaviour(times=3.0)}):
        words = ("--json", result, "--html", page, "--artifacts", "decoder.*", "--quiet")
        done = command("bench", bundle, "--targets", fleet_file, *words)
    assert done.code == 0, done
    assert "d4 x3.00" in done.out
    assert "an outlier is a device whose modified z-score is above 5" in done.out
    assert 'class="apart"><title>d4: 3.1 ms</title>' in page.read_text()
    assert page.read_text().count("<h3>") == 2


def test_an_interruption_writes_what_was_done(command, devices, fleet_file, bundles, tmp_path):
    result, bundle, seen = tmp_path / "v.json", bundles.make_bundle(tmp_path / "b"), []

    def interrupt(method):
        seen.append(method)
        if len(seen) == 14:  # the first artifact on the fifth device
            signal.raise_signal(signal.SIGINT)
            time.sleep(1.0)

    behaviours = {f"d{number}": devices.Behaviour(before=interrupt) for number in range(8)}
    fleet_file.write_text(fleet_file.read_text().replace("at_once = 4", "at_once = 1"))
    # Where the tests themselves run in the background of a script, the signal is ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with devices.simulated(behaviours):
            done = command("verify", bundle, "--targets", fleet_file, "--json", result, "--quiet")
    finally:
        signal.signal(signal.SIGINT, before)
    assert done.code == 130
    assert "interrupted; the results of 4 of 8 devices were written to" in done.err
    found = json.loads(result.read_text())["fleet"]["devices"]
    assert [device["state"] for device in found] == ["done"] * 4 + ["partial"] + ["lost"] * 3
    assert [device["reason"] for device in found[4:]] == [
        "1 artifact: interrupted",
        *["interrupted before it began"] * 3,
    ]


def test_what_is_wrong_is_said_first(refused, devices, fleet_file, bundles, tmp_path):
    bundle, original = bundles.make_bundle(tmp_path / "b"), fleet_file.read_text()
    verify = ("verify", bundle, "--targets")
    with devices.simulated({}) as gauge:
        refused("--select needs a fleet", *verify, "host", "--select", "model=pi")
        refused("has model=pie: did you mean 'pi'", *verify, fleet_file, "--select", "model=pie")
        refused("--thorough cannot be used with a fleet", *verify, fleet_file, "--thorough")
        refused("names .*fleet.toml, which this command reads", *verify, fleet_file, "--json", fleet_file)
        refused("the fleet .*no.toml does not exist", *verify, tmp_path / "no.toml")
        refused("a fleet such as .* stands alone", *verify, f"host,{fleet_file}")
        refused("a fleet such as .* stands alone", "matrix", bundle, "--targets", fleet_file)
        refused("--paced cannot be used", "bench", bundle, "--targets", fleet_file, "--paced", "10")
    assert gauge.together == []
    assert fleet_file.read_text() == original


def test_the_targets_of_a_fleet_are_listed(command, tmp_path):
    path = tmp_path / "fleet.toml"
    path.write_text('[[devices]]\nname = "desk"\ntarget = "host"\n[[devices]]\nname = "no"\ntarget = "android:R9"\n')
    listed = command("targets", "list", path)
    assert listed.code == 3
    assert re.search(r"\ndesk +host ", listed.out)
    assert re.search(r"\nno +android:R9 ", listed.out)
    assert listed.out.count("works") == 1
