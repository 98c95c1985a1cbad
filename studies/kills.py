"""Kills commands at random moments and looks at what they leave: exit code, half-written results, orphaned processes.

From the repository's root, on Linux, with a run and a bundle that verify passes:

    python studies/kills.py quickstart/run quickstart/bundle --kills 200 --json benchmarks/history/DATE-kills.json

Every command is run once without being killed, to know how long it takes and what its result is; then it is killed at
uniformly drawn moments of that time, and run again, which must succeed.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import json
import secrets
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from kill_trials import PROMISED_S, Command, Plan, Trial, Whole, kill_once, run_whole
from records import check_record, make_record, tell, write_record

from pocketvae.bundle.bundle import open_bundle
from pocketvae.bundle.run import open_run
from pocketvae.errors import PocketVaeError, unknown_name
from pocketvae.system.environment import current_environment
from pocketvae.system.files import sha256_path

_SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
# Of a terminal, which sends them to a whole group.
_OF_TERMINALS = (signal.SIGINT, signal.SIGHUP)


def main(words: Sequence[str] | None = None) -> int:
    """Runs the study; returns 1 where anything was wrong, 2 for what cannot be done."""
    arguments = _parser().parse_args(words)
    try:
        check_record(arguments.json, force=arguments.force)
        with tempfile.TemporaryDirectory(prefix="kills-") as folder:
            trials = _trials(arguments, Path(folder))
    except (PocketVaeError, RuntimeError) as e:
        tell(f"kills: {e}")
        return 2
    faulty = [trial for trial in trials if trial.faults]
    for trial in faulty:
        print(f"{trial.command}, {trial.signal} after {trial.delay_s} s: {'; '.join(trial.faults)}")
    print(f"{len(trials)} kills, {len(faulty)} with faults, seed {arguments.seed}")
    if arguments.json:
        write_record(arguments.json, _record(arguments, trials, words))
    return 1 if faulty else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path, help="run directory to export")
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--data", default="mnist", help="images to train on and to work with (default: mnist)")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--commands", help="comma-separated (default: all)")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**31), help="of moments and signals")
    parser.add_argument("--json", metavar="FILE", type=Path, help="record to write")
    parser.add_argument("--force", action="store_true", help="replace the record")
    return parser


def commands(run: Path, bundle: Path, data: str, folder: Path) -> dict[str, Command]:
    """Returns what can be killed, by name.

    Args:
        run: Run directory to export.
        bundle: Bundle that verify passes.
        data: Source of images.
        folder: Where tables of the codec are put.
    """
    tables = str(folder / "codec.npz")
    small = ("--set", "epochs=3", "--set", "channels=[4, 8]", "--set", "hidden_units=32", "--set", "latent_dim=4")
    decoder = ("--components", "decoder", "--precisions", "float32", "--rewrites", "none")
    work = str(bundle)
    found = [
        Command(
            name="train",
            words=("train", "--data", data, "--out", "run", *small),
            outputs=("run",),
            check=lambda trial: open_run(trial / "run"),
            resumable=True,
        ),
        Command(
            name="export",
            words=("export", str(run), "--out", "bundle", *decoder),
            outputs=("bundle",),
            check=lambda trial: open_bundle(trial / "bundle"),
        ),
        Command(
            name="verify",
            words=("verify", work, "--json", "v.json", "--html", "v.html", "--junit", "v.xml"),
            outputs=("v.json", "v.html", "v.xml"),
            check=_readable("v.json"),
        ),
        Command(
            name="bench",
            words=("bench", work, "--no-original", "--artifacts", _one_artifact(bundle), "--json", "b.json"),
            outputs=("b.json",),
            check=_readable("b.json"),
        ),
        Command(
            name="generate",
            words=("generate", work, "--seed", "3", "--count", "1500", "--out", "images"),
            outputs=("images",),
            check=_Same("images"),
            resumable=True,
        ),
        Command(
            name="compress",
            words=("compress", work, data, "--count", "2000", "--tables", tables, "--out", "c.pv"),
            outputs=("c.pv",),
            check=_Same("c.pv"),
        ),
        Command(
            name="score",
            words=("score", work, data, "--calibrate", "--calibration", "s.json"),
            outputs=("s.json",),
            check=_Same("s.json"),
        ),
    ]
    return {command.name: command for command in found}


def _readable(name: str) -> Any:
    return lambda trial: json.loads((trial / name).read_text("utf-8"))


class _Same:
    """Compares a result with the first one, that of a command which nobody killed."""

    def __init__(self, name: str) -> None:
        self._name, self._first = name, ""

    def __call__(self, trial: Path) -> None:
        found = sha256_path(trial / self._name)
        self._first = self._first or found
        if found != self._first:
            raise ValueError(f"{self._name} is not the one of a command that was not killed")


def _one_artifact(bundle: Path) -> str:
    return min(artifact.name for artifact in open_bundle(bundle).manifest.artifacts)


def _trials(arguments: argparse.Namespace, folder: Path) -> list[Trial]:
    known = commands(arguments.run.absolute(), arguments.bundle.absolute(), _absolute(arguments.data), folder)
    names = arguments.commands.split(",") if arguments.commands else list(known)
    for name in names:
        if name not in known:
            raise unknown_name("command", name, known)
    if "compress" in names:
        _fit_tables(arguments.bundle.absolute(), _absolute(arguments.data), folder)
    rng, trials = np.random.default_rng(arguments.seed), []
    wholes: dict[str, Whole] = {}
    for index in range(arguments.kills):
        command = known[names[index % len(names)]]
        if command.name not in wholes:
            wholes[command.name] = run_whole(command, folder / f"{command.name}-whole")
        number = _SIGNALS[rng.integers(len(_SIGNALS))]
        plan = Plan(
            number=number,
            delay_s=float(rng.uniform(0, wholes[command.name].duration_s)),
            to_group=number in _OF_TERMINALS and rng.random() < 0.5,
        )
        trials.append(kill_once(command, folder / f"{command.name}-{index}", plan, wholes[command.name]))
        tell(f"{index + 1}/{arguments.kills} {dataclasses.asdict(trials[-1])}")
    return trials


def _fit_tables(bundle: Path, data: str, folder: Path) -> None:
    words = ("compress", str(bundle), data, "--fit", "--fit-steps", "20", "--tables", "codec.npz")
    fit = Command(name="fit", words=words, outputs=("codec.npz",), check=lambda trial: None)
    run_whole(fit, folder)


def _absolute(data: str) -> str:
    return str(Path(data).absolute()) if Path(data).exists() else data


def _record(arguments: argparse.Namespace, trials: list[Trial], words: Sequence[str] | None) -> dict[str, Any]:
    ended = [trial for trial in trials if not trial.finished and trial.signal != "SIGKILL"]
    summary = {
        "kills": len(trials),
        "with_faults": sum(bool(trial.faults) for trial in trials),
        "by_command": dict(collections.Counter(trial.command for trial in trials)),
        "by_signal": dict(collections.Counter(trial.signal for trial in trials)),
        "longest_end_s": max((trial.end_s for trial in ended), default=0.0),
        "above_promise": sum(trial.end_s > PROMISED_S for trial in ended),
        "trials": [dataclasses.asdict(trial) for trial in trials],
    }
    return make_record(
        "kills",
        sys.argv[1:] if words is None else words,
        config={"seed": arguments.seed, "data": Path(arguments.data).name},
        environment=current_environment(),
        results=summary,
        not_run={},
    )


if __name__ == "__main__":
    sys.exit(main())
