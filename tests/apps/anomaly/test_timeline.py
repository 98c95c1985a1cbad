"""Recordings whose anomalies are known: figures, the picture of the score over time, and its command."""

import json
import re

import numpy as np
import pytest

from pocketvae import apps
from pocketvae.cli.main import main
from pocketvae.reporting.timeline_chart import Row, TimelineChart

_STEPS = 6


@pytest.fixture
def recordings(tmp_path, monkeypatch):
    """`normal.csv`, and `faulty.csv` with two events of 30 steps each; six channels at 10 Hz, in `tmp_path`."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name, count, events in (("normal.csv", 1800, ()), ("faulty.csv", 900, (300, 600))):
        values = rng.uniform(0.4, 0.6, (count, 6))
        fault = np.zeros(count, int)
        for first in events:
            fault[first : first + 30] = 1
            values[first : first + 30] = rng.uniform(-5, 5, (30, 6))
        rows = [f"{step / 10:.1f},{fault[step]}," + ",".join(map(repr, values[step].tolist())) for step in range(count)]
        (tmp_path / name).write_text("\n".join(["time,fault,a,b,c,d,e,f", *rows]) + "\n")
    return tmp_path


def _score(bundle, *words):
    return main(["score", str(bundle), "--calibration", "c.json", "--quiet", *words])


def test_events_are_found_in_a_recording(sequence_bundle, recordings, capsys):
    assert _score(sequence_bundle, "normal.csv", "--truth", "fault", "--calibrate") == 0
    capsys.readouterr()
    files = ["--json", "s.json", "--timeline", "t.svg", "--roc", "roc.svg"]
    assert _score(sequence_bundle, "faulty.csv", "--truth", "fault", "--score", "reconstruction", *files) == 0
    printed = capsys.readouterr().out
    assert "2 of 2 events detected, half of them within 0.6 s" in printed
    assert re.search(r"\d+ false alarms? in 84 s of normal operation, [\d.e+]+ a day", printed)
    found = json.loads((recordings / "s.json").read_text())["detection"]["reconstruction"]
    assert (found["normal"], found["anomalous"], found["auroc"]["value"]) == (140, 10, 1.0)
    assert found["alarms"]["delays_s"] == [0.6, 0.6]
    drawn = (recordings / "t.svg").read_text()
    assert drawn.count('class="truth"') == 2
    assert drawn.count('class="channel"') == 6


def test_a_month_without_failures_has_its_scores_and_false_alarms(sequence_bundle, recordings, capsys):
    assert _score(sequence_bundle, "normal.csv", "--truth", "fault", "--calibrate") == 0
    capsys.readouterr()
    files = ["--csv", "s.csv", "--json", "s.json", "--timeline", "t.svg"]
    assert _score(sequence_bundle, "normal.csv", "--truth", "fault", *files) == 0
    printed = capsys.readouterr().out
    assert "no areas under curves, which compare normal sequences with anomalies: every one is normal\n" in printed
    share = re.search(r"\n([\d.]+) % of 300 normal sequences lie above the threshold\n", printed)
    alarms = re.search(
        r"0 of 0 events detected; (\d+) false alarms? in 180 s of normal operation, [\d.e+]+ a day", printed
    )
    rows = (recordings / "s.csv").read_text().splitlines()[1:]
    above = sum(row.endswith(",1") for row in rows)
    assert len(rows) == 300
    assert float(share[1]) == pytest.approx(above / 3, rel=0.01)
    assert 0 < int(alarms[1]) <= above
    found = json.loads((recordings / "s.json").read_text())
    assert found["auroc"] == {}
    assert found["detection"]["density"]["false_positive_rate"] == above / 300
    assert found["detection"]["density"]["auroc"] is None


def test_overlapping_windows_of_two_short_recordings_have_no_interval(sequence_bundle, recordings):
    assert _score(sequence_bundle, "normal.csv", "--truth", "fault", "--calibrate") == 0
    for name in ("normal.csv", "faulty.csv"):
        lines = (recordings / name).read_text().splitlines()
        (recordings / f"short-{name}").write_text("\n".join([lines[0], *lines[300:320]]) + "\n")
    words = ["--channels", "a,b,c,d,e,f", "--stride", "1", "--normal", "short-normal.csv", "--json", "s.json"]
    assert _score(sequence_bundle, "short-faulty.csv", *words) == 0
    found = json.loads((recordings / "s.json").read_text())["detection"]["reconstruction"]
    assert (found["normal"], found["auroc"]["low"], found["auroc"]["high"]) == (15, 0.0, 1.0)
    assert found["alarms"] is None


def test_windows_with_an_anomaly_are_not_calibrated_with(sequence_bundle, recordings):
    assert _score(sequence_bundle, "faulty.csv", "--truth", "fault", "--calibrate", "--false-positive-rate", "0.1") == 0
    document = json.loads((recordings / "c.json").read_text())
    assert document["fitted_items"] + document["held_out_items"] == 140


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["normal.csv", "--truth", "fualt"], "did you mean 'fault'"),
        (["normal.csv", "--truth", "a"], "column a: must be 1 for an anomaly and 0 for none"),
        (["normal.csv", "--truth", "fault", "--roc", "r.svg"], "all 300 are normal: leave it out"),
        (["normal.csv", "--truth", "fault", "--normal", "normal.csv"], "both say which items are anomalies"),
        (["normal.csv", "--truth", "fault", "--channels", "fault,a,b,c,d,e"], "which --channels takes for a channel"),
        (["items.npy", "--truth", "fault"], "are for recordings of time steps"),
        (["items.npy", "--timeline", "t.svg"], "--timeline is for recordings, but items.npy is not one"),
        (["items.npy", "--normal", "nothing.npy"], "nothing.npy, which does not exist"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_it_is_scored(
    sequence_bundle, recordings, capsys, monkeypatch, words, message
):
    np.save("items.npy", np.random.default_rng(1).uniform(0.4, 0.6, (60, _STEPS, 6)).astype(np.float32))
    assert _score(sequence_bundle, "normal.csv", "--truth", "fault", "--calibrate") == 0
    monkeypatch.setattr(apps, "image_features", lambda *_, **__: pytest.fail("it was scored"), raising=False)
    assert _score(sequence_bundle, *words) == 2
    assert message in capsys.readouterr().err


def _chart(scores, **changes):
    count = len(scores)
    flat = np.zeros(count)
    values = {
        "title": "x & y",
        "score_name": "elbo",
        "scores": scores,
        "threshold": 2.0,
        "anomalous": np.zeros(count, np.bool_),
        "parts": (),
        "step": 1.0,
        "unit": "s",
        "rows": [Row(label="<a>", low=flat, high=flat)],
    }
    return TimelineChart(**{**values, **changes}).svg()


def test_a_single_alarm_among_many_windows_is_drawn():
    scores = np.ones(100_000)
    assert 'class="alarm"' not in _chart(scores)
    scores[77_777] = np.finfo(np.float64).max
    drawn = _chart(scores)
    (path,) = re.findall(r'<path d="([^"]*)" class="alarm"', drawn)
    x, top, width, bottom = map(float, re.fullmatch(r"M([\d.]+) ([\d.-]+)h([\d.]+)V([\d.]+)h-[\d.]+z", path).groups())
    assert x <= 84 + 860 * 0.77777 <= x + width
    assert bottom - top > 50
    assert "1 of 100000 windows above the threshold" in drawn


def test_text_is_escaped_and_channels_beyond_twelve_are_counted():
    flat = np.zeros(5)
    drawn = _chart(np.arange(5.0), rows=[Row(label="<a>", low=flat, high=flat)] * 14)
    assert "x &amp; y" in drawn
    assert "&lt;a&gt;" in drawn
    assert "<a>" not in drawn
    assert "2 more channels are not drawn" in drawn


def test_an_event_at_the_end_of_a_recording_is_found(sequence_bundle, recordings, capsys):
    # 903 time steps are 150 windows of 6 and 3 more, in which the event is.
    lines = (recordings / "faulty.csv").read_text().splitlines()
    quiet = [line for line in lines[1:] if line.split(",")[1] == "0"][:900]
    loud = [line for line in lines[1:] if line.split(",")[1] == "1"][:3]
    rows = [",".join([f"{step / 10:.1f}", *line.split(",")[1:]]) for step, line in enumerate([*quiet, *loud])]
    (recordings / "late.csv").write_text("\n".join([lines[0], *rows]) + "\n")
    assert _score(sequence_bundle, "normal.csv", "--truth", "fault", "--calibrate") == 0
    capsys.readouterr()
    words = ["late.csv", "--truth", "fault", "--score", "reconstruction", "--csv", "s.csv"]
    assert _score(sequence_bundle, *words) == 0
    assert "1 of 1 events detected" in capsys.readouterr().out
    last = (recordings / "s.csv").read_text().splitlines()[-1]
    assert last.startswith(f"late.csv:{len(rows) - 6},")
    assert last.endswith(",1")


def test_events_in_parts_too_short_to_be_scored_are_missed_and_told(sequence_bundle, recordings, capsys):
    # The logger stumbles around three of four failures: parts of 4 steps, where a window has 6.
    lines = (recordings / "faulty.csv").read_text().splitlines()
    rows, time = [], 0.0
    for step, line in enumerate(lines[1:]):
        time += 5 if step in (300, 304, 308, 312) else 0.1
        fault = "1" if 300 <= step < 312 or 600 <= step < 630 else "0"
        rows.append(",".join([f"{time:.1f}", fault, *line.split(",")[2:]]))
    (recordings / "gaps.csv").write_text("\n".join([lines[0], *rows]) + "\n")
    assert _score(sequence_bundle, "normal.csv", "--truth", "fault", "--calibrate") == 0
    capsys.readouterr()
    assert _score(sequence_bundle, "gaps.csv", "--truth", "fault", "--json", "s.json") == 0
    printed = capsys.readouterr().out
    assert re.search(
        r"1 of 4 events detected.*; 3 lie in parts of recordings that are shorter than a window, so", printed
    )
    found = json.loads((recordings / "s.json").read_text())["detection"]["density"]["alarms"]
    assert (found["events"], found["detected"], found["too_short"]) == (4, 1, 3)


def test_what_is_in_no_window_is_told(sequence_bundle, recordings, capsys):
    (recordings / "folder").mkdir()
    lines = (recordings / "normal.csv").read_text().splitlines()
    for name, count in (("long.csv", 63), ("short.csv", 4)):
        (recordings / "folder" / name).write_text("\n".join(lines[: count + 1]) + "\n")
    words = ["--channels", "a,b,c,d,e,f", "--quiet"]
    assert main(["encode", str(sequence_bundle), "folder", "--out", "z.npz", *words]) == 0
    told = capsys.readouterr().err
    assert "folder: 1 of 2 recordings is shorter than a window of 6 time steps, so not used: short.csv (4)" in told
    assert "3 of 67 time steps lie behind the last whole window of their recording, so are not used (4.5 %)" in told
    assert _score(sequence_bundle, "normal.csv", *words[:2], "--calibrate") == 0
    capsys.readouterr()
    assert _score(sequence_bundle, "folder", *words[:2], "--csv", "s.csv") == 0
    told = capsys.readouterr().err
    assert "so not used: short.csv (4)" in told
    assert "behind the last whole window" not in told
    assert len((recordings / "s.csv").read_text().splitlines()) == 1 + 11


def test_columns_are_those_that_were_calibrated_with_wherever_they_stand(sequence_bundle, recordings, capsys):
    # The model is a user's own, which knows no names.
    lines = [line.split(",") for line in (recordings / "faulty.csv").read_text().splitlines()]
    (recordings / "turned.csv").write_text("\n".join(",".join([*line[:2], *line[:1:-1]]) for line in lines) + "\n")
    (recordings / "renamed.csv").write_text("\n".join(",".join(line) for line in [["time", *"ghijklm"], *lines[1:]]))
    slow = [[f"{float(line[0]) * 2:.1f}", *line[1:]] for line in lines[1:]]
    (recordings / "slow.csv").write_text("\n".join(",".join(line) for line in [lines[0], *slow]))
    assert _score(sequence_bundle, "normal.csv", "--truth", "fault", "--calibrate") == 0
    found = []
    for name in ("faulty.csv", "turned.csv"):
        assert _score(sequence_bundle, name, "--truth", "fault", "--csv", "s.csv", "--force") == 0
        found.append([line.split(",")[1:] for line in (recordings / "s.csv").read_text().splitlines()])
    assert found[0] == found[1]
    capsys.readouterr()
    assert _score(sequence_bundle, "renamed.csv", "--channels", "h,i,j,k,l,m", "--csv", "s.csv", "--force") == 0
    assert _score(sequence_bundle, "slow.csv", "--truth", "fault") == 2
    assert "the rate of those that were calibrated with, 10 Hz, but slow.csv has 5 Hz" in capsys.readouterr().err
    assert _score(sequence_bundle, "renamed.csv") == 2
    assert "renamed.csv" in capsys.readouterr().err


def test_columns_without_names_are_taken_by_their_places(sequence_bundle, recordings):
    for name in ("normal.csv", "faulty.csv"):
        rows = [",".join(line.split(",")[2:]) for line in (recordings / name).read_text().splitlines()]
        (recordings / f"bare-{name}").write_text("\n".join(rows[1:]) + "\n")
        (recordings / f"named-{name}").write_text("\n".join(rows) + "\n")
    for calibrated, scored in (("bare", "named"), ("named", "bare")):
        assert _score(sequence_bundle, f"{calibrated}-normal.csv", "--calibrate", "--force") == 0
        assert _score(sequence_bundle, f"{scored}-faulty.csv", "--csv", "s.csv", "--force") == 0
