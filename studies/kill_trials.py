"""A command that is killed at moments of its work: what it leaves, and whether it succeeds when it is run again."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

# What a process that is asked to end is promised, and what counts as hanging.
PROMISED_S, HANG_S = 5.0, 10.0
_MARK = "POCKETVAE_KILLS"
_ORPHAN_GRACE_S = 3.0
_LONGEST_RUN_S = 600.0
# These replace a result without being told to.
_OVERWRITE = ("verify", "bench")


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command to kill.

    Attributes:
        name: Of the command.
        words: Its arguments; it runs in an empty folder, so outputs are relative.
        outputs: What it leaves in that folder.
        check: Raises where an output, given the folder, is not complete.
        milestone: Path in the folder of the file from which on it takes `--resume`; empty for a command that does not.
        program: What runs it.
    """

    name: str
    words: tuple[str, ...]
    outputs: tuple[str, ...]
    check: Callable[[Path], object]
    milestone: str = ""
    program: tuple[str, ...] = (sys.executable, "-m", "pocketvae.cli.program")


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One kill.

    Attributes:
        command: Name of the command.
        signal: Name of the signal.
        stage: The last progress that it printed before, without numbers; empty before the first.
        delay_s: From the start to the signal.
        to_group: Whether the children got the signal too, as they do from a terminal.
        code: Exit code; negative for a signal.
        end_s: From the signal to the end.
        finished: Whether the command had ended by itself before the signal.
        faults: What was wrong, as sentences.
        remains: Names that it left beside the output, which nobody can prevent where the signal is SIGKILL.
    """

    command: str
    signal: str
    stage: str
    delay_s: float
    to_group: bool
    code: int
    end_s: float
    finished: bool
    faults: tuple[str, ...] = ()
    remains: tuple[str, ...] = ()


@dataclass(kw_only=True)
class Plan:
    """When and how to kill."""

    number: signal.Signals
    delay_s: float
    to_group: bool


@dataclass(kw_only=True)
class _Findings:
    faults: list[str] = field(default_factory=list)

    def expect(self, holds: bool, fault: str) -> None:
        if not holds:
            self.faults.append(fault)


@dataclass(frozen=True, kw_only=True)
class Whole:
    """A run that nobody killed.

    Attributes:
        duration_s: How long it took.
        temporary: What it left among the temporary files, as onnxruntime does with its `.ses`.
    """

    duration_s: float
    temporary: frozenset[str]


def run_whole(command: Command, folder: Path) -> Whole:
    """Runs a command that nobody kills.

    Raises:
        RuntimeError: it fails.
    """
    started = time.monotonic()
    with _started(command, folder, ()) as (process, stderr):
        code = process.wait(_LONGEST_RUN_S)
    if code != 0:
        raise RuntimeError(f"{command.name} ended with {code}: {_last_line(stderr)}")
    command.check(folder)
    duration_s = time.monotonic() - started
    return Whole(duration_s=duration_s, temporary=frozenset(_temporary(folder)))


def kill_chain(command: Command, folder: Path, plans: Sequence[Plan], whole: Whole) -> tuple[list[Trial], Whole]:
    """Kills a command several times in the same folder, looks at what it leaves each time, and runs it to its end.

    Returns:
        The trials, and the run to the end; what was wrong with that is told with the last trial.
    """
    trials = [_kill(command, folder, plan, whole) for plan in plans]
    found = _Findings()
    started = time.monotonic()
    _run_again(command, folder, found)
    whole = dataclasses.replace(whole, duration_s=time.monotonic() - started)
    after = [name for name in _remains(command, folder, "", whole) if not name.startswith("TMPDIR/")]
    found.expect(not after, f"the same command then left {', '.join(after)}")
    trials[-1] = dataclasses.replace(trials[-1], faults=(*trials[-1].faults, *found.faults))
    return trials, whole


def _kill(command: Command, folder: Path, plan: Plan, whole: Whole) -> Trial:
    found = _Findings()
    earlier = _remains(command, folder, "", whole) if folder.exists() else []
    with _started(command, folder, _extra(command, folder)) as (process, stderr):
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(plan.delay_s)
        finished, sent = process.poll() is not None, time.monotonic()
        stage = _stage(stderr)
        if not finished:
            send = os.killpg if plan.to_group else os.kill
            send(process.pid, plan.number)
        code = _wait(process, found)
        end_s = time.monotonic() - sent
        _look_for_orphans(found)
    said = stderr.read_text("utf-8", "replace")
    # A signal that comes after the work, or before pocketvae's own code, ends the interpreter as it ends any other.
    allowed = {0} if finished else {0, -plan.number, 128 + plan.number}
    found.expect(code in allowed, f"it ended with {code}: {_last_line(stderr)}")
    # Ctrl-C while Python itself starts is reported by Python, in its own way.
    early = code == -signal.SIGINT and "cli/main.py" not in said
    found.expect(early or "Traceback" not in said, f"it printed a traceback: {_last_line(stderr)}")
    complete = _check_outputs(command, folder, found)
    found.expect(code != 0 or complete, "it ended with 0 and without its output")
    remains = [name for name in _remains(command, folder, said, whole) if name not in earlier]
    if plan.number is not signal.SIGKILL:
        found.expect(not remains, f"it left {', '.join(remains)}")
    return Trial(
        command=command.name,
        signal=plan.number.name,
        stage=stage,
        delay_s=round(plan.delay_s, 4),
        to_group=plan.to_group,
        code=code,
        end_s=round(end_s, 3),
        finished=finished,
        faults=tuple(found.faults),
        remains=tuple(remains),
    )


def _wait(process: subprocess.Popen[bytes], found: _Findings) -> int:
    try:
        return process.wait(HANG_S)
    except subprocess.TimeoutExpired:
        found.faults.append(f"it did not end within {HANG_S:g} s")
        process.kill()
        return process.wait()


def _stage(stderr: Path) -> str:
    lines = stderr.read_text("utf-8", "replace").splitlines()
    found = [match for line in lines if (match := re.match(r"(\D+) \d+/\d+", line))]
    return found[-1][1] if found else ""


@contextlib.contextmanager
def _started(command: Command, folder: Path, extra: Sequence[str]) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """Starts a command in a session of its own; what is left of it is ended after the block."""
    temporary, stderr = _beside(folder, "tmp"), _beside(folder, "stderr")
    temporary.mkdir(exist_ok=True)
    folder.mkdir(exist_ok=True)
    with stderr.open("wb") as file:
        process = subprocess.Popen(
            [*command.program, *command.words, *extra],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=file,
            env={**os.environ, _MARK: str(os.getpid()), "TMPDIR": str(temporary)},
            start_new_session=True,
            # What is run in the background of a script inherits an ignored SIGINT and would pass it on.
            preexec_fn=_default_signals,
        )
        try:
            yield process, stderr
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            for orphan in _marked():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(orphan, signal.SIGKILL)


def _default_signals() -> None:
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def _beside(folder: Path, name: str) -> Path:
    return folder.with_name(f"{folder.name}.{name}")


def _look_for_orphans(found: _Findings) -> None:
    deadline = time.monotonic() + _ORPHAN_GRACE_S
    while (orphans := _marked()) and time.monotonic() < deadline:
        time.sleep(0.05)
    found.expect(not orphans, f"{len(orphans)} processes were left behind")


def _marked() -> list[int]:
    """Returns the processes that a command of this study started: the mark is in their environment."""
    wanted, found = f"{_MARK}={os.getpid()}".encode(), []
    for entry in Path("/proc").iterdir():
        # A process may end meanwhile; a zombie has no environment any more.
        with contextlib.suppress(OSError, ValueError):
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found


def _check_outputs(command: Command, folder: Path, found: _Findings) -> bool:
    """Checks that outputs are whole or not there; returns whether all are there."""
    if not all((folder / name).exists() for name in command.outputs):
        return False
    try:
        command.check(folder)
    except Exception as e:  # any failure to read an output is the finding
        found.faults.append(f"its output is not complete: {type(e).__name__}: {e}")
    return True


def _remains(command: Command, folder: Path, said: str, whole: Whole) -> list[str]:
    """Returns what lies beside the outputs and among the temporary files, without progress that was told of."""
    told = "--resume" in said or "the same command goes on" in said
    kept = {f"{name}.unfinished" for name in command.outputs} if told else set()
    beside = {path.name for path in folder.iterdir()} - set(command.outputs) - kept
    return [*sorted(beside), *(f"TMPDIR/{name}" for name in sorted(_temporary(folder) - whole.temporary))]


def _temporary(folder: Path) -> set[str]:
    return {path.name for path in _beside(folder, "tmp").iterdir()}


def _run_again(command: Command, folder: Path, found: _Findings) -> None:
    """Runs the same command, which must succeed without a person who deletes something."""
    with _started(command, folder, _extra(command, folder)) as (process, stderr):
        try:
            code = process.wait(_LONGEST_RUN_S)
        except subprocess.TimeoutExpired:
            found.faults.append("the same command then hung")
            return
    found.expect(code == 0, f"the same command then ended with {code}: {_last_line(stderr)}")
    found.expect(code != 0 or _check_outputs(command, folder, found), "the same command then wrote no output")


def _extra(command: Command, folder: Path) -> tuple[str, ...]:
    """Returns what a person adds where a result, or progress, is there."""
    if all((folder / name).exists() for name in command.outputs):
        return () if command.name in _OVERWRITE else ("--force",)
    return ("--resume",) if command.milestone and (folder / command.milestone).exists() else ()


def _last_line(stderr: Path) -> str:
    lines = stderr.read_text("utf-8", "replace").strip().splitlines()
    return lines[-1][:200] if lines else "it said nothing"
