import io
import re

import pytest

from pocketvae.cli.terminal import Terminal
from pocketvae.progress import Progress


def test_a_log_gets_a_line_when_a_stage_begins_and_ends(capsys):
    with Terminal(quiet=False) as terminal:
        for done in range(101):
            terminal.step(Progress(stage="training", done=done, total=100, detail="loss 3.0"))
        terminal.step(Progress(stage="exporting", done=0, total=2))
    assert capsys.readouterr().err.splitlines() == [
        "training 0/100: loss 3.0",
        "training 100/100: loss 3.0",
        "exporting 0/2",
    ]


def test_a_log_gets_a_line_for_each_tenth_at_most(capsys, monkeypatch):
    hours = iter(range(0, 10**9, 3600))  # every step takes an hour
    monkeypatch.setattr("time.monotonic", lambda: float(next(hours)))
    with Terminal(quiet=False) as terminal:
        for done in range(501):
            terminal.step(Progress(stage="training", done=done, total=500))
    assert capsys.readouterr().err.splitlines() == [f"training {done}/500" for done in range(0, 501, 50)]


def test_the_next_command_can_be_copied_and_is_no_result(capsys):
    with Terminal(quiet=False) as terminal:
        terminal.next("verify", "my bundle")
    captured = capsys.readouterr()
    assert captured.err == "next: pocketvae verify 'my bundle'\n"
    assert captured.out == ""


def test_warnings_are_printed_even_when_quiet(capsys):
    with Terminal(quiet=True) as terminal:
        terminal.step(Progress(stage="training", done=0, total=100))
        terminal.warn("the figures are unstable [x]")
    captured = capsys.readouterr()
    assert captured.err == "pocketvae: warning: the figures are unstable [x]\n"
    assert captured.out == ""


def test_a_table_keeps_brackets_and_aligns_figures(capsys):
    with Terminal(quiet=False) as terminal:
        terminal.table(["name", "kB"], [["[bold]x", "3"], ["y", "1200"]])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("[bold]x")
    assert lines[1].rstrip().endswith("   3")


def terminal_of(monkeypatch):
    """Makes stderr a terminal of 100 columns and returns what will be written to it."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    written = io.StringIO()
    written.isatty = lambda: True
    monkeypatch.setattr("sys.stderr", written)
    return written


def last_frame(screen):
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen.getvalue()).rstrip().splitlines()[-1]


def test_a_stage_shows_the_time_it_has_taken_and_ends_at_100_percent(monkeypatch):
    screen = terminal_of(monkeypatch)
    with Terminal(quiet=False) as terminal:
        terminal.step(Progress(stage="training", done=3, total=10, detail="epoch 3"))
    assert re.match(r"\s*0:00:0\d training .* 100% .*epoch 3", last_frame(screen))


def test_a_stage_that_fails_stays_where_it_was(monkeypatch):
    screen = terminal_of(monkeypatch)

    def fail():
        with Terminal(quiet=False) as terminal:
            terminal.step(Progress(stage="training", done=3, total=10))
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fail()
    assert " 30% " in last_frame(screen)
