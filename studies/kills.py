"""Kills commands at random moments and looks at what they leave: exit code, half-written results, orphaned processes.

From the repository's root, on Linux, with a run and a bundle that verify passes:

    python studies/kills.py quickstart/run quickstart/bundle --kills 500 --json benchmarks/history/DATE-kills.json

Every command is run once without being killed, to know how long it takes and what its result is; then it is killed
three times in the same folder, at uniformly drawn moments of that time, and run to its end, which must succeed. Half of
the kills are by SIGKILL. Commands that ended before the signal came are recorded, and do not count as killed.
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
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from kill_trials import PROMISED_S, Command, Plan, Trial, kill_chain, run_whole
from records import check_record, make_record, tell, write_record

from pocketvae.apps.generation.generate import REQUEST_NAME
from pocketvae.bundle.bundle import open_bundle
from pocketvae.bundle.run import open_run
from pocketvae.errors import PocketVaeError, unknown_name
from pocketvae.system.environment import current_environment
from pocketvae.system.files import sha256_path
from pocketvae.train.checkpoints import MILESTONE

_SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_SHARES = (0.5, 0.2, 0.15, 0.15)
_CHAIN = 3
# Of a terminal, which sends them to a whole group.
_OF_TERMINALS = (signal.SIGINT, signal.SIGHUP)


def main(words: Sequence[str] | None = None) -> int:
    """Runs the study; returns 1 where anything was wrong, 2 for what cannot be done."""
    arguments = _parser().parse_args(words)
    started = time.monotonic()
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
    print(f"{len(_killed(trials))} kills, {len(faulty)} with faults, seed {arguments.seed}")
    if arguments.json:
        write_record(arguments.json, _record(arguments, trials, words, time.monotonic() - started))
    return 1 if faulty else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path, help="run directory to export")
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--data", default="mnist", help="images to train on and to work with (default: mnist)")
    parser.add_argument("--kills", type=int, default=200, help="shared equally by the commands without a number")
    parser.add_argument(
        "--commands", help="comma-separated, each with =N for its number of kills or without (default: all)"
    )
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
    compressed = str(folder / "c.pv")
    small = [
        word
        for setting in ("epochs=3", "batch_size=32", "channels=[4, 8]", "hidden_units=32", "latent_dim=4")
        for word in ("--set", setting)
    ]
    decoder = ("--components", "decoder", "--precisions", "float32", "--rewrites", "none")
    work = str(bundle)
    found = [
        Command(
            name="train",
            words=("train", "--data", data, "--out", "run", *small),
            outputs=("run",),
            check=lambda trial: open_run(trial / "run"),
            milestone=f"run.unfinished/{MILESTONE}",
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
            milestone=f"images.unfinished/{REQUEST_NAME}",
        ),
        Command(
            name="compress",
            words=("compress", work, data, "--count", "2000", "--tables", tables, "--out", "c.pv"),
            outputs=("c.pv",),
            check=_Same("c.pv"),
        ),
        Command(
            name="decompress",
            words=("decompress", work, compressed, "--tables", tables, "--out", "d.npz"),
            outputs=("d.npz",),
            check=_Same("d.npz"),
        ),
        Command(
            name="encode",
            words=("encode", work, data, "--count", "2000", "--out", "l.npz"),
            outputs=("l.npz",),
            check=_Same("l.npz"),
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
    bundle, data = arguments.bundle.absolute(), _absolute(arguments.data)
    known = commands(arguments.run.absolute(), bundle, data, folder)
    wanted = _shares(arguments, known)
    if {"compress", "decompress"} & set(wanted):
        _fit_tables(bundle, data, folder)
    if "decompress" in wanted:
        run_whole(dataclasses.replace(known["compress"], check=lambda trial: None), folder)
    rng = np.random.default_rng(arguments.seed)
    wholes = {name: run_whole(known[name], folder / f"{name}-whole") for name in wanted}
    trials: list[Trial] = []
    while left := _left(wanted, trials):
        name = list(left)[rng.integers(len(left))]
        plans = [_plan(rng, wholes[name].duration_s) for _ in range(min(_CHAIN, left[name]))]
        found, wholes[name] = kill_chain(known[name], folder / f"{name}-{len(trials)}", plans, wholes[name])
        trials.extend(found)
        for trial in found:
            tell(f"{len(_killed(trials))}/{sum(wanted.values())} {dataclasses.asdict(trial)}")
    return trials


def _left(wanted: dict[str, int], trials: Sequence[Trial]) -> dict[str, int]:
    """Returns how often commands are still to be killed."""
    done = collections.Counter(trial.command for trial in _killed(trials))
    return {name: number - done[name] for name, number in wanted.items() if done[name] < number}


def _shares(arguments: argparse.Namespace, known: dict[str, Command]) -> dict[str, int]:
    """Returns how often each command is to be killed."""
    words = (arguments.commands or ",".join(known)).split(",")
    numbers = {name: number for name, _, number in (word.partition("=") for word in words)}
    for name in numbers:
        if name not in known:
            raise unknown_name("command", name, known)
    wanted = {name: int(number) for name, number in numbers.items() if number}
    rest = [name for name in numbers if name not in wanted]
    left = max(0, arguments.kills - sum(wanted.values()))
    return wanted | {name: left // len(rest) + (index < left % len(rest)) for index, name in enumerate(rest)}


def _plan(rng: np.random.Generator, duration_s: float) -> Plan:
    number = _SIGNALS[rng.choice(len(_SIGNALS), p=_SHARES)]
    to_group = number in _OF_TERMINALS and rng.random() < 0.5
    return Plan(number=number, delay_s=float(rng.uniform(0, duration_s)), to_group=to_group)


def _killed(trials: Sequence[Trial]) -> list[Trial]:
    return [trial for trial in trials if not trial.finished]


def _fit_tables(bundle: Path, data: str, folder: Path) -> None:
    words = ("compress", str(bundle), data, "--fit", "--fit-steps", "20", "--tables", "codec.npz")
    run_whole(Command(name="fit", words=words, outputs=("codec.npz",), check=lambda trial: None), folder)


def _absolute(data: str) -> str:
    return str(Path(data).absolute()) if Path(data).exists() else data


def _record(
    arguments: argparse.Namespace, trials: list[Trial], words: Sequence[str] | None, wall_s: float
) -> dict[str, Any]:
    killed = _killed(trials)
    caught = [trial for trial in killed if trial.signal != "SIGKILL"]
    summary = {
        "kills": len(killed),
        "ended_before_the_signal": len(trials) - len(killed),
        "with_faults": sum(bool(trial.faults) for trial in trials),
        "by_command": dict(collections.Counter(trial.command for trial in killed)),
        "by_signal": dict(collections.Counter(trial.signal for trial in killed)),
        "by_stage": dict(sorted(collections.Counter(f"{trial.command}: {trial.stage}" for trial in killed).items())),
        "by_code": dict(sorted(collections.Counter(str(trial.code) for trial in killed).items())),
        "longest_end_s": max((trial.end_s for trial in caught), default=0.0),
        "above_promise": sum(trial.end_s > PROMISED_S for trial in caught),
        "wall_s": round(wall_s, 1),
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
