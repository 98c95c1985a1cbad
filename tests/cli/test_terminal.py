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
