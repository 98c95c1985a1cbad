"""The command `pocketvae distil`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pocketvae.cli import arguments as common
from pocketvae.cli.terminal import Terminal
from pocketvae.errors import SpecError

if TYPE_CHECKING:
    from pocketvae.distil import Distilled


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument(
        "source",
        metavar="SOURCE",
        type=common.bundle_path,
        help="run directory, or bundle with a float32 decoder: the teacher",
    )
    parser.add_argument("--out", metavar="RUN", type=Path, required=True, help="run directory to create")
    targets = parser.add_argument_group("what the student's float32 TFLite file has to reach; one at least")
    targets.add_argument("--speedup", metavar="K", type=float, help="be K times as fast as the teacher's float32 file")
    targets.add_argument("--target-us", metavar="N", type=float, help="take at most N microseconds, on one thread")
    targets.add_argument(
        "--for",
        dest="chip",
        metavar="CHIP",
        default="",
        help="what counts are int8 files on an Ethos-U, such as ethos-u55-128, by its compiler's estimate",
    )
    targets.add_argument("--max-kb", metavar="N", type=float, help="have at most N kB (1000 bytes)")
    parser.add_argument(
        "--data",
        metavar="SRC",
        help="learn from these real items too, as train or export reads them (default: from the teacher alone)",
    )
    parser.add_argument("--skip-corrupt", action="store_true", help="with --data: skip what cannot be read, of a run")
    parser.add_argument("--steps", metavar="N", type=int, help="optimizer steps (default: 20000)")
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="seed of weights and latents (default: 0)")
    parser.add_argument(
        "--budget-nats",
        metavar="X",
        type=float,
        help="largest loss of ELBO (default: 0.5 for binary pixels, and where nothing else can be measured)",
    )
    parser.add_argument(
        "--budget-db",
        metavar="X",
        type=float,
        help="largest loss of PSNR of reconstructions (default: 0.3 where --budget-nats has no default)",
    )
    parser.add_argument("--resume", action="store_true", help="go on with an interrupted distillation, if there is one")
    common.add_force(parser)


def run(arguments: argparse.Namespace) -> int:
    """Distils a decoder and prints what became of it; 1 if a target or a budget was missed."""
    from pocketvae.bundle.run import RUN_FILES
    from pocketvae.distil import DISTILLED_NAME, DistilConfig, Targets, distil
    from pocketvae.distil.config import DEFAULT_STEPS

    if arguments.skip_corrupt and arguments.data is None:
        raise SpecError("--skip-corrupt needs --data")
    common.check_replaceable(arguments.out, DISTILLED_NAME, force=arguments.force, names=RUN_FILES)
    config = DistilConfig(
        targets=Targets(
            target_us=arguments.target_us, speedup=arguments.speedup, max_kb=arguments.max_kb, chip=arguments.chip
        ),
        steps=DEFAULT_STEPS if arguments.steps is None else arguments.steps,
        seed=arguments.seed,
        budget_nats=arguments.budget_nats,
        budget_db=arguments.budget_db,
    )
    with Terminal(quiet=arguments.quiet) as terminal:
        record = distil(
            arguments.source,
            arguments.out,
            config,
            data=arguments.data,
            skip_corrupt=arguments.skip_corrupt,
            force=arguments.force,
            resume=arguments.resume,
            progress=terminal.step,
            tell=terminal.note,
        )
    _show(terminal, record)
    terminal.line(f"models: {arguments.out}" if record.command else f"run: {arguments.out}")
    if record.command:
        terminal.line(f"export them with: {record.command}")
    else:
        terminal.next(
            "export", arguments.out, *(("--for", arguments.chip) if arguments.chip else ()), "--out", "bundle"
        )
    return 0 if record.passed else 1


def _show(terminal: Terminal, record: Distilled) -> None:
    terminal.line(f"student: {record.student.text()}")
    chip = record.config.targets.accelerator
    terminal.table([f"{'int8' if chip else 'float32'} decoder", "µs", "kB", "multiply-adds"], _sizes(record))
    how = f"estimated for {chip.describe()}" if chip else "one thread, lower quartile, timed by turns"
    terminal.line(f"{record.speedup:.2f} times as fast, {how}")
    rows = [
        [
            item.kind,
            str(item.count),
            "equal" if item.psnr_db is None else f"{item.psnr_db:.2f}",
            f"{item.p99_abs:.4f}",
            "" if item.kl_nats is None else f"{item.kl_nats:.3f}",
        ]
        for item in record.closeness
    ]
    terminal.table(["latents", "count", "dB PSNR to the teacher", "p99 difference", "KL nats"], rows)
    for loss in record.losses:
        limit = "" if loss.limit is None else f", {'at least' if loss.is_least else 'budget'} {loss.limit:g}"
        verb = "is" if loss.is_least else "loses"
        terminal.line(f"{loss.name} {verb} {loss.value:.3f} {loss.unit}{limit} ({loss.count}: {loss.source})")
    for failure in record.failures:
        terminal.line(f"FAIL: {failure}")
    if record.failures:
        for candidate in record.finalists[1:]:
            terminal.line(f"also tried: {candidate.text()}, loss {candidate.losses[-1]:.4g}")


def _sizes(record: Distilled) -> list[list[str]]:
    chosen = record.finalists[0]
    return [
        [
            "teacher",
            f"{record.teacher_us:.1f}",
            f"{record.teacher_bytes / 1000:.0f}",
            f"{record.teacher_multiply_adds:,}",
        ],
        ["student", f"{record.latency_us:.1f}", f"{record.size_bytes / 1000:.0f}", f"{chosen.multiply_adds:,}"],
    ]
