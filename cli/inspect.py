"""The command `pocketvae inspect`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pocketvae.cli import lint, quantization
from pocketvae.cli.arguments import bundle_path
from pocketvae.cli.terminal import Terminal
from pocketvae.errors import SpecError
from pocketvae.spec import Format, TensorSpec
from pocketvae.vae_spec import Condition, VaeSpec

if TYPE_CHECKING:
    from pocketvae.bundle.embedded import EmbeddedRecord, TensorDoc
    from pocketvae.bundle.manifest import RewriteRecord
    from pocketvae.portability.chips import Chip
    from pocketvae.portability.ethos_u import EthosU
    from pocketvae.portability.records import Requirement


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("path", metavar="PATH", type=bundle_path, help="a run, a bundle, or one .tflite or .onnx file")
    parser.add_argument("--lint", action="store_true", help="name the operators that accelerators do not support")
    parser.add_argument(
        "--target",
        metavar="CHIP",
        help="with --lint: ask what decides about a chip, such as ethos-u55-128, hexagon:v75 or gpu",
    )
    parser.add_argument(
        "--pareto", action="store_true", help="for a bundle: show what the searches for a quantization found"
    )


def run(arguments: argparse.Namespace) -> int:
    """Prints what the path is; with --lint, returns 3 if a package that it needs is missing."""
    from pocketvae.bundle.manifest import MANIFEST_NAME
    from pocketvae.bundle.run import is_run

    path: Path = arguments.path
    if arguments.target is not None and not arguments.lint:
        raise SpecError("--target only applies to --lint: add that option")
    chip = _chip(arguments.target) if arguments.target is not None else None
    with Terminal(quiet=arguments.quiet) as terminal:
        if arguments.pareto and not (path / MANIFEST_NAME).is_file():
            raise SpecError(f"--pareto needs a bundle, but {path} is not a bundle: {MANIFEST_NAME} is missing")
        if is_run(path):
            if arguments.lint:
                raise SpecError(f"--lint examines exported files, but {path} is a run: export it first")
            _print_run(path, terminal)
        elif (path / MANIFEST_NAME).is_file():
            if arguments.lint:
                return _lint_bundle(path, chip, terminal)
            if arguments.pareto:
                _print_pareto(path, terminal)
            else:
                _print_bundle(path, terminal)
        elif path.is_file() and path.suffix in (".tflite", ".onnx"):
            if arguments.lint:
                return lint.print_files([path], terminal, _ethos_u(chip, path))
            _print_artifact(path, terminal)
        else:
            raise SpecError(f"{path} is not a run, a bundle, or a .tflite or .onnx file")
    return 0


def _chip(name: str) -> Chip:
    from pocketvae.portability.chips import Chip

    chip = Chip.parse(name)
    if chip.is_cpu:
        raise SpecError("--lint --target is for chips beside a CPU, which runs every file, got 'cpu'")
    return chip


def _ethos_u(chip: Chip | None, path: Path) -> EthosU | None:
    if chip is not None and chip.accelerator is None:
        raise SpecError(f"--target {chip.name} runs the files of a bundle with its goldens: name the bundle of {path}")
    return chip.accelerator if chip is not None else None


def _lint_bundle(path: Path, chip: Chip | None, terminal: Terminal) -> int:
    if chip is not None and chip.accelerator is None:
        return lint.print_trials(path, terminal, chip)
    return lint.print_bundle(path, terminal, _ethos_u(chip, path))


def _print_run(path: Path, terminal: Terminal) -> None:
    from pocketvae.bundle.run import open_run

    record = open_run(path).record
    terminal.line(f"run: {record.preset} on {record.data}, seed {record.seed}")
    if record.distilled_from:
        terminal.line(f"its decoder was distilled from {record.distilled_from}")
    terminal.line(f"model: {_model(record.vae)}")
    terminal.table(["metric", "value"], [[key, f"{value:g}"] for key, value in sorted(record.metrics.items())])
    terminal.table(["setting", "value"], [[key, str(value)] for key, value in sorted(record.config.items())])


def _print_bundle(path: Path, terminal: Terminal) -> None:
    from pocketvae.bundle.bundle import open_bundle

    manifest = open_bundle(path).manifest
    terminal.line(f"bundle: {manifest.name}, every file matches its hash")
    terminal.line(f"model: {_model(manifest.vae)}")
    terminal.line(f"licence: {manifest.licence or 'not stated'}; author: {manifest.author or 'not stated'}")
    rows = [
        [
            artifact.name,
            f"{artifact.file.size_bytes / 1000:.1f}",
            _interface(artifact.inputs),
            _interface(artifact.outputs),
            _requirement(artifact.requires),
            artifact.integers.describe() if artifact.integers else "not recorded",
            "; ".join(artifact.notes),
        ]
        for artifact in manifest.artifacts
    ]
    terminal.table(["artifact", "kB", "inputs", "outputs", "needs", "in integers", "notes"], rows)
    rows = [_rewrite_row(artifact.name, rewrite) for artifact in manifest.artifacts for rewrite in artifact.rewrites]
    if rows:
        headers = ["artifact", "rewrite", "places", "kept", "µs before", "µs after", "max difference", "why"]
        terminal.table(headers, rows)
    for line in (line for chip in manifest.chips for line in chip.lines()):
        terminal.line(line)
    for item in manifest.left_out:
        terminal.line(f"left out: {item.artifact}: {item.reason}")
    for failure in manifest.failures:
        terminal.line(f"could not be made: {failure.artifact}: {failure.reason}")
    terminal.table(["made from", ""], [list(pair) for pair in sorted(manifest.provenance.items())])
    terminal.table(["made with", "version"], [list(pair) for pair in sorted(manifest.versions.items())])


def _print_pareto(path: Path, terminal: Terminal) -> None:
    from pocketvae.bundle.bundle import open_bundle

    artifacts = open_bundle(path).manifest.artifacts
    if not any(artifact.search for artifact in artifacts):
        terminal.line(
            "no artifact of this bundle has a quantization search: only int8 and int8_io encoders and decoders have one"
        )
        return
    quantization.print_fronts(artifacts, terminal)
    quantization.print_searches(artifacts, terminal)


def _rewrite_row(artifact: str, rewrite: RewriteRecord) -> list[str]:
    title = rewrite.name if rewrite.form == "only" else f"{rewrite.name} by {rewrite.form}"
    latencies = (rewrite.before_latency_s, rewrite.after_latency_s)
    times = ["" if latency_s is None else f"{1e6 * latency_s:.1f}" for latency_s in latencies]
    difference = "" if rewrite.max_difference is None else f"{rewrite.max_difference:.1e}"
    kept = "yes" if rewrite.kept else "no"
    return [artifact, title, str(rewrite.places), kept, *times, difference, rewrite.reason]


def _print_artifact(path: Path, terminal: Terminal) -> None:
    from pocketvae.bundle.embedded import has_record, open_lone_file
    from pocketvae.formats.damage import naming_file
    from pocketvae.portability.requirements import oldest_runtime
    from pocketvae.runtimes.opening import open_runner

    format, content = Format(path.suffix[1:]), path.read_bytes()
    with open_runner(path, format) as runner:
        terminal.line(f"{path.name}: {len(content)} bytes, loads in {runner.runtime}")
        rows = [["input", _interface([spec])] for spec in runner.inputs.values()]
        rows += [["output", _interface([spec])] for spec in runner.outputs.values()]
        terminal.table(["", "tensor"], rows)
        sizes = ", ".join(str(batch) for batch in runner.batches) or "any"
        terminal.line(f"batch sizes: {sizes}")
    with naming_file(path):
        terminal.line(f"needs {_requirement(oldest_runtime(format, content))}")
        _print_layers(format, content, terminal)
    if not has_record(path):
        terminal.line("the file does not contain pocketvae metadata")
        return
    lone = open_lone_file(path)
    same = lone.content_sha256 == lone.record.content_sha256
    terminal.line(f"model: {'as it was exported' if same else 'CHANGED since it was exported'}")
    _print_record(lone.record, terminal)


def _print_layers(format: Format, content: bytes, terminal: Terminal) -> None:
    from pocketvae.errors import TargetError
    from pocketvae.formats.arithmetic import read_integer_share
    from pocketvae.formats.layers import read_layers

    try:
        quantization.print_layers(read_layers(format, content), terminal)
        terminal.line(f"in integers: {read_integer_share(format, content).describe()}")
    except TargetError as e:  # The rest only needs the runtime, which is installed.
        terminal.line(f"layers: {e}")


def _print_record(record: EmbeddedRecord, terminal: Terminal) -> None:
    conditions = "".join(f", {_condition(item)}" for item in record.vae.conditions)
    rows = [
        ["model", f"{record.name}, {record.component} in {record.precision}"],
        ["VAE", f"{_model(record.vae)}{conditions}"],
        ["likelihood, prior", f"{record.vae.likelihood}, {record.vae.prior}"],
        ["licence", record.licence or "not stated"],
        ["author", record.author or "not stated"],
        ["written by", f"pocketvae {record.pocketvae}"],
        *(["original", f"{component} {digest}"] for component, digest in sorted(record.sources.items())),
        *(["note", note] for note in record.notes),
        *(["tolerance", f"{t.output} {t.metric} <= {t.limit:.3g}: {t.source}"] for t in record.tolerances),
        ["golden pairs", ", ".join(record.goldens.kinds) if record.goldens else "left out"],
    ]
    terminal.table(["metadata", ""], rows)
    meanings = [_meaning("input", item) for item in record.inputs]
    meanings += [_meaning("output", item) for item in record.outputs]
    terminal.table(["", "tensor", "meaning", "unit", "range"], meanings)


def _model(vae: VaeSpec) -> str:
    several = len(vae.latents) > 1
    shapes = ", ".join(
        f"{latent.name} " * several + "x".join(str(size) for size in latent.shape) for latent in vae.latents
    )
    spatial = f" ({shapes})" if several or len(vae.latents[0].shape) > 1 else ""
    parts = [f"{item.size} codes of {item.codes}" for item in vae.latents if item.codes]
    dimensions = sum(item.size for item in vae.continuous)
    latents = " and ".join([*parts, *([f"{dimensions} latent dimensions"] if dimensions else [])])
    # numpy comes with it, which the help need not wait for.
    from pocketvae.kinds.registry import described

    return f"{described(vae)}, {latents}{spatial}"


def _condition(condition: Condition) -> str:
    if condition.is_label:
        name = "labels" if condition.name == "label" else f"classes of {condition.name}"
        return f"{condition.count} {name}"
    return f"condition {condition.name} {list(condition.shape)}"


def _meaning(role: str, item: TensorDoc) -> list[str]:
    limits = f"{item.range[0]:g} to {item.range[1]:g}" if item.range else "any"
    return [role, item.tensor.name, item.meaning, item.unit, limits]


def _requirement(requires: Requirement | None) -> str:
    return requires.describe() if requires else "not recorded"


def _interface(specs: tuple[TensorSpec, ...] | list[TensorSpec]) -> str:
    return ", ".join(_describe(spec) for spec in specs)


def _describe(spec: TensorSpec) -> str:
    shape = "x".join(str(size) for size in spec.shape)
    text = f"{spec.name} {shape} {spec.dtype}"
    if spec.quantization is None:
        return text
    sign = "+" if spec.quantization.zero_point < 0 else "-"
    return f"{text}, real = {spec.quantization.scale:.4g} * (q {sign} {abs(spec.quantization.zero_point)})"
