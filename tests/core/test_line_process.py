import sys

import pytest

from pocketvae.line_process import LineProcess, LineProcessError

CHILD = """
import os, sys, time
from pocketvae.line_process import serve_lines
def answer(line):
    word = line.strip()
    if word == "crash": os.abort()
    if word == "exit":
        print("about to go", file=sys.stderr)
        os._exit(7)
    if word == "hang": time.sleep(60)
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


def test_an_exit_is_told_with_the_last_line_of_stderr(process):
    with pytest.raises(LineProcessError, match="ended with code 7: about to go"):
        process.ask("exit", 60)


def test_a_child_that_ends_before_it_is_asked_is_told_too():
    with LineProcess([sys.executable, "-c", "raise SystemExit('out of luck')"]) as process:
        process._start().wait()
        with pytest.raises(LineProcessError, match="ended with code 1: out of luck"):
            process.ask("hello", 60)


def test_a_hang_is_ended(process):
    process.ask("start", 60)
    pid = process._process.pid
    with pytest.raises(LineProcessError, match="took longer than 0.5 s and was ended"):
        process.ask("hang", 0.5)
    with pytest.raises(ProcessLookupError):
        __import__("os").kill(pid, 0)
