import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from pocketvae.errors import ChannelError, TargetError
from pocketvae.processes.envelope import Request
from pocketvae.processes.guard import used_bytes
from pocketvae.processes.line_process import LineProcess

CHILD = """
import os, sys, time
from pocketvae.processes.rpc import handler, serve
def answer(word):
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
serve({"answer": handler(str, answer)})
"""


def ask(process, word, time_limit_s=60):
    return process.ask(Request(id=1, method="answer", params=word), time_limit_s).result


@pytest.fixture
def process():
    with LineProcess([sys.executable, "-c", CHILD]) as process:
        yield process


def test_answers_are_not_disturbed_by_what_a_library_prints(process):
    assert ask(process, "hello") == "HELLO"


@pytest.mark.posix
def test_a_crash_is_told_and_the_next_question_starts_anew(process):
    with pytest.raises(ChannelError, match="was ended by signal 6"):
        ask(process, "crash")
    assert ask(process, "again") == "AGAIN"


def test_what_a_login_shell_prints_is_no_answer():
    noise = f"print('Welcome'); print(flush=True)\n{CHILD}"
    with LineProcess([sys.executable, "-c", noise]) as process:
        assert ask(process, "a") == "A"
        assert ask(process, "b") == "B"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ('{"id": 1', "its answer cannot be read: .*delimiter"),
        ('{"result": 3}', "its answer cannot be read: id: Field required"),
        ('{"id": 9, "result": 3}', "its answer cannot be read: it belongs to request 9"),
        ('{"id": 1, "result": 3, "block_bytes": 2000000000000}', "a block must have 0 to 1073741824 bytes"),
    ],
)
def test_an_answer_that_cannot_be_read_ends_the_child(said, words):
    program = f"import sys\nfor line in sys.stdin: print({said!r}, flush=True)"
    with LineProcess([sys.executable, "-c", program]) as process:
        with pytest.raises(ChannelError, match=words):
            ask(process, "a")
        assert process._process is None


def test_a_child_that_dies_while_it_answers_is_told():
    program = "import os, sys; input(); os.write(1, b'{\"id\": 1, \"block_bytes\": 9}\\nabc'); sys.exit('out of luck')"
    with LineProcess([sys.executable, "-c", program]) as process, pytest.raises(ChannelError, match="out of luck"):
        ask(process, "a")


def test_an_exit_is_told_with_the_last_line_of_stderr(process):
    with pytest.raises(ChannelError, match="ended with code 7: about to go"):
        ask(process, "exit")


def test_a_child_that_ends_before_it_is_asked_is_told_too():
    with LineProcess([sys.executable, "-c", "raise SystemExit('out of luck')"]) as process:
        process._start().wait()
        with pytest.raises(ChannelError, match="ended with code 1: out of luck"):
            ask(process, "hello")


def test_a_child_that_lacks_a_part_of_pocketvae_is_an_incomplete_installation():
    with (
        LineProcess([sys.executable, "-c", "import pocketvae.nothing"]) as process,
        pytest.raises(TargetError, match=r"not installed completely \(No module named 'pocketvae.nothing'\): run pip"),
    ):
        ask(process, "hello")


@pytest.mark.posix
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
        pytest.raises(ChannelError, match=f"{program} cannot be started: {reason}"),
    ):
        ask(process, "hello")


def test_a_child_that_uses_too_much_memory_is_ended_and_the_next_question_starts_anew():
    with LineProcess([sys.executable, "-c", CHILD], memory_limit_bytes=300_000_000) as process:
        with pytest.raises(ChannelError, match=r"used 0\.3\d GB of memory, more than the limit of 0\.30 GB"):
            ask(process, "swell")
        assert ask(process, "again") == "AGAIN"


@pytest.mark.posix
def test_a_kill_from_outside_is_told_with_its_usual_cause(process):
    ask(process, "start")
    process._process.kill()
    with pytest.raises(ChannelError, match="was ended by signal 9, which the system sends when memory runs out"):
        ask(process, "hang")


def test_a_child_whose_parent_was_killed_ends_by_itself():
    parent = (
        "import sys; from pocketvae.processes.envelope import Request; "
        "from pocketvae.processes.line_process import LineProcess; "
        "process = LineProcess([sys.executable, '-c', sys.argv[1]]); "
        "ask = lambda word: process.ask(Request(id=1, method='answer', params=word), 60); ask('start'); "
        "print(process._process.pid, flush=True); ask('hang')"
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
        ask(process, "hello")
        process.stop()
        with pytest.raises(ChannelError, match="it was stopped"):
            ask(process, "again")
        assert process._process is None


@pytest.mark.posix
def test_a_hang_is_ended(process):
    ask(process, "start")
    pid = process._process.pid
    with pytest.raises(ChannelError, match="took longer than 0.5 s and was ended"):
        ask(process, "hang", 0.5)
    with pytest.raises(ProcessLookupError):
        __import__("os").kill(pid, 0)


def test_what_an_ended_child_had_among_its_temporary_files_is_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    program = (
        "import sys, tempfile\nfrom pocketvae.processes.rpc import handler, serve\n"
        "serve({'answer': handler(str, lambda word: tempfile.mkdtemp())})"
    )
    with LineProcess([sys.executable, "-c", program]) as process:
        made = Path(ask(process, "a"))
        assert made.is_dir()
        assert tmp_path in made.parents
        process.close(kill=True)
        assert list(tmp_path.iterdir()) == []
    with LineProcess([sys.executable, "-c", program], environment={"TMPDIR": str(tmp_path)}) as process:
        assert Path(ask(process, "a")).parent == tmp_path
