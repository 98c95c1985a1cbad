"""The command `pocketvae quickstart`."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from pocketvae.cli import arguments as common
from pocketvae.cli.terminal import Terminal
from pocketvae.data.dataset import MNIST
from pocketvae.errors import OutputExistsError

PRESET = "mnist-tiny"
_PICTURES = {
    "samples.png": "Samples: 100 latents from the prior, decoded",
    "reconstructions.png": "Test images, each row followed by its reconstructions",
    "curves.png": "Training",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument(
        "--out", metavar="DIR", type=Path, default=Path("quickstart"), help="folder to create (default: %(default)s)"
    )
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="override a training value")
    common.add_force(parser)


def run(arguments: argparse.Namespace) -> int:
    """Runs the whole pipeline and prints the results; returns 1 if an artifact does not match the original."""
    from pocketvae.benchmarks import (
        BENCH_LESS,
        VERIFY_LESS,
        bench_bundle,
        bench_table,
        junit_xml,
        verify_bundle,
        verify_summary,
        write_report,
    )
    from pocketvae.bundle.bundle import open_bundle
    from pocketvae.bundle.manifest import MANIFEST_NAME
    from pocketvae.bundle.run import RUN_NAME
    from pocketvae.documents import encode
    from pocketvae.export import ExportConfig, export_run, plan_artifacts
    from pocketvae.system.files import write_text
    from pocketvae.train import parse_assignments, preset, train, with_overrides

    config = with_overrides(preset(PRESET), parse_assignments(arguments.set))
    out: Path = arguments.out
    run_path, bundle = out / "run", out / "bundle"
    common.check_replaceable(run_path, RUN_NAME, force=arguments.force)
    common.check_replaceable(bundle, MANIFEST_NAME, force=arguments.force)
    _prepare(out, force=arguments.force)
    clock = _Clock()
    with Terminal(quiet=arguments.quiet) as terminal:
        record = train(source=MNIST, out=run_path, config=config, preset=PRESET, force=True, progress=terminal.step)
        clock.lap("train")
        artifacts = plan_artifacts(record.vae.exports)
        export = export_run(run_path, bundle, ExportConfig(artifacts=artifacts), force=True, progress=terminal.step)
        clock.lap("export")
        # Opened once, since that reads and hashes every file.
        exported = open_bundle(bundle)
        verify = verify_bundle(exported, progress=terminal.step)
        clock.lap("verify")
        bench = bench_bundle(exported, progress=terminal.step)
        clock.lap("bench")
    reports = bundle / "reports"
    reports.mkdir(exist_ok=True)
    write_text(reports / "verify.json", encode(verify))
    write_text(reports / "junit.xml", junit_xml(verify))
    write_text(reports / "bench.json", encode(bench))
    pictures = {text: (run_path / name).read_bytes() for name, text in _PICTURES.items()}
    write_report(exported, out / "report.html", verify, bench, pictures)
    clock.lap("report")
    headers, rows, problems = verify_summary(verify)
    terminal.table(headers, rows, less=VERIFY_LESS)
    for problem in problems:
        terminal.line(problem)
    terminal.table(*bench_table(bench), less=BENCH_LESS)
    for failure in export.manifest.failures:
        terminal.warn(f"{failure.artifact} could not be made: {failure.reason}")
    terminal.line(f"negative ELBO {record.metrics['test_negative_elbo_nats']:.2f} nats on the MNIST test images")
    terminal.line(f"time: {clock.summary()}")
    terminal.line(f"report: {out / 'report.html'}")
    return 0 if verify.passed else 1


def _prepare(out: Path, *, force: bool) -> None:
    """Creates the folder; one that is not empty is only reused with --force."""
    if out.exists() and not force and any(out.iterdir()):
        raise OutputExistsError(f"{out} exists: choose another --out, or pass --force to replace its content")
    out.mkdir(parents=True, exist_ok=True)


class _Clock:
    """Measures the seconds of each stage."""

    def __init__(self) -> None:
        self._started = self._last = time.perf_counter()
        self._laps: list[tuple[str, float]] = []

    def lap(self, name: str) -> None:
        """Ends a stage."""
        now = time.perf_counter()
        self._laps.append((name, now - self._last))
        self._last = now

    def summary(self) -> str:
        """Returns the time of every stage and the total."""
        stages = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in self._laps)
        return f"{stages}, total {self._last - self._started:.1f} s"
