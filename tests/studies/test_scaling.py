import subprocess
import sys
from pathlib import Path

import pytest

STUDIES = Path(__file__).parents[2] / "studies"


def test_help_says_what_is_done():
    command = [sys.executable, str(STUDIES / "scaling.py"), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    assert "--json FILE" in done.stdout


def test_a_record_that_cannot_be_written_is_refused_before_any_work(study, tmp_path, capsys):
    script = study("scaling")
    (tmp_path / "r.json").write_text("kept")
    assert script.main(["--json", str(tmp_path / "r.json")]) == 2
    assert "pass --force to replace it" in capsys.readouterr().err
    assert script.main(["--json", str(tmp_path / "no" / "r.json")]) == 2
    assert "the output's folder must exist" in capsys.readouterr().err
    assert (tmp_path / "r.json").read_text() == "kept"


def test_numbers_that_make_no_sense_are_refused(study, capsys):
    assert study("scaling").main(["--sides", "28,big"]) == 2
    assert "whole numbers such as 28,64, got '28,big'" in capsys.readouterr().err


def test_a_decoder_whose_work_is_not_known_is_reported(study):
    scaling = study("scaling")
    with pytest.raises(scaling.TargetError, match="multiply-adds of none of its rows"):
        scaling.multiply_adds(())


def decoder(scaling, side, parameters, multiply_adds, cost):
    step = scaling.Step(wall_s=cost, peak_rss_bytes=int(1e6))
    return scaling.Decoder(
        side=side,
        parameters=parameters,
        multiply_adds=multiply_adds,
        steps=dict.fromkeys(("export", "verify", "bench"), step),
        median_s={"decoder.float32.onnx": cost},
        size_bytes={"decoder.float32.onnx": parameters * 4},
    )


def test_growth_is_measured_against_the_work_that_grows_most(study):
    scaling = study("scaling")
    small = decoder(scaling, 28, 10**5, 10**6, 1.0)
    fair = decoder(scaling, 56, 10**5, 10**7, 10.0)
    steep = decoder(scaling, 56, 10**5, 10**7, 100.0)
    other = decoder(scaling, 14, 10**6, 10**7, 1000.0)
    assert scaling.growth([small, fair])["export time"] == pytest.approx(1.0)
    assert scaling.growth([small, steep])["verify time"] == pytest.approx(2.0)
    assert scaling.growth([small, steep])["verify memory"] == 0
    # A decoder that is smaller in one way and larger in another says nothing.
    assert scaling.growth([small, fair, other]) == scaling.growth([small, fair])
    page = scaling.page([small, fair])
    assert page.count("<svg") == 4
    assert "<script" not in page
