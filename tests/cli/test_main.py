import os
import signal
import subprocess
import sys
import warnings

import numpy as np
import pytest

from pocketvae import errors
from pocketvae.cli import external_models
from pocketvae.cli import main as main_module
from pocketvae.cli.catalogue import COMMANDS
from pocketvae.cli.main import build_parser, main
from pocketvae.errors import SpecError


def test_help_names_every_command_and_the_exit_codes(command):
    outcome = command("--help")
    assert outcome.code == 0
    assert all(name in outcome.out for name in COMMANDS)
    assert "Exit codes" in outcome.out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(command, name):
    outcome = command(name, "--help")
    assert outcome.code == 0
    assert f"pocketvae {name}" in outcome.out
    assert "--quiet" in outcome.out


def test_version(command):
    from pocketvae import __version__

    assert command("--version").out == f"pocketvae {__version__}\n"


def test_no_command_shows_what_there_is(command):
    outcome = command()
    assert outcome.code == 0
    assert outcome.out == command("--help").out


def test_an_option_without_a_command_is_a_usage_error(refused):
    refused("required: COMMAND; pocketvae --help explains", "--quiet")


def test_an_unknown_command_gets_a_close_match(refused):
    refused("unknown command 'verfy': did you mean 'verify'", "verfy", "bundle")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("verify", "bundle", "--jsn", "x"), "unknown option '--jsn': did you mean '--json'"),
        (("verify", "bundle", "--jsn=x"), "unknown option '--jsn': did you mean '--json'"),
        (("export", "--decoder", "", "--out", "x"), "argument --decoder: a file or folder must be named, got ''"),
        (("export", "", "--out", "x"), "argument RUN: a file or folder must be named, got ''"),
        (("train", "--dat", "mnist", "--out", "x"), "required: --data; pocketvae train --help explains"),
        (("train", "--data", "mnist", "--out", "x", "--pre", "y"), "unknown option '--pre': did you mean '--preset'"),
        (("verify",), "required: BUNDLE; pocketvae verify --help explains"),
        (("inspect", "a", "b"), "unrecognized arguments: b; pocketvae inspect --help explains"),
        (("verify", "bundle", "--threads", "two"), "--threads: invalid int value: 'two'"),
        (("--jsn",), "COMMAND"),
    ],
)
def test_wrong_usage_is_one_line_that_helps(refused, words, message):
    assert "explains what is expected" in (text := refused(message, *words)) or "known: " in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("--quiet", "verify", "bundle"),
            "--quiet stands before the command: put it behind, as in pocketvae verify --quiet",
        ),
        (
            ("export", "run", "--out", "x", "--fill-gaps", "3"),
            "--fill-gaps is for user-supplied models: give either RUN or",
        ),
        (("export", "run", "--out", "x", "--latent-scale", "0"), "--latent-scale is for user-supplied models: give"),
    ],
)
def test_options_that_do_not_apply_where_they_stand_are_told_so(refused, words, message):
    refused(message, *words)


@pytest.mark.parametrize(
    ("option", "text", "value"),
    [
        ("condition-range", "-1,1", (-1.0, 1.0)),
        ("image-range", "-1.5,-.5", (-1.5, -0.5)),
        ("latent-shift", "-1e-3", -1e-3),
    ],
)
def test_values_below_0_are_no_options(option, text, value):
    words = ["export", "--decoder", "d.keras", "--out", "x", f"--{option}", text]
    models = external_models.parse(build_parser("export").parse_args(words))
    assert getattr(models, option.replace("-", "_")) == value


def test_options_are_not_abbreviated():
    with pytest.raises(SpecError, match="--data"):
        build_parser("train").parse_args(["train", "--dat", "mnist", "--out", "x"])


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.SpecError("bad"), 2),
        (errors.DataError("bad"), 2),
        (errors.ManifestError("bad"), 2),
        (errors.TargetError("bad"), 3),
        (errors.NothingMadeError("bad"), 1),
        (ModuleNotFoundError("No module named 'pocketvae.x'", name="pocketvae.x"), 3),
        (ModuleNotFoundError("No module named 'x'", name="x"), 70),
        (OSError(28, "No space left on device", "some/file"), 2),
        (MemoryError(), 2),
        (RuntimeError("can't start new thread"), 2),
        (BlockingIOError(11, "Resource temporarily unavailable"), 2),
        (ZeroDivisionError("bad"), 70),
        (KeyboardInterrupt(), 130),
    ],
)
def test_every_error_has_its_exit_code(monkeypatch, capsys, error, code):
    def fail(_):
        raise error

    monkeypatch.setattr(main_module, "_run", fail)
    assert main(["doctor"]) == code
    err = capsys.readouterr().err
    assert len(err.strip().splitlines()) <= 2
    assert "Traceback" not in err


