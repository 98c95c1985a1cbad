"""Damages inputs of every reader and counts what comes of it: everything but a value or a clear refusal is a finding.

    python studies/fuzz.py --count 1000000 [--seed 0] [--readers tflite,npz] [--json benchmarks/history/DATE-fuzz.json]

The seed of an input is `SEED:READER:INDEX`; `--show SEED:READER:INDEX FILE` writes it to a file. The readers run in a
child process, so that an input that crashes or hangs one is found, too.
"""

from __future__ import annotations

import argparse
import json
import mmap
import struct
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from records import check_record, make_record, tell, write_record

from pocketvae.errors import PocketVaeError
from pocketvae.system.environment import current_environment

HANG_S = 10.0
MEMORY_BYTES = 200 << 20
_LONGEST_MESSAGE, _MOST_LINES = 1000, 2
_POLL_S = 0.2
_DONE = -1


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One input that was neither read nor refused.

    Attributes:
        seed: That makes the input again.
        kind: The exception and where it was raised, or `hang`, `signal N`, `memory`, `warning`, `message`.
        message: In words.
    """

    seed: str
    kind: str
    message: str = ""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of one reader's inputs.

    Attributes:
        reader: Its name.
        count: Number of inputs.
        read: How many were read.
        refused: How many were refused, by exception.
        seconds: That it took.
        longest_s: That one input took.
        grown_bytes: By which one input raised the process's peak of memory, beyond its own size.
        findings: The rest.
    """

    reader: str
    count: int
    read: int
    refused: dict[str, int]
    seconds: float
    longest_s: float = 0.0
    grown_bytes: int = 0
    findings: tuple[Finding, ...]


def try_reader(name: str, seed: int, indices: Sequence[int], progress: mmap.mmap | None = None) -> Outcome:
    """Runs one reader on the inputs with these numbers, in this process."""
    from fuzzing.readers import READERS

    reader, refused, findings, read = READERS[name], Counter[str](), [], 0
    started, shown, longest_s, most_bytes = time.perf_counter(), list[str](), 0.0, 0
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = lambda message, *_: shown.append(str(message))
        for index in indices:
            _tell(progress, index)
            label = f"{seed}:{name}:{index}"
            content, peak, began = reader.damaged(label), _peak_bytes(), time.perf_counter()
            try:
                reader.read(content, Path(folder))
                read += 1
            except reader.refusals as e:
                refused[type(e).__name__] += 1
                if isinstance(e, PocketVaeError) and not _is_short(str(e)):
                    findings.append(Finding(seed=label, kind="message", message=str(e)[:300]))
            except Exception as e:  # that is what is looked for
                findings.append(Finding(seed=label, kind=_kind(e), message=str(e)[:200]))
            lasted_s, grown_bytes = time.perf_counter() - began, _peak_bytes() - peak - len(content)
            longest_s, most_bytes = max(longest_s, lasted_s), max(most_bytes, grown_bytes)
            findings += _costs(label, lasted_s, grown_bytes)
            findings += [Finding(seed=label, kind="warning", message=text[:200]) for text in shown]
            shown.clear()
    return Outcome(
        reader=name,
        count=len(indices),
        read=read,
        refused=dict(refused),
        seconds=time.perf_counter() - started,
        longest_s=longest_s,
        grown_bytes=most_bytes,
        findings=tuple(findings),
    )


def _is_short(message: str) -> bool:
    return len(message) <= _LONGEST_MESSAGE and len(message.splitlines()) <= _MOST_LINES


def _costs(label: str, seconds: float, grown_bytes: int) -> Iterator[Finding]:
    if seconds > HANG_S:
        yield Finding(seed=label, kind="hang", message=f"{seconds:.1f} s")
    if grown_bytes > MEMORY_BYTES:
        yield Finding(seed=label, kind="memory", message=f"{grown_bytes >> 20} MiB")


def _kind(error: BaseException) -> str:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "pocketvae" in frame.filename]
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].name}" if frames else ""
    return f"{type(error).__name__}{place}"


def _peak_bytes() -> int:
    if sys.platform == "win32":
        return 0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _tell(progress: mmap.mmap | None, index: int) -> None:
    if progress is not None:
        progress[:8] = struct.pack("<q", index)


def campaign(name: str, seed: int, count: int, first: int = 0) -> Outcome:
    """Runs one reader in child processes; one that crashes or hangs is followed by another."""
    started, done, outcomes = time.perf_counter(), first, []
    lost: list[Finding] = []
    with tempfile.NamedTemporaryFile() as file:
        file.write(bytes(8))
        file.flush()
        with mmap.mmap(file.fileno(), 8) as progress:
            while done < first + count:
                outcome, problem, at = _run_child(name, seed, (done, first + count), file.name, progress)
                if outcome is not None:
                    outcomes.append(outcome)
                    break
                lost.append(Finding(seed=f"{seed}:{name}:{at}", kind=problem))
                # What the lost child had found before is found again, without the input that it was lost on.
                before, _, _ = _run_child(name, seed, (done, at), file.name, progress)
                outcomes += [before] if before is not None else []
                done = at + 1
    return Outcome(
        reader=name,
        count=count,
        read=sum(outcome.read for outcome in outcomes),
        refused=dict(sum((Counter(outcome.refused) for outcome in outcomes), Counter[str]())),
        seconds=time.perf_counter() - started,
        longest_s=max((outcome.longest_s for outcome in outcomes), default=0.0),
        grown_bytes=max((outcome.grown_bytes for outcome in outcomes), default=0),
        findings=(*lost, *(finding for outcome in outcomes for finding in outcome.findings)),
    )


