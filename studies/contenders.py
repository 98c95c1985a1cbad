"""What the studies of latency compare: runtimes, each in a process of its own, and the files that they read."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from records import tell, without_paths

from pocketvae.errors import ExportError, PocketVaeError, SpecError
from pocketvae.processes.line_process import LineProcess
from pocketvae.processes.rpc import Client

FOLDER = Path(__file__).parent
_FILES_LIMIT_S = 3600.0
REPLY_LIMIT_S = 300.0


@dataclass(kw_only=True)
class Contender:
    """Something to time.

    Attributes:
        name: A key of `RUNTIMES`, or `SGEMM`.
        process: Where it runs.
        facts: By decoder, what it told when it loaded it.
        times_s: By decoder, one value per round.
        problems: By decoder, why it did not run.
    """

    name: str
    process: LineProcess
    facts: dict[str, Any] = field(default_factory=dict)
    times_s: dict[str, list[float]] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)

    def ask(self, request: Mapping[str, Any], time_limit_s: float) -> dict[str, Any]:
        """Returns the process's answer; what goes wrong is its `error`."""
        try:
            return Client(self.process).call("time", request, dict[str, Any], time_limit_s)
        except PocketVaeError as e:
            return {"error": str(e)}

    def load(self, home: Path) -> None:
        """Has one decoder loaded."""
        reply = self.ask({"load": str(home)}, REPLY_LIMIT_S)
        if "error" in reply:
            self.problems[home.name] = without_paths(reply["error"])
            tell(f"{self.name} does not run {home.name}: {self.problems[home.name]}")
        else:
            self.facts[home.name] = reply

    def take_turn(self, decoder: str, seconds: float) -> None:
        """Times one decoder."""
        if decoder in self.problems:
            return
        reply = self.ask({"measure": decoder, "seconds": seconds}, REPLY_LIMIT_S)
        if "error" in reply:
            self.problems[decoder] = without_paths(reply["error"])
        else:
            self.times_s.setdefault(decoder, []).append(float(np.median(reply["times_s"])))


def start(name: str, python: str, environment: Mapping[str, str]) -> Contender:
    """Returns a contender of latency_contenders.py, whose process starts with the first request.

    Args:
        name: Of the contender.
        python: The program that has its runtime.
        environment: Variables for it.
    """
    command = [python, str(FOLDER / "latency_contenders.py"), name]
    return Contender(name=name, process=LineProcess(command, environment=environment))


def write_files(script: str, folder: Path, decoders: Sequence[str]) -> None:
    """Has another process write the files of decoders, so that TensorFlow is gone when they are timed.

    Args:
        script: The module of this folder that writes them.
        folder: Where each decoder gets a folder of its own.
        decoders: Names that the script knows.

    Raises:
        ExportError: it failed.
    """
    tell(f"converting {', '.join(decoders)}")
    command = [sys.executable, str(FOLDER / f"{script}.py"), str(folder), ",".join(decoders)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_FILES_LIMIT_S, check=False)
    if done.returncode:
        raise ExportError(f"the files cannot be made: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")


def add_options(
    parser: argparse.ArgumentParser, *, decoders: Sequence[str], peers: Sequence[str], rounds: int, seconds: float
) -> None:
    """Adds the options that all of these studies have."""
    parser.add_argument("--decoders", default=",".join(decoders), help="default %(default)s")
    parser.add_argument("--rounds", type=int, default=rounds, help="values of each contender (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=seconds, help="of one value (default %(default)s)")
    parser.add_argument(
        "--peers-python", default=sys.executable, metavar="PATH", help=f"the Python that has {', '.join(peers)}"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write every value")
    parser.add_argument("--force", action="store_true", help="replace FILE where it exists")


def check_counts(arguments: argparse.Namespace) -> None:
    """Refuses what would measure nothing.

    Raises:
        SpecError: it would.
    """
    if arguments.rounds < 1 or arguments.seconds <= 0:
        raise SpecError("rounds must be at least 1 and seconds above 0")
