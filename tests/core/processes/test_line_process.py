import subprocess
import sys
import time

import pytest

from pocketvae.processes.guard import used_bytes
from pocketvae.processes.line_process import LineProcess, LineProcessError

CHILD = """
import os, sys, time
from pocketvae.processes.line_process import serve_lines
def answer(line):
    word = line.strip()
    if word == "crash": os.abort()
    if word == "exit":
        print("about to go", file=sys.stderr)
        os._exit(7)
    if word == "hang": time.sleep(60)
    if word == "swell":
        held = []
        while True: held.append(bytearray(b"x" * 10_000_000)); time.sleep(0.01)
    print("noise on stdout")
    return word.upper()
serve_lines(answer)
"""


@pytest.fixture
def process():
    with LineProcess([sys.executable, "-c", CHILD]) as process:
        yield process


def test_answers_are_not_disturbed_by_what_a_library_prints(process):
    assert process.ask("hello", 60).strip() == "HELLO"


def test_a_crash_is_told_and_the_next_question_starts_anew(process):
    with pytest.raises(LineProcessError, match="was ended by signal 6"):
        process.ask("crash", 60)
    assert process.ask("again", 60).strip() == "AGAIN"


def test_what_a_login_shell_prints_is_no_answer():
    noise = "print('Welcome'); print(); import sys; [print('{', line.strip(), flush=True) for line in sys.stdin]"
    with LineProcess([sys.executable, "-c", noise], answers_begin="{") as process:
        assert process.ask("a", 60).strip() == "{ a"
        assert process.ask("b", 60).strip() == "{ b"


def test_an_exit_is_told_with_the_last_line_of_stderr(process):
    with pytest.raises(LineProcessError, match="ended with code 7: about to go"):
        process.ask("exit", 60)


def test_a_child_that_ends_before_it_is_asked_is_told_too():
    with LineProcess([sys.executable, "-c", "raise SystemExit('out of luck')"]) as process:
        process._start().wait()
        with pytest.raises(LineProcessError, match="ended with code 1: out of luck"):
            process.ask("hello", 60)


@pytest.mark.parametrize(
    ("mode", "reason"),
    [(0o755, "Exec format error"), (0o644, "Permission denied"), (None, "No such file or directory")],
)
def test_a_program_that_cannot_be_started_is_told(tmp_path, mode, reason):
    program = tmp_path / "program"
    if mode is not None:
        program.write_bytes(b"\x7fELF of another machine")
        program.chmod(mode)
    with (
        LineProcess([str(program)]) as process,
        pytest.raises(LineProcessError, match=f"{program} cannot be started: {reason}"),
    ):
        process.ask("hello", 60)


def test_a_child_that_uses_too_much_memory_is_ended_and_the_next_question_starts_anew():
    with LineProcess([sys.executable, "-c", CHILD], memory_limit_bytes=300_000_000) as process:
        with pytest.raises(LineProcessError, match=r"used 0\.3\d GB of memory, more than the limit of 0\.30 GB"):
            process.ask("swell", 60)
        assert process.ask("again", 60).strip() == "AGAIN"


def test_a_kill_from_outside_is_told_with_its_usual_cause(process):
    process.ask("start", 60)
    process._process.kill()
    with pytest.raises(LineProcessError, match="was ended by signal 9, which the system sends when memory runs out"):
        process.ask("hang", 60)


def test_a_child_whose_parent_was_killed_ends_by_itself():
    parent = (
        "import sys; from pocketvae.processes.line_process import LineProcess; "
        "process = LineProcess([sys.executable, '-c', sys.argv[1]]); process.ask('start', 60); "
        "print(process._process.pid, flush=True); process.ask('hang', 60)"
    )
    with subprocess.Popen([sys.executable, "-c", parent, CHILD], stdout=subprocess.PIPE, text=True) as process:
        child = int(process.stdout.readline())
        process.kill()
    deadline = time.monotonic() + 30
    while used_bytes(child) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert used_bytes(child) == 0


def test_what_was_stopped_is_not_started_again():
    with LineProcess([sys.executable, "-c", CHILD]) as process:
        process.ask("hello", 60)
        process.stop()
        with pytest.raises(LineProcessError, match="it was stopped"):
            process.ask("again", 60)
        assert process._process is None


def test_a_hang_is_ended(process):
    process.ask("start", 60)
    pid = process._process.pid
    with pytest.raises(LineProcessError, match="took longer than 0.5 s and was ended"):
        process.ask("hang", 0.5)
    with pytest.raises(ProcessLookupError):
        __import__("os").kill(pid, 0)
