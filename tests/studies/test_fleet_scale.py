"""The study that measures fleets, on a small one."""

import json

import pytest


@pytest.fixture
def fleet_scale(study):
    return study("fleet_scale")


def test_a_fleet_is_measured_and_takes_turns(fleet_scale, bundles, tmp_path):
    bundle = bundles.make_bundle(tmp_path / "b")
    one, turns = (fleet_scale.measure(bundle, devices, 1, 0.02) for devices in (1, 3))
    assert (turns.devices, turns.at_once) == (3, 1)
    # Three answers of each device: a greeting and two artifacts.
    assert one.wall_s > 0.06
    assert turns.wall_s > 0.18
    assert turns.peak_rss_bytes > 10e6


def test_a_bundle_that_fails_is_refused(fleet_scale, bundles, tmp_path):
    import numpy as np

    from pocketvae.errors import SpecError

    wrong = bundles.make_bundle(tmp_path / "b", decoder=bundles.decoder_model(np.zeros_like(bundles.right_weight())))
    with pytest.raises(SpecError, match="the bundle must pass, got a failed check"):
        fleet_scale.measure(wrong, 1, 1, 0.0)


def test_a_record_has_every_figure(fleet_scale, bundles, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(fleet_scale, "_RUNS", ((1, 1), (2, 2)))
    monkeypatch.setattr(fleet_scale, "_MODELS", 20)
    record = tmp_path / "r.json"
    words = [str(bundles.make_bundle(tmp_path / "b")), "--delay-ms", "0", "--json", str(record)]
    assert fleet_scale.main(words) == 0
    written = json.loads(record.read_text())
    assert [(cost["devices"], cost["at_once"]) for cost in written["costs"]] == [(1, 1), (2, 2)]
    assert [naming["devices"] for naming in written["namings"]] == [6, 12, 40]
    assert all(naming["found_share"] > 0.5 for naming in written["namings"])
    assert len(capsys.readouterr().out.splitlines()) == 5
