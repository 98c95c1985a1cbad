"""The command `pocketvae score`."""

from __future__ import annotations

import argparse
import contextlib
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pocketvae.cli import arguments as common
from pocketvae.cli import clusters, models
from pocketvae.cli.terminal import Terminal
from pocketvae.errors import DataError, SpecError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pocketvae import ModelBundle
    from pocketvae.apps import Calibration, ScoreKind, ScoreResult, SourceImages
    from pocketvae.apps.anomaly.features import Doubles
    from pocketvae.apps.anomaly.scores import ScoredItems
    from pocketvae.apps.clusters.reading import Source
    from pocketvae.data.windows import Windowing
    from pocketvae.vae_spec import VaeSpec

_FITTED_ITEMS = 6000
_DEFAULT_RATE, _DEFAULT_SAMPLES = 0.05, 8
_LARGEST = "they get the largest score and are anomalies"
_OF_SCORING = ("score", "normal", "timeline", "roc", "csv", "json", "count")
_OF_CALIBRATING = ("false_positive_rate", "samples")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    common.add_bundle(parser).type = clusters.bundle_place
    models.add_images(parser)
    parser.add_argument(
        "--calibration", metavar="FILE", type=Path, required=True, help="calibration file made by --calibrate"
    )
    parser.add_argument(
        "--calibrate", action="store_true", help="fit --calibration to IMAGES, all normal, instead of scoring them"
    )
    parser.add_argument("--false-positive-rate", metavar="R", type=float, help="rate to calibrate to (default: 0.05)")
    parser.add_argument("--samples", metavar="L", type=int, help="latents per item to calibrate with (default: 8)")
    parser.add_argument(
        "--score", metavar="NAME", help="score that decides (default: density; reconstruction without a posterior)"
    )
    parser.add_argument(
        "--normal", metavar="SRC", help="known normal data, to report how well the scores separate them"
    )
    parser.add_argument(
        "--truth",
        metavar="COLUMN",
        help="of recordings: column that is 1 where a time step is an anomaly, or the folders of anomalies, such as "
        "broken/,worn/, to report how well scores detect it; with --calibrate such windows are left out",
    )
    parser.add_argument(
        "--timeline", metavar="FILE", type=Path, help="of recordings: write score, alarms and channels over time as SVG"
    )
    parser.add_argument("--roc", metavar="FILE", type=Path, help="write ROC curves as SVG; needs --normal or --truth")
    parser.add_argument("--csv", metavar="FILE", type=clusters.place, help="write every score as CSV")
    parser.add_argument("--json", metavar="FILE", type=clusters.place, help="write every score as JSON")
    models.add_label(parser)
    models.add_choice(parser)
    clusters.add_cluster(parser)
    common.add_force(parser)


@clusters.by_address("csv", "json")
def run(arguments: argparse.Namespace) -> int:
    """Scores images or other data, or fits the calibration; finding anomalies is not a failure."""
    import pocketvae
    from pocketvae.apps import approximations
    from pocketvae.system.files import check_output

    _check_options(arguments)
    for path in (arguments.roc, arguments.timeline, arguments.csv, arguments.json):
        common.check_file_output(path)
        if path is not None:
            check_output(path, force=arguments.force)
    with Terminal(quiet=arguments.quiet) as terminal, pocketvae.open(arguments.bundle) as bundle:
        for approximation in approximations(bundle.vae):
            terminal.warn(approximation)
        if arguments.calibrate:
            _calibrate(bundle, arguments, terminal)
        else:
            _score(bundle, arguments, terminal)
    return 0


def _check_options(arguments: argparse.Namespace) -> None:
    """Refuses options that would have no effect.

    Raises:
        SpecError: a scoring option is used with `--calibrate`, or a calibration option without it.
    """
    is_clustered = clusters.is_asked(arguments)
    if is_clustered and arguments.calibrate:
        raise SpecError("--calibrate looks at a few thousand items at most: leave out --cluster")
    if is_clustered and arguments.csv is None and arguments.json is None:
        raise SpecError("--cluster keeps what is done beside the output: pass --csv FILE or --json FILE")
    foreign = _OF_SCORING if arguments.calibrate else _OF_CALIBRATING
    for name in foreign:
        if getattr(arguments, name) is not None:
            option = f"--{name.replace('_', '-')}"
            if arguments.calibrate:
                raise SpecError(f"{option} is for scoring: leave it out with --calibrate")
            raise SpecError(f"{option} only applies to --calibrate: the calibration file already has a value")
    if arguments.normal is not None and arguments.truth is not None:
        raise SpecError("--normal and --truth both say which items are anomalies: leave one out")
    if arguments.roc is not None and arguments.normal is None and arguments.truth is None:
        raise SpecError("--roc needs --normal SRC or --truth COLUMN: a curve compares anomalies with normal items")


