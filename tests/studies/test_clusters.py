"""The campaign of kills on a cluster, in short."""

import json
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are looked for in /proc")


@pytest.mark.slow
def test_two_kills_lose_and_double_nothing(study, bundles, tmp_path, capsys):
    clusters = study("clusters")
    record = tmp_path / "c.json"
    bundle = str(bundles.make_bundle(tmp_path / "b"))
    words = [bundle, "--parts", "kills", "--kills", "2", "--killed-items", "2100", "--within", "4"]
    assert clusters.main([*words, "--json", str(record)]) == 0, capsys.readouterr()
    found = json.loads(record.read_text())["kills"]
    assert [trial["killed"] for trial in found["trials"]] == ["worker", "command"]
    assert found["outputs_compared"] >= 1
    assert (found["wrong_outputs"], found["left_behind"], found["processes_left"]) == (0, [], 0)
    assert str(tmp_path) not in record.read_text()


def test_an_unknown_part_is_refused(study, capsys):
    assert study("clusters").main(["demo", "--parts", "memry"]) == 2
    assert "unknown part 'memry': did you mean 'memory'?" in capsys.readouterr().err
