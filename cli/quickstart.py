"""The command `pocketvae quickstart`."""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pocketvae.cli import arguments as common
from pocketvae.cli.terminal import Terminal
from pocketvae.data.embedded import ECG, ECG_TRUTH, MNIST
from pocketvae.errors import OutputExistsError, PocketVaeError
from pocketvae.spec import Component, Precision

if TYPE_CHECKING:
    from pocketvae.bundle.bundle import Bundle
    from pocketvae.bundle.run import Run
    from pocketvae.progress import Progress
    from pocketvae.spec import ArtifactSpec
    from pocketvae.train import TrainConfig

PRESET = "mnist-tiny"


@dataclass(frozen=True, kw_only=True)
class _Line:
    """What a quickstart trains and exports.

    Attributes:
        source: Of the data.
        preset: What is trained.
        changes: Of the preset's values.
        pictures: Captions of the run's pictures, by name.
        scorer: Whether a scorer is exported too, and a recording watched.
        precisions: That are exported; None for all.
        test_data: What the final figure is of.
    """

    source: str
    preset: str
    changes: Mapping[str, object]
    pictures: Mapping[str, str]
    scorer: bool = False
    precisions: tuple[Precision, ...] | None = None
    test_data: str


_IMAGES = _Line(
    source=MNIST,
    preset=PRESET,
    changes={},
    pictures={
        "samples.png": "Samples: 100 latents from the prior, decoded",
        "reconstructions.png": "Test images, each row followed by its reconstructions",
        "curves.png": "Training",
    },
    test_data="the MNIST test images",
)
# Two beats fit into a window, so that the time between them is seen. 20 s are few: more epochs than the preset has.
_SIGNALS = _Line(
    source=ECG,
    preset="sensor-tiny",
    changes={
        "window": 128,
        "stride": 1,
        "truth": ECG_TRUTH,
        "epochs": 100,
        "kl_warmup_epochs": 30,
        "patience_epochs": 0,
    },
    pictures={
        "samples.png": "Samples: latents from the prior, decoded",
        "reconstructions.png": "Test windows, each row followed by its reconstructions",
        "curves.png": "Training",
    },
    scorer=True,
    precisions=(Precision.FLOAT32, Precision.INT8, Precision.INT8_IO),
    test_data="windows of 1.4 s without the early beat",
)
_WATCHED = "The electrocardiogram as the int8 encoder and decoder see it: the early beat is at 19 s"
_WATCHED_STRIDE = 4
# There are few windows of normal beats to fit thresholds to.
_SCORER_RATE, _WATCHED_RATE = 0.02, 0.05
# The last file of a quickstart: without it, one was interrupted.
_REPORT = "report.html"
_STAGES = ("run", "run.unfinished", "bundle", "bundle.unfinished")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument(
        "--out", metavar="DIR", type=Path, default=Path("quickstart"), help="folder to create (default: %(default)s)"
    )
    parser.add_argument(
        "--signals",
        action="store_true",
        help="the same with an electrocardiogram in place of images: a detector of early beats and its scorer",
    )
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="override a training value")
    common.add_force(parser)


