"""What a decoder of 50 M parameters and 512 px costs: export with default options, and verify.

    python studies/fifty_millions.py --json benchmarks/history/DATE-fifty-millions.json

Every command runs in a process of its own, whose time and largest memory are taken, workers included, and when it said
what. Exit code 1 if an artifact is left out, or a command takes more than 24 GB.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from records import check_record, make_record, run_study, tell, write_record
from scaling import Step, run_step

from pocketvae.errors import TargetError
from pocketvae.system.environment import current_environment

_MODEL = Path(__file__).with_name("fifty_millions_model.py")
_MOST_BYTES = 24e9
_ONE = "decoder.float32.tflite"


@dataclass(frozen=True, kw_only=True)
class Command:
    """What a command took and said.

    Attributes:
        step: Time and memory.
        code: Its exit code.
        said: Seconds after its start, and the line that it printed then.
    """

    step: Step
    code: int
    said: list[tuple[float, str]]


def run_command(words: Sequence[str]) -> Command:
    """Runs a command and passes its lines on; its memory is that of its largest process, workers included."""
    started, said = time.perf_counter(), []
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    for line in process.stdout or ():
        if line.strip():
            said.append((round(time.perf_counter() - started, 1), line.strip()))
            tell(f"{said[-1][0]:.0f} s: {said[-1][1]}")
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    scale = 1 if sys.platform == "darwin" else 1024
    step = Step(wall_s=time.perf_counter() - started, peak_rss_bytes=usage.ru_maxrss * scale)
    return Command(step=step, code=process.returncode, said=said)


def measure(folder: Path, words: Sequence[str]) -> dict[str, Any]:
    """Makes the decoder, exports it with further options and verifies it, all of it and one file.

    Raises:
        TargetError: a command makes no bundle.
    """
    model, bundle = folder / "decoder.keras", folder / "bundle"
    pocketvae = str(Path(sys.executable).with_name("pocketvae"))
    _, text = run_step([sys.executable, str(_MODEL), str(model)])
    commands = {
        "export": ["export", "--decoder", str(model), "--out", str(bundle), *words],
        "verify": ["verify", str(bundle)],
        "verify one file": ["verify", str(bundle / _ONE)],
    }
    done: dict[str, Command] = {}
    for name, command in commands.items():
        done[name] = run_command([pocketvae, *command])
        tell(f"{name}: {done[name].step.wall_s:.0f} s, {done[name].step.peak_rss_bytes / 1e6:.0f} MB")
        if not bundle.is_dir():
            raise TargetError(f"{name} ended with code {done[name].code}: {done[name].said[-1:]}")
    made = {path.name: path.stat().st_size for path in sorted(bundle.iterdir()) if path.suffix in (".tflite", ".onnx")}
    return {
        "parameters": int(text.split()[-1]),
        "model_bytes": model.stat().st_size,
        "steps": {name: asdict(command.step) for name, command in done.items()},
        "codes": {name: command.code for name, command in done.items()},
        "size_bytes": made,
        "said": {
            name: [(second, line.replace(str(folder), "FOLDER")) for second, line in command.said]
            for name, command in done.items()
        },
    }


def run(arguments: argparse.Namespace) -> int:
    """Measures and writes the record."""
    if arguments.json is not None:
        check_record(arguments.json, force=arguments.force)
    environment, words = current_environment(), arguments.options.split()
    with tempfile.TemporaryDirectory() as folder:
        try:
            results, not_run = measure(Path(folder), words), {}
        except TargetError as e:
            tell(str(e))
            results, not_run = {}, {"decoder": str(e)}
    if arguments.json is not None:
        config = {"options": arguments.options}
        record = make_record(
            "fifty_millions", sys.argv[1:], config=config, environment=environment, results=results, not_run=not_run
        )
        write_record(arguments.json, record)
    fits = all(step["peak_rss_bytes"] <= _MOST_BYTES for step in results.get("steps", {}).values())
    return 0 if results and fits and not any(results["codes"].values()) else 1


def parse_arguments(words: Sequence[str]) -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--options", metavar="TEXT", default="", help="further options of export")
    parser.add_argument("--json", metavar="FILE", type=Path, help="where the record goes")
    parser.add_argument("--force", action="store_true", help="replace FILE where it exists")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> int:
    """Runs the study; returns 2 for bad usage and 130 when interrupted."""
    return run_study("fifty_millions", words, parse_arguments, run)


if __name__ == "__main__":
    sys.exit(main())
