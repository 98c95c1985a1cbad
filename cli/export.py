"""The command `pocketvae export`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pocketvae.cli import arguments as common
from pocketvae.cli import external_models as external_models
from pocketvae.cli import models, quantization, serving
from pocketvae.cli.quantization import seed_warnings
from pocketvae.cli.terminal import Terminal
from pocketvae.errors import NothingMadeError, SpecError
from pocketvae.spec import Component, Format, ImageDtype, Precision, parse_choice

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pocketvae.bundle.chips import ChipRecord
    from pocketvae.bundle.manifest import CompiledRecord
    from pocketvae.export import ChipWork, ExportConfig, ExportResult
    from pocketvae.portability.chips import Chip
    from pocketvae.spec import ArtifactSpec


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("run", metavar="RUN", type=Path, nargs="?", help="run directory made by pocketvae train")
    parser.add_argument("--out", metavar="BUNDLE", type=Path, required=True, help="bundle to create")
    parser.add_argument(
        "--components",
        metavar="LIST",
        help=f"any of {', '.join(Component)} (default: all that the model has, but reconstructor and scorer)",
    )
    parser.add_argument("--formats", metavar="LIST", help=f"any of {', '.join(Format)} (default: all)")
    parser.add_argument("--precisions", metavar="LIST", help=f"any of {', '.join(Precision)} (default: all)")
    parser.add_argument("--batch", metavar="LIST", default="1", help="batch sizes of every file (default: 1)")
    parser.add_argument(
        "--image-dtype",
        metavar="LIST",
        help=f"any of {', '.join(ImageDtype)}: images as floats or pixels (default: float32)",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of calibration and golden latents (default: 0)")
    parser.add_argument(
        "--time-limit",
        metavar="SECONDS",
        type=float,
        help="time limit for one conversion (default: 600, and as much for every further 50 MB of the models)",
    )
    parser.add_argument(
        "--rewrites",
        metavar="LIST",
        default="auto",
        help="auto (the default) keeps exact rewrites where they are measured to be faster; or none, all, or names",
    )
    parser.add_argument(
        "--tune",
        metavar="EFFORT",
        default="fast",
        help="before layers of int8 files stay in float, change the network to lose less: none, fast (default) or full",
    )
    parser.add_argument(
        "--for",
        dest="chips",
        metavar="LIST",
        help="make files for chips and keep those that each takes whole: ethos-u55-128 and others, hexagon[:v75], "
        "gpu, cpu",
    )
    parser.add_argument(
        "--compile",
        metavar="LIST",
        help="also write what an app on such a chip loads, compiled ahead of time: hexagon:v75",
    )
    parser.add_argument(
        "--whole",
        action="store_true",
        help="refuse int8, int8_io and int16x8 files in which a layer computes in float, as NPUs need them",
    )
    parser.add_argument(
        "--memory-limit",
        metavar="GB",
        type=float,
        help="memory limit for one conversion (default: two fifths of the machine's memory, at least 4)",
    )
    parser.add_argument("--licence", metavar="TEXT", default="", help="licence of the model, recorded in every file")
    parser.add_argument("--author", metavar="TEXT", default="", help="author of the model, recorded in every file")
    parser.add_argument(
        "--allow-batch-dependence",
        action="store_true",
        help="export a model whose outputs depend on what else is in the batch, as it is for one sample at a time",
    )
    serving.add_argument(parser)
    parser.add_argument(
        "--android-test",
        metavar="DIR",
        type=Path,
        help="also write an instrumented test in Kotlin with the goldens, which checks the files on a phone; --force "
        "replaces only what this option wrote",
    )
    parser.add_argument("--no-embedded-goldens", action="store_true", help="leave golden pairs out of the files")
    _add_quantization(parser)
    parser.add_argument(
        "--no-resume", action="store_true", help="make everything anew, also what an unfinished export has made"
    )
    common.add_force(parser)
    external_models.add_arguments(parser)


def _add_quantization(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("quantization")
    group.add_argument(
        "--budget-p99",
        metavar="STEPS",
        type=float,
        help="largest error of 99 %% of a decoder's pixels (default: 4; 12 for int8_io)",
    )
    group.add_argument(
        "--budget-mean",
        metavar="STEPS",
        type=float,
        help="largest mean error of a decoder's pixels (default: 1; 2 for int8_io)",
    )
    group.add_argument(
        "--budget-elbo",
        metavar="NATS",
        type=float,
        help="largest change of a decoder's ELBO (default: 0.1 per 784 values)",
    )
    group.add_argument(
        "--false-positive-rate",
        metavar="RATE",
        type=float,
        default=0.01,
        help="share of normal items that a scorer's threshold may call anomalies (default: 0.01)",
    )
    group.add_argument(
        "--calibrate-scores",
        metavar="DATA",
        help="normal items for a scorer's threshold (default: those that the run, or --data, held out)",
    )
    group.add_argument(
        "--calibration-seeds",
        metavar="N",
        type=int,
        default=3,
        help="number of calibration sets that int8 plans are tested with (default: 3)",
    )
    group.add_argument(
        "--recipe",
        metavar="FILE",
        type=Path,
        action="append",
        default=[],
        help="quantize as this recipe says, without a search; a file or a folder of recipes; may be repeated",
    )


def run(arguments: argparse.Namespace) -> int:
    """Exports a model and prints one row per artifact."""
    from pocketvae.bundle.manifest import MANIFEST_NAME

    given = external_models.given_options(arguments)
    if arguments.run is not None and given:
        raise SpecError(f"{given[0]} is for user-supplied models: give either RUN or --decoder, not both")
    if arguments.run is None and arguments.decoder is None and arguments.vae is None:
        raise SpecError("export needs a RUN, or a user-supplied model with --decoder FILE or --vae FILE")
    common.check_replaceable(arguments.out, MANIFEST_NAME, force=arguments.force)
    serving.check_android_folder(arguments)
    chips, compiled = _chips(arguments)
    config = _config(arguments, chips)
    serving.check(arguments, config)
    _check_compiled(compiled, config.artifacts)
    if chips or compiled:
        from pocketvae.benchmarks import require_chips

        require_chips((*chips, *compiled))
    with Terminal(quiet=arguments.quiet) as terminal:
        try:
            result = _export(arguments, config, terminal, _chip_work(chips, compiled, terminal))
        except NothingMadeError as e:
            for other in e.others:
                terminal.warn(f"not made: {other}")
            raise
    code = max(_print(result, arguments.out, terminal), _warn_of_unserved(result, compiled, terminal))
    return max(code, serving.write(arguments, result, terminal))


def _warn_of_unserved(result: ExportResult, compiled: Sequence[Chip], terminal: Terminal) -> int:
    """Names the chips that nothing was made for; returns the exit code."""
    made = {record.chip for record in result.manifest.compiled}
    lines = [f"no file serves {chip.name}" for chip in result.manifest.chips if not chip.artifacts]
    lines += [f"no file was compiled for {chip.name}" for chip in compiled if chip.identity not in made]
    for line in lines:
        terminal.warn(line)
    return 1 if lines else 0


def _config(arguments: argparse.Namespace, chips: Sequence[Chip]) -> ExportConfig:
    from pocketvae.data.windows import WHOLE
    from pocketvae.export import Budget, ExportConfig, Tune, parse_rewrites, read_recipes

    artifacts = _artifacts(arguments, chips)
    return ExportConfig(
        artifacts=artifacts,
        batches=common.whole_numbers(arguments.batch, "--batch"),
        seed=arguments.seed,
        time_limit_s=arguments.time_limit,
        rewrites=parse_rewrites(arguments.rewrites),
        tune=parse_choice(Tune, arguments.tune, "effort of tuning"),
        chips=tuple(chip.name for chip in chips),
        only_serving=bool(chips) and not _is_named(arguments),
        skip_ruled_out=not _is_named(arguments),
        whole=arguments.whole,
        memory_limit_bytes=_memory_limit_bytes(arguments.memory_limit),
        licence=arguments.licence,
        author=arguments.author,
        embedded_goldens=not arguments.no_embedded_goldens,
        budget=Budget(
            p99_steps=arguments.budget_p99, mean_steps=arguments.budget_mean, elbo_nats=arguments.budget_elbo
        ),
        calibration_seeds=arguments.calibration_seeds,
        recipes=read_recipes(arguments.recipe),
        allow_batch_dependence=arguments.allow_batch_dependence,
        false_positive_rate=arguments.false_positive_rate,
        calibrate_scores=arguments.calibrate_scores,
        scores_windowing=models.windowing(arguments) if arguments.calibrate_scores else WHOLE,
    )


def _artifacts(arguments: argparse.Namespace, chips: Sequence[Chip]) -> tuple[ArtifactSpec, ...]:
    """Returns what is to be made: for chips, what they may take."""
    from pocketvae.export import check_combinations, plan_artifacts
    from pocketvae.portability.chips import candidates

    components = common.choices(Component, arguments.components, "component")
    formats = common.choices(Format, arguments.formats, "format")
    precisions = common.choices(Precision, arguments.precisions, "precision")
    check_combinations(formats, precisions)
    images = common.choices(ImageDtype, arguments.image_dtype, "image dtype")
    # Before the run is opened.
    common.whole_numbers(arguments.batch, "--batch")
    _memory_limit_bytes(arguments.memory_limit)
    artifacts = plan_artifacts(components or _all_components(arguments), formats, precisions, images)
    return candidates(chips, artifacts) if chips and not _is_named(arguments) else artifacts


def _is_named(arguments: argparse.Namespace) -> bool:
    """Whether files are asked for by name: these are made for chips too, whether or not they serve."""
    return arguments.formats is not None or arguments.precisions is not None


def _memory_limit_bytes(gigabytes: float | None) -> int | None:
    if gigabytes is None:
        return None
    if not 0 < gigabytes < float("inf"):
        raise SpecError(f"--memory-limit takes a number of gigabytes above 0, got {gigabytes:g}")
    return max(1, int(gigabytes * 1e9))


def _all_components(arguments: argparse.Namespace) -> tuple[Component, ...]:
    if arguments.run is None:
        encoder = (Component.ENCODER,) if arguments.encoder or arguments.vae else ()
        prior = (Component.PRIOR,) if arguments.fit_prior is not None else ()
        return (*encoder, Component.DECODER, *prior, Component.SAMPLER, Component.GENERATOR)
    from pocketvae.bundle.run import open_run

    return open_run(arguments.run).record.vae.exports


def _chips(arguments: argparse.Namespace) -> tuple[tuple[Chip, ...], tuple[Chip, ...]]:
    """Returns what the export is for, and what its files are compiled for."""
    from pocketvae.benchmarks import check_compiled
    from pocketvae.portability.chips import parse_chips

    texts = {"--for": arguments.chips, "--compile": arguments.compile}
    for option, text in texts.items():
        if text is not None and not common.names(text):
            raise SpecError(f"{option} needs at least one chip, such as hexagon:v75, got {text!r}")
    chips, compiled = (parse_chips(common.names(text or "")) for text in texts.values())
    check_compiled(compiled)
    return chips, compiled


def _check_compiled(compiled: Sequence[Chip], artifacts: Sequence[ArtifactSpec]) -> None:
    """Refuses to compile for a chip where no file that it takes is to be exported."""
    from pocketvae.portability.chips import candidates

    try:
        candidates(compiled, artifacts)
    except SpecError as e:
        raise SpecError(f"--compile: {e}; add it to --for, --formats or --precisions") from e


def _chip_work(chips: Sequence[Chip], compiled: Sequence[Chip], terminal: Terminal) -> ChipWork:
    """Returns what is done with a finished bundle for chips."""
    from pocketvae.export import ChipWork

    def prove(bundle: Path) -> tuple[ChipRecord, ...]:
        from pocketvae.benchmarks import try_on_chips

        return try_on_chips(bundle, chips, progress=terminal.step)

    def compile_files(bundle: Path) -> tuple[tuple[CompiledRecord, ...], tuple[str, ...]]:
        from pocketvae.benchmarks import compile_for_apps

        made = compile_for_apps(bundle, compiled, progress=terminal.step)
        return made.records, made.problems

    return ChipWork(prove=prove if chips else None, compile=compile_files if compiled else None)


def _export(
    arguments: argparse.Namespace, config: ExportConfig, terminal: Terminal, chip_work: ChipWork
) -> ExportResult:
    from pocketvae.export import export_external_models, export_run

    force, resume = arguments.force, not arguments.no_resume
    if arguments.run is not None:
        return export_run(
            arguments.run,
            arguments.out,
            config,
            force=force,
            resume=resume,
            progress=terminal.step,
            chip_work=chip_work,
        )
    return export_external_models(
        external_models.parse(arguments),
        arguments.out,
        config,
        data=arguments.data,
        windowing=models.windowing(arguments),
        prior=external_models.parse_prior(arguments),
        force=force,
        resume=resume,
        progress=terminal.step,
        tell=terminal.note,
        chip_work=chip_work,
    )


def _print(result: ExportResult, out: Path, terminal: Terminal) -> int:
    from pocketvae.export import portability_warnings

    rows = [
        [artifact.name, f"{artifact.file.size_bytes / 1000:.1f}", "; ".join(artifact.notes)]
        for artifact in result.manifest.artifacts
    ]
    terminal.table(["artifact", "kB", "notes"], rows)
    quantization.print_fronts(result.manifest.artifacts, terminal)
    quantization.print_searches(result.manifest.artifacts, terminal)
    if result.resumed:
        terminal.note(result.resumed)
    for line in seed_warnings(result.manifest.artifacts):
        terminal.warn(line)
    for line in (*portability_warnings(result.manifest), *result.doubts):
        terminal.warn(line)
    for line in (line for chip in result.manifest.chips for line in chip.lines()):
        terminal.line(line)
    for record in result.manifest.compiled:
        terminal.line(f"compiled for {record.chip}: {record.file.path}, {record.file.size_bytes / 1000:.1f} kB")
    for name, error_ratio in sorted(result.over_budget.items()):
        terminal.warn(f"{name} exceeds its error budget by a factor of {error_ratio:.1f}; verify will fail on it")
    for item in result.manifest.left_out:
        terminal.note(f"left out: {item.artifact}: {item.reason}")
    for failure in result.manifest.failures:
        terminal.warn(f"{failure.artifact} could not be made: {failure.reason}")
    terminal.line(f"bundle: {out}")
    terminal.next("verify", out)
    return 1 if result.manifest.failures else 0