def run(arguments: argparse.Namespace) -> int:
    """Runs the whole pipeline and prints the results; returns 1 if an artifact does not match the original."""
    from pocketvae.benchmarks import (
        BENCH_LESS,
        VERIFY_LESS,
        bench_bundle,
        bench_legend,
        bench_table,
        junit_xml,
        verify_bundle,
        verify_summary,
        write_report,
    )
    from pocketvae.bundle.bundle import check_holds_only_bundle, open_bundle
    from pocketvae.bundle.manifest import MANIFEST_NAME
    from pocketvae.bundle.run import RUN_FILES, RUN_NAME
    from pocketvae.documents import encode
    from pocketvae.export import ExportConfig, export_run, plan_artifacts
    from pocketvae.system.files import write_text
    from pocketvae.train import parse_assignments, preset, train, with_overrides

    kind = _SIGNALS if arguments.signals else _IMAGES
    config = with_overrides(with_overrides(preset(kind.preset), kind.changes), parse_assignments(arguments.set))
    out: Path = arguments.out
    run_path, bundle = out / "run", out / "bundle"
    goes_on = _is_unfinished(out, {run_path: RUN_NAME, bundle: MANIFEST_NAME})
    common.check_replaceable(run_path, RUN_NAME, force=arguments.force or goes_on, names=RUN_FILES)
    common.check_replaceable(bundle, MANIFEST_NAME, force=arguments.force or goes_on)
    check_holds_only_bundle(bundle)
    _prepare(out, force=arguments.force or goes_on)
    clock = _Clock()
    with Terminal(quiet=arguments.quiet) as terminal, _explained():
        found = _trained(run_path, config, kind.preset) if _is_whole(run_path) and goes_on else None
        record = (
            found.record
            if found
            else train(
                source=kind.source,
                out=run_path,
                config=config,
                preset=kind.preset,
                force=True,
                resume=goes_on and not arguments.force,
                progress=_marking(out / _REPORT, terminal.step),
            )
        )
        clock.lap("train")
        components = (*record.vae.components, Component.SCORER) if kind.scorer else record.vae.exports
        artifacts = plan_artifacts(components, precisions=kind.precisions)
        exported = _exported(bundle, run_path, artifacts) if _is_whole(bundle) and goes_on else None
        if exported is None:
            options = ExportConfig(artifacts=artifacts, false_positive_rate=_SCORER_RATE)
            export_run(run_path, bundle, options, force=True, progress=terminal.step)
            # Opened once, since that reads and hashes every file.
            exported = open_bundle(bundle)
        clock.lap("export")
        verify = verify_bundle(exported, progress=terminal.step)
        clock.lap("verify")
        bench = bench_bundle(exported, progress=terminal.step)
        clock.lap("bench")
        reports = bundle / "reports"
        reports.mkdir(exist_ok=True)
        pictures = {text: (run_path / name).read_bytes() for name, text in kind.pictures.items()}
        if kind.scorer:
            pictures = {_WATCHED: _watch(bundle, reports / "timeline.svg", terminal), **pictures}
            clock.lap("score")
    write_text(reports / "verify.json", encode(verify))
    write_text(reports / "junit.xml", junit_xml(verify))
    write_text(reports / "bench.json", encode(bench))
    write_report(exported, out / _REPORT, verify, bench, pictures)
    clock.lap("report")
    headers, rows, problems = verify_summary(verify)
    terminal.table(headers, rows, less=VERIFY_LESS)
    for problem in problems:
        terminal.line(problem)
    terminal.table(*bench_table(bench), less=BENCH_LESS)
    for line in filter(None, [bench_legend(bench)]):
        terminal.line(line)
    for failure in exported.manifest.failures:
        terminal.warn(f"{failure.artifact} could not be made: {failure.reason}")
    terminal.line(f"negative ELBO {record.metrics['test_negative_elbo_nats']:.2f} nats on {kind.test_data}")
    terminal.line(f"time: {clock.summary()}")
    terminal.line(f"report: {out / _REPORT}")
    return common.exit_code(verify)