def _calibrate(bundle: ModelBundle, arguments: argparse.Namespace, terminal: Terminal) -> None:
    from pocketvae.apps import Sampling, calibrate, load_training_items
    from pocketvae.documents import encode
    from pocketvae.kinds.registry import kind_of
    from pocketvae.system.files import check_output, write_text

    check_output(arguments.calibration, force=arguments.force)
    if arguments.samples is not None and not bundle.vae.has_posterior:
        raise SpecError("--samples draws latents of posteriors, which this encoder does not have: leave it out")
    samples = _DEFAULT_SAMPLES if bundle.vae.has_posterior else 1
    sampling = Sampling(samples=samples if arguments.samples is None else arguments.samples)
    fitted, held_out = load_training_items(
        arguments.images,
        bundle.vae,
        resize=arguments.resize,
        windowing=_as_in_training(bundle, arguments, terminal),
        in_memory=False,
        trained_on=int(bundle.manifest.training.get("training_images", 0)),
        progress=terminal.step,
    )
    calibration = calibrate(
        bundle,
        fitted.without_anomalies().typical(_FITTED_ITEMS),
        held_out.without_anomalies(),
        normal=Path(arguments.images).name,
        choice=models.choice(arguments),
        sampling=sampling,
        false_positive_rate=_DEFAULT_RATE if arguments.false_positive_rate is None else arguments.false_positive_rate,
        label=arguments.label,
        progress=terminal.step,
    )
    write_text(arguments.calibration, encode(calibration), force=arguments.force)
    plural = kind_of(bundle.vae.data).plural
    terminal.table(("score", "threshold"), [(str(k), f"{v:.6g}") for k, v in calibration.thresholds.items()])
    terminal.line(
        f"at most {calibration.false_positive_rate:g} of normal {plural} lie above each threshold, estimated on "
        f"{len(held_out)} held-out {plural}: {arguments.calibration}"
    )


def _as_in_training(bundle: ModelBundle, arguments: argparse.Namespace, terminal: Terminal) -> Windowing:
    """Returns how recordings are cut: by default as in training, which then holds out the same of them."""
    from pocketvae.data.values import windowing_as_trained

    given = models.windowing(arguments)
    usual = windowing_as_trained(arguments.images, bundle.vae, bundle.manifest.config)
    if usual.stride and not given.stride:
        terminal.note(f"windows lie {usual.stride} time steps apart, as in training: --stride sets another distance")
    return replace(usual, **{name: value for name, value in asdict(given).items() if value})


def _score(bundle: ModelBundle, arguments: argparse.Namespace, terminal: Terminal) -> None:
    from pocketvae.apps import (
        Calibration,
        ScoreKind,
        check_score,
        default_score,
        score_result,
    )
    from pocketvae.cli.detection import print_detection
    from pocketvae.documents import decode
    from pocketvae.kinds.registry import kind_of
    from pocketvae.spec import parse_choice

    chosen = parse_choice(ScoreKind, arguments.score or default_score(bundle.vae), "score")
    check_score(chosen, bundle.vae, has_scorer=bundle.scoring is not None)
    plural = kind_of(bundle.vae.data).plural
    if not arguments.calibration.is_file():
        raise DataError(f"{arguments.calibration} does not exist: create it from normal {plural} with --calibrate")
    calibration = decode(Calibration, arguments.calibration.read_bytes(), str(arguments.calibration))
    calibration.check_bundle(bundle, chosen)
    for difference in calibration.differences(bundle.vae, models.choice(arguments).precision):
        terminal.warn(difference)
    with contextlib.ExitStack() as stack:
        # Both sources are read before anything is computed with either.
        sources = [
            _source(bundle, source, count, calibration, arguments, terminal)
            for source, count in ((arguments.images, arguments.count), (arguments.normal, None))
            if source is not None
        ]
        found = stack.enter_context(_scored(bundle, sources[0], calibration, arguments, terminal))
        _check_of_recordings(found.items, arguments)
        normal, normal_timeline = None, None
        if arguments.normal is not None:
            known = stack.enter_context(_scored(bundle, sources[1], calibration, arguments, terminal, part=".normal"))
            normal, normal_timeline = known.values, known.items.timeline
        result = score_result(
            calibration,
            chosen,
            found.items.names,
            found.values,
            normal,
            found.items.timeline,
            normal_timeline,
        )
        _write(result, found, normal, arguments, bundle.vae)
        print_detection(result, terminal)
        terminal.line(
            f"{result.anomalies} of {len(result.items)} {plural} are anomalies: {chosen} above {result.threshold:.4g}, "
            f"which at most {calibration.false_positive_rate:g} of normal {plural} exceed"
        )