def test_verbose_shows_where(monkeypatch, capsys):
    def fail(_):
        raise errors.DataError("bad pixels")

    monkeypatch.setattr(main_module, "_run", fail)
    assert main(["doctor", "--verbose"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_a_full_disk_names_the_file(monkeypatch, capsys):
    def fail(_):
        raise OSError(28, "No space left on device", "runs/run.json")

    monkeypatch.setattr(main_module, "_run", fail)
    main(["doctor"])
    assert capsys.readouterr().err == "pocketvae: runs/run.json: No space left on device\n"


def test_too_little_memory_says_what_to_do(monkeypatch, capsys):
    def fail(_):
        raise MemoryError("Unable to allocate 931. GiB")

    monkeypatch.setattr(main_module, "_run", fail)
    assert main(["doctor"]) == 2
    message = "pocketvae: not enough memory (Unable to allocate 931. GiB): use fewer or smaller images\n"
    assert capsys.readouterr().err == message


@pytest.mark.posix
def test_a_reader_that_goes_away_is_no_error():
    script = "import sys; from pocketvae.cli.main import main; sys.exit(main(['doctor']))"
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    errors_text = process.stderr.read()
    assert process.wait(60) in (0, 3)
    assert b"Traceback" not in errors_text


@pytest.mark.parametrize("environment", [{}, {"NO_COLOR": "1"}])
def test_a_pipe_gets_no_colours_and_no_bars(environment):
    done = subprocess.run(
        [sys.executable, "-m", "pocketvae.cli.main", "doctor"],
        capture_output=True,
        env={**os.environ, **environment},
        timeout=60,
        check=False,
    )
    assert b"\x1b" not in done.stdout + done.stderr
    assert b"ai-edge-litert" in done.stdout


@pytest.mark.posix
def test_a_terminal_that_is_closed_ends_a_command_as_ctrl_c_does(monkeypatch, capsys):
    monkeypatch.setattr(main_module, "_run", lambda words: signal.raise_signal(signal.SIGHUP) or 0)
    # Where the tests themselves run under nohup, the signal is ignored.
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        assert main(["doctor"]) == 129
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, before)
    assert "interrupted" in capsys.readouterr().err


@pytest.mark.posix
def test_under_nohup_a_command_outlives_its_terminal(monkeypatch):
    monkeypatch.setattr(main_module, "_run", lambda words: signal.raise_signal(signal.SIGHUP) or 0)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert main(["doctor"]) == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_what_was_left_on_another_machine_is_told_in_one_line(monkeypatch, capsys):
    def leave(words):
        warnings.warn("ssh://there: a folder was left there", errors.LeftoverWarning, stacklevel=1)
        return 0

    monkeypatch.setattr(main_module, "_run", leave)
    assert main(["doctor"]) == 0
    assert capsys.readouterr().err == "pocketvae: ssh://there: a folder was left there\n"


def test_warnings_of_others_are_one_line_without_a_place_in_the_source(monkeypatch, capsys):
    def warn(words):
        np.exp(np.float32([1000]))
        warnings.warn("an argument\nis deprecated", UserWarning, stacklevel=1)
        warnings.warn("3 items are far away", errors.DataWarning, stacklevel=1)
        return 0

    monkeypatch.setattr(main_module, "_run", warn)
    assert main(["doctor"]) == 0
    assert capsys.readouterr().err.splitlines() == [
        "pocketvae: warning: numbers left the range of floating point (overflow encountered in exp): --verbose shows "
        "where",
        "pocketvae: warning: an argument is deprecated",
        "pocketvae: warning: 3 items are far away",
    ]