def _watch(bundle: Path, out: Path, terminal: Terminal) -> bytes:
    """Calibrates the int8 models with normal windows, scores the recording, and draws the score over time.

    Returns:
        The picture, SVG.
    """
    import pocketvae
    from pocketvae.apps import Choice, Sampling, calibrate, image_features, load_items, score_result
    from pocketvae.apps.anomaly.scores import ScoreKind, scores
    from pocketvae.apps.anomaly.timeline import timeline_svg
    from pocketvae.apps.training_sources import load_training_items
    from pocketvae.cli.detection import print_detection
    from pocketvae.data.windows import Windowing
    from pocketvae.system.files import write_text

    with pocketvae.open(bundle) as models:
        choice, sampling = Choice(precision=Precision.INT8), Sampling()
        fitted, held_out = (
            items.without_anomalies()
            for items in load_training_items(ECG, models.vae, windowing=Windowing(stride=1, truth=ECG_TRUTH))
        )
        calibration = calibrate(
            models,
            fitted,
            held_out,
            normal=ECG,
            choice=choice,
            sampling=sampling,
            false_positive_rate=_WATCHED_RATE,
            progress=terminal.step,
        )
        items = load_items(ECG, models.vae, windowing=Windowing(stride=_WATCHED_STRIDE, truth=ECG_TRUTH))
        features = image_features(models, items, choice, sampling, progress=terminal.step)
        values = scores(features, models.vae, calibration.noise_scale, calibration.density, calibration.offset)
        result = score_result(calibration, ScoreKind.ELBO, items.names, values, timeline=items.timeline)
        drawn = timeline_svg(items, values[ScoreKind.ELBO], result, models.vae)
    write_text(out, drawn)
    print_detection(result, terminal)
    return drawn.encode()


def _prepare(out: Path, *, force: bool) -> None:
    """Creates the folder; one that is not empty is only reused with --force."""
    if out.exists() and not force and any(out.iterdir()):
        raise OutputExistsError(f"{out} exists: choose another --out, or pass --force to replace its content")
    out.mkdir(parents=True, exist_ok=True)


def _marking(report: Path, step: Callable[[Progress], None]) -> Callable[[Progress], None]:
    """Returns what removes the report of before when training begins, for the folder is unfinished from then on."""

    def marked(progress: Progress) -> None:
        if progress.stage == "training":
            report.unlink(missing_ok=True)
        step(progress)

    return marked


def _is_unfinished(out: Path, markers: Mapping[Path, str]) -> bool:
    """Whether a folder holds a quickstart that was interrupted, and nothing else.

    Args:
        out: The folder.
        markers: The file by which each stage's folder is known.
    """
    names = [path.name for path in out.iterdir()] if out.is_dir() else []
    # What an interrupted command writes beside its output begins with a dot.
    visible = [name for name in names if not name.startswith(".")]
    whole = all((path / name).is_file() for path, name in markers.items() if path.exists())
    return bool(visible) and set(visible) <= set(_STAGES) and whole


def _is_whole(path: Path) -> bool:
    """Whether a stage ended, and was not begun anew since."""
    from pocketvae.system.folders import unfinished_directory

    return path.is_dir() and not unfinished_directory(path).exists()


def _trained(path: Path, config: TrainConfig, preset: str) -> Run | None:
    """Returns the run of an interrupted quickstart, if training it again would give the same."""
    from pocketvae.bundle.run import open_run
    from pocketvae.versions import installed_versions

    with contextlib.suppress(PocketVaeError):
        run = open_run(path)
        same = (config.as_json(), preset, installed_versions())
        if (run.record.config, run.record.preset, run.record.versions) == same:
            return run
    return None


def _exported(path: Path, run_path: Path, artifacts: Sequence[ArtifactSpec]) -> Bundle | None:
    """Returns the bundle of an interrupted quickstart, if it is whole and of this run."""
    from pocketvae.bundle.bundle import open_bundle
    from pocketvae.bundle.run import open_run
    from pocketvae.system.files import sha256_file
    from pocketvae.versions import installed_versions

    with contextlib.suppress(PocketVaeError):
        bundle, run = open_bundle(path), open_run(run_path)
        manifest = bundle.manifest
        originals = {component: file.sha256 for component, file in manifest.original.items()}
        if (
            manifest.versions == installed_versions()
            and {artifact.name for artifact in manifest.artifacts} == {spec.filename for spec in artifacts}
            and originals == {component: sha256_file(run.model_path(component)) for component in originals}
        ):
            return bundle
    return None


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Says of an interrupted training what holds for this command."""
    try:
        yield
    except BaseException as e:
        notes = getattr(e, "__notes__", [])
        notes[:] = [note.replace("continue with --resume", "the same command continues it") for note in notes]
        raise


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