def _run_child(
    name: str, seed: int, span: tuple[int, int], file: str, progress: mmap.mmap
) -> tuple[Outcome | None, str, int]:
    """Returns the outcome; or how the child was lost and on which input."""
    _tell(progress, _DONE)
    command = [sys.executable, __file__, "--child", json.dumps([name, seed, *span, file])]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    last, since = _DONE, time.monotonic()
    try:
        while True:
            try:
                output, errors = child.communicate(timeout=_POLL_S)
                break
            except subprocess.TimeoutExpired:
                (now,) = struct.unpack("<q", progress[:8])
                if now != last:
                    last, since = now, time.monotonic()
                elif last != _DONE and time.monotonic() - since > HANG_S:
                    return None, "hang", last
    finally:
        child.kill()
        child.wait()
    (last,) = struct.unpack("<q", progress[:8])
    if child.returncode < 0:
        return None, f"signal {-child.returncode}", last
    if child.returncode:
        raise RuntimeError(f"the campaign itself failed: {errors[-2000:]}")
    data = json.loads(output)
    findings = tuple(Finding(**finding) for finding in data.pop("findings"))
    return Outcome(**data, findings=findings), "", 0


def _child(text: str) -> int:
    name, seed, first, stop, file = json.loads(text)
    with Path(file).open("r+b") as opened, mmap.mmap(opened.fileno(), 8) as progress:
        print(json.dumps(asdict(try_reader(name, seed, range(first, stop), progress))))
    return 0


def main(words: Sequence[str] | None = None) -> int:
    """Runs the campaign and prints one line per reader; returns 1 if there were findings."""
    words = sys.argv[1:] if words is None else words
    arguments = _parser().parse_args(words)
    if arguments.child:
        return _child(arguments.child)
    from fuzzing.readers import READERS

    if arguments.show:
        label, file = arguments.show
        Path(file).write_bytes(READERS[label.split(":")[1]].damaged(label))
        return 0
    try:
        check_record(arguments.json, force=arguments.force)
    except PocketVaeError as e:
        tell(f"fuzz: {e}")
        return 2
    names = arguments.readers.split(",") if arguments.readers else list(READERS)
    outcomes = []
    for name in names:
        outcomes.append(campaign(name, arguments.seed, -(-arguments.count // len(names)), arguments.first))
        _show(outcomes[-1])
    if arguments.json:
        write_record(arguments.json, _record(arguments, outcomes, words))
    return 1 if any(outcome.findings for outcome in outcomes) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000, help="inputs, shared among the readers")
    parser.add_argument("--first", type=int, default=0, help="number of the first input of each reader")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--readers", help="names, with commas")
    parser.add_argument("--json", metavar="FILE", type=Path, help="record to write")
    parser.add_argument("--force", action="store_true", help="replace the record")
    parser.add_argument("--show", nargs=2, metavar=("SEED", "FILE"))
    parser.add_argument("--child", help=argparse.SUPPRESS)
    return parser


def _show(outcome: Outcome) -> None:
    refused = ", ".join(f"{count} {kind}" for kind, count in sorted(outcome.refused.items()))
    print(f"{outcome.reader}: {outcome.count} inputs, {outcome.read} read, {refused or 'none'} refused, ", end="")
    print(f"{outcome.seconds:.0f} s, one at most {outcome.longest_s:.2f} s and {outcome.grown_bytes >> 20} MiB more")
    for kind, count in Counter(finding.kind for finding in outcome.findings).most_common():
        example = next(finding for finding in outcome.findings if finding.kind == kind)
        print(f"  FOUND {kind} x{count}: {example.seed} {example.message}")
    sys.stdout.flush()


def _record(arguments: argparse.Namespace, outcomes: Sequence[Outcome], words: Sequence[str]) -> dict[str, Any]:
    return make_record(
        "fuzz",
        words,
        config={name: getattr(arguments, name) for name in ("count", "first", "seed", "readers")}
        | {"hang_s": HANG_S, "memory_bytes": MEMORY_BYTES},
        environment=current_environment(),
        results={
            "inputs": sum(outcome.count for outcome in outcomes),
            "findings": sum(len(outcome.findings) for outcome in outcomes),
            "readers": [asdict(outcome) for outcome in outcomes],
        },
        not_run={},
    )


if __name__ == "__main__":
    sys.exit(main())