def _write(
    result: ScoreResult,
    found: ScoredItems,
    normal: Mapping[ScoreKind, Doubles] | None,
    arguments: argparse.Namespace,
    vae: VaeSpec,
) -> None:
    from pocketvae.apps import roc_svg, score_csv, score_json
    from pocketvae.apps.anomaly.timeline import separated, timeline_svg
    from pocketvae.kinds.registry import kind_of
    from pocketvae.system.files import write_pieces, write_text

    if arguments.json is not None:
        write_pieces(arguments.json, score_json(result))
    if arguments.csv is not None:
        write_pieces(arguments.csv, score_csv(result))
    if arguments.roc is not None:
        curves = separated(found.values, normal, found.items.timeline)
        write_text(arguments.roc, roc_svg(*curves, kind_of(vae.data).plural))
    if arguments.timeline is not None:
        write_text(arguments.timeline, timeline_svg(found.items, found.values[result.chosen], result, vae))


def _source(
    bundle: ModelBundle,
    source: str,
    count: int | None,
    calibration: Calibration,
    arguments: argparse.Namespace,
    terminal: Terminal,
) -> SourceImages | Source:
    """Returns the items of a source, or of a cluster, whose workers read them, where they are.

    Windows reach the end of each recording: what no window holds would never be an anomaly.
    """
    windowing = replace(
        models.windowing(arguments), to_end=True, usual=calibration.columns, usual_rate_hz=calibration.rate_hz
    )
    if clusters.is_asked(arguments):
        return replace(clusters.source(source, count, arguments), windowing=windowing)
    from pocketvae.apps import load_items

    items = load_items(
        source,
        bundle.vae,
        resize=arguments.resize,
        count=count,
        windowing=windowing,
        in_memory=False,
        progress=terminal.step,
    )
    if source == arguments.images:
        _check_of_recordings(items, arguments)
    return items


def _check_of_recordings(items: SourceImages, arguments: argparse.Namespace) -> None:
    """Checks that items are windows of recordings where that is asked for, and that a curve can compare them.

    Raises:
        DataError: they are not, or all are normal or all anomalies.
    """
    from pocketvae.apps.anomaly.detection import has_both_kinds

    if arguments.timeline is not None and items.timeline is None:
        raise DataError(f"--timeline is for recordings, but {arguments.images} is not one: leave it out")
    if arguments.roc is None or items.timeline is None or items.timeline.truth is None:
        return
    truth = items.timeline.anomalous()
    if not has_both_kinds(truth):
        kind = "an anomaly" if truth.any() else "normal"
        raise DataError(f"--roc compares anomalies with normal items, but all {len(truth)} are {kind}: leave it out")


@contextlib.contextmanager
def _scored(
    bundle: ModelBundle,
    source: SourceImages | Source,
    calibration: Calibration,
    arguments: argparse.Namespace,
    terminal: Terminal,
    *,
    part: str = "",
) -> Iterator[ScoredItems]:
    """Yields the scores of a source, and warns of items that are beyond."""
    from pocketvae.apps import SourceImages

    work = (
        _scored_here(bundle, source, calibration, arguments, terminal)
        if isinstance(source, SourceImages)
        else _scored_on_cluster(bundle, source, calibration, arguments, terminal, part)
    )
    with work as found:
        _warn_of_beyond(found, terminal)
        yield found


@contextlib.contextmanager
def _scored_here(
    bundle: ModelBundle,
    items: SourceImages,
    calibration: Calibration,
    arguments: argparse.Namespace,
    terminal: Terminal,
) -> Iterator[ScoredItems]:
    from pocketvae.apps import image_features
    from pocketvae.apps.anomaly.scores import ScoredItems, scores

    features = image_features(
        bundle, items, models.choice(arguments), calibration.sampling, arguments.label, terminal.step
    )
    values = scores(features, bundle.vae, calibration.noise_scale, calibration.density, calibration.offset)
    yield ScoredItems(items=items, values=values, beyond=features.beyond)


@contextlib.contextmanager
def _scored_on_cluster(
    bundle: ModelBundle,
    items: Source,
    calibration: Calibration,
    arguments: argparse.Namespace,
    terminal: Terminal,
    part: str,
) -> Iterator[ScoredItems]:
    from pocketvae.apps.clusters.commands import scored_on_cluster
    from pocketvae.documents import encode
    from pocketvae.system.files import sha256_bytes

    out = arguments.csv or arguments.json
    run = clusters.make_run(
        bundle,
        out.with_name(f"{out.name}{part}"),
        arguments,
        terminal,
        {"calibration": sha256_bytes(encode(calibration).encode())},
    )
    with scored_on_cluster(run, items, models.choice(arguments), arguments.label, calibration) as found:
        yield found


def _warn_of_beyond(found: ScoredItems, terminal: Terminal) -> None:
    import numpy as np

    beyond = np.flatnonzero(found.beyond)
    if len(beyond):
        is_one = len(beyond) == 1
        terminal.warn(
            f"{len(beyond)} of {len(found.items)} items {'is' if is_one else 'are'} so far from the training data that "
            f"{'its' if is_one else 'their'} scores are not finite numbers, the first "
            f"{found.items.names[int(beyond[0])]}: "
            f"{'it gets the largest score and is an anomaly' if is_one else _LARGEST}"
        )
