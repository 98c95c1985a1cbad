import contextlib
import signal
import subprocess
import sys
import threading

import pytest

from pocketvae.cli import interruption
from pocketvae.cli import main as main_module
from pocketvae.cli.main import main

CODES = {"SIGINT": 130, "SIGTERM": 143, "SIGHUP": 129}


@pytest.mark.posix
@pytest.mark.parametrize("name", CODES)
def test_the_exit_code_names_the_signal(monkeypatch, capsys, name):
    number = signal.Signals[name]
    monkeypatch.setattr(main_module, "_run", lambda words: signal.raise_signal(number) or 0)
    # Where the tests themselves run under nohup or in the background of a script, a signal is ignored.
    before = signal.signal(number, signal.default_int_handler if name == "SIGINT" else signal.SIG_DFL)
    try:
        assert main(["doctor"]) == CODES[name]
    finally:
        signal.signal(number, before)
    assert capsys.readouterr().err == "pocketvae: interrupted; no half-written files were left\n"


@pytest.mark.posix
def test_a_second_signal_does_not_break_off_the_cleaning_up(monkeypatch):
    cleaned = []

    def clean(words):
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGTERM)
            cleaned.append(True)

    monkeypatch.setattr(main_module, "_run", clean)
    assert main(["doctor"]) == 143
    assert cleaned == [True]


def test_a_command_may_run_in_a_thread(capsys):
    codes = []
    thread = threading.Thread(target=lambda: codes.append(main(["verify", "nowhere"])))
    thread.start()
    thread.join()
    assert codes == [2]
    assert "nowhere" in capsys.readouterr().err


# A process whose main thread is inside native code for ever: a lock of the C library, twice. The wait is shortened.
_NATIVE = """
import ctypes, pathlib, sys
from pocketvae.cli import interruption, main
from pocketvae.system import folders

interruption._UNWIND_S = 0.2

def run(words):
    with folders.staged_directory(pathlib.Path("bundle"), force=False) as staging:
        (staging / "half").touch()
        print("under way", flush=True)
        lock = ctypes.create_string_buffer(128)
        for _ in range(2):
            ctypes.CDLL(None).pthread_mutex_lock(lock)

main._run = run
sys.exit(main.program())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the lock is made as Linux has it")
@pytest.mark.parametrize("name", CODES)
def test_a_process_in_native_code_ends_too_and_leaves_nothing(tmp_path, name):
    process = subprocess.Popen(
        [sys.executable, "-c", _NATIVE],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: [signal.signal(number, signal.SIG_DFL) for number in (signal.SIGINT, signal.SIGHUP)],
    )
    assert process.stdout.readline() == b"under way\n"
    process.send_signal(signal.Signals[name])
    _, err = process.communicate(timeout=60)
    assert process.returncode == CODES[name]
    assert err == b"pocketvae: interrupted; no half-written files were left\n"
    assert list(tmp_path.iterdir()) == []


# A process whose interpreter does not come to its end.
_HANGS = """
import atexit, signal, sys, time
from pocketvae.cli import interruption, main

interruption._UNWIND_S = 0.2
atexit.register(time.sleep, 60)
main._run = lambda words: signal.raise_signal(signal.SIGINT)
sys.exit(main.program())
"""


@pytest.mark.posix
def test_an_interruption_is_told_once(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", _HANGS],
        cwd=tmp_path,
        capture_output=True,
        check=False,
        timeout=60,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert done.returncode == 130
    assert done.stderr == b"pocketvae: interrupted; no half-written files were left\n"


def test_an_interruption_without_a_number_is_ctrl_c():
    assert interruption.exit_code(KeyboardInterrupt()) == 130
    assert interruption.number_of(interruption.Interruption(15)) == 15


@pytest.mark.posix
def test_an_interruption_that_became_another_error_is_not_a_result(monkeypatch, capsys):
    def lose(words):
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt:
            # As a module of C does that is interrupted while it is imported.
            raise ImportError("cannot load") from None

    monkeypatch.setattr(main_module, "_run", lose)
    assert main(["doctor"]) == 143
    assert capsys.readouterr().err == "pocketvae: interrupted; no half-written files were left\n"
    monkeypatch.setattr(main_module, "_run", lambda words: lose_all(lose))
    assert main(["doctor"]) == 143
    assert capsys.readouterr().err == "pocketvae: interrupted; no half-written files were left\n"


def lose_all(lose):
    with contextlib.suppress(ImportError):
        lose([])
    return 0


# Loses the exception in a destructor, as Python does, and goes on.
_LOSES = """
import sys, time
from pocketvae.cli import main

class Destructor:
    def __del__(self):
        print("under way", flush=True)
        time.sleep(60)

def run(words):
    Destructor()
    print("lost", flush=True)
    time.sleep(60)
    return 0

main._run = run
sys.unraisablehook = lambda unraisable: None
sys.exit(main.program())
"""


@pytest.mark.posix
def test_an_interruption_that_was_lost_is_raised_again(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", _LOSES], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout.readline() == b"under way\n"
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 143
    assert out == b"lost\n"
    assert err == b"pocketvae: interrupted; no half-written files were left\n"
