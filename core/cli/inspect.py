"""pocketvae inspect."""

from __future__ import annotations

import argparse
from pathlib import Path

from pocketvae.cli.terminal import Terminal
from pocketvae.errors import SpecError
from pocketvae.spec import Format, TensorSpec


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("path", metavar="PATH", type=Path, help="a run, a bundle, or one .tflite or .onnx file")


def run(arguments: argparse.Namespace) -> int:
    """Prints what the path is."""
    from pocketvae.manifest import MANIFEST_NAME
    from pocketvae.run import is_run

    path: Path = arguments.path
    with Terminal(quiet=arguments.quiet) as terminal:
        if is_run(path):
            _print_run(path, terminal)
        elif (path / MANIFEST_NAME).is_file():
            _print_bundle(path, terminal)
        elif path.is_file() and path.suffix in (".tflite", ".onnx"):
            _print_artifact(path, terminal)
        else:
            raise SpecError(f"{path} is no run, no bundle and no .tflite or .onnx file")
    return 0


def _print_run(path: Path, terminal: Terminal) -> None:
    from pocketvae.run import open_run

    record = open_run(path).record
    height, width, channels = record.vae.image_shape
    terminal.line(f"run: {record.preset} on {record.data}, seed {record.seed}")
    terminal.line(f"model: {width}x{height}x{channels} images, {record.vae.latent_dim} latent dimensions")
    terminal.table(["metric", "value"], [[key, f"{value:g}"] for key, value in sorted(record.metrics.items())])
    terminal.table(["setting", "value"], [[key, str(value)] for key, value in sorted(record.config.items())])


def _print_bundle(path: Path, terminal: Terminal) -> None:
    from pocketvae.bundle import open_bundle

    manifest = open_bundle(path).manifest
    height, width, channels = manifest.vae.image_shape
    terminal.line(f"bundle: {manifest.name}, every file as recorded")
    terminal.line(f"model: {width}x{height}x{channels} images, {manifest.vae.latent_dim} latent dimensions")
    rows = [
        [
            artifact.name,
            f"{artifact.file.size_bytes / 1000:.1f}",
            _interface(artifact.inputs),
            _interface(artifact.outputs),
            "; ".join(artifact.notes),
        ]
        for artifact in manifest.artifacts
    ]
    terminal.table(["artifact", "kB", "inputs", "outputs", "notes"], rows)
    for failure in manifest.failures:
        terminal.line(f"could not be made: {failure.artifact}: {failure.reason}")
    terminal.table(["made from", ""], [list(pair) for pair in sorted(manifest.provenance.items())])
    terminal.table(["made with", "version"], [list(pair) for pair in sorted(manifest.versions.items())])


def _print_artifact(path: Path, terminal: Terminal) -> None:
    from pocketvae.runners import open_runner

    with open_runner(path, Format(path.suffix[1:])) as runner:
        terminal.line(f"{path.name}: {path.stat().st_size} bytes, loads in {runner.runtime}")
        rows = [["input", _interface([spec])] for spec in runner.inputs.values()]
        rows += [["output", _interface([spec])] for spec in runner.outputs.values()]
        terminal.table(["", "tensor"], rows)
        sizes = ", ".join(str(batch) for batch in runner.batches) or "any"
        terminal.line(f"batch sizes: {sizes}")


def _interface(specs: tuple[TensorSpec, ...] | list[TensorSpec]) -> str:
    return ", ".join(_describe(spec) for spec in specs)


def _describe(spec: TensorSpec) -> str:
    shape = "x".join(str(size) for size in spec.shape)
    text = f"{spec.name} {shape} {spec.dtype}"
    if spec.quantization is None:
        return text
    sign = "+" if spec.quantization.zero_point < 0 else "-"
    return f"{text}, real = {spec.quantization.scale:.4g} * (q {sign} {abs(spec.quantization.zero_point)})"
