import json
import subprocess
import sys
from pathlib import Path

import numpy as np

STUDIES = Path(__file__).parents[2] / "studies"


def test_help_says_what_is_done():
    command = [sys.executable, str(STUDIES / "regression_gate.py"), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    assert "--json FILE" in done.stdout


def test_a_gate_that_misses_or_invents_a_regression_fails(study, tmp_path, bundles, monkeypatch):
    from pocketvae.benchmarks.latency.analyse.verdicts import judge_pairs

    gate = study("regression_gate")
    path = bundles.make_bundle(tmp_path / "b")
    monkeypatch.setattr(gate, "slowed_bundle", lambda bundle, name, folder, slowdown: (path, slowdown))
    slowdowns = {"same": 0.0, "slowed": 0.1}

    def compare(contests, *, margin, level, seed, progress):
        name = "slowed" if len(contests) == 1 else "same"
        drawn = np.log1p(slowdowns[name]) + np.random.default_rng(seed).normal(0, 0.005, 16)
        return [judge_pairs(c.artifact, 1, drawn, margin=margin, alpha=1e-4) for c in contests], {}

    monkeypatch.setattr(gate, "compare", compare)
    artifacts = "decoder.float32.onnx,encoder.float32.onnx"
    words = [str(path), "--comparisons", "3", "--artifacts", artifacts, "--json", str(tmp_path / "r.json")]
    assert gate.main(words) == 0
    assert gate.main(words) == 2, "a record that exists is kept"
    words.append("--force")
    record = json.loads((tmp_path / "r.json").read_text())
    assert record["results"]["identical"]["verdicts"] == {"pass": 6, "regressed": 0, "inconclusive": 0}
    assert record["results"]["slowed"]["comparisons_with_a_regression"] == 10
    assert str(tmp_path) not in (tmp_path / "r.json").read_text()
    slowdowns["slowed"] = 0.0
    assert gate.main(words) == 1
    slowdowns.update(same=0.1, slowed=0.1)
    assert gate.main(words) == 1
    slowdowns.update(same=0.0)
    assert gate.main(words) == 0

    def nothing(contests, **options):
        return ([], {"x": "it was lost"}) if len(contests) == 2 else compare(contests, **options)

    monkeypatch.setattr(gate, "compare", nothing)
    assert gate.main(words) == 1
    assert gate.main([*words, "--comparisons", "0"]) == 2
    assert gate.main([*words, "--slowed-comparisons", "0"]) == 2
