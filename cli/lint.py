"""The output of `inspect --lint`: how much of a file each accelerator supports, and what it leaves to the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pocketvae.cli.terminal import Terminal
from pocketvae.errors import SpecError, TargetError
from pocketvae.spec import Format

if TYPE_CHECKING:
    from pocketvae.portability.chips import Chip
    from pocketvae.portability.ethos_u import EthosU


def print_bundle(path: Path, terminal: Terminal, chip: EthosU | None = None) -> int:
    """Examines every artifact of a bundle; see `print_files`."""
    from pocketvae.bundle.bundle import open_bundle

    bundle = open_bundle(path)
    return print_files([bundle.artifact_path(artifact) for artifact in bundle.manifest.artifacts], terminal, chip)


def print_trials(path: Path, terminal: Terminal, chip: Chip) -> int:
    """Prints of the artifacts that a chip may take which it takes whole and runs within their limits, or why not.

    Raises:
        SpecError: the bundle has no such artifact.
        TargetError: the chip's compiler or simulator is not set up.
    """
    from pocketvae.benchmarks import require_chips, try_on_chips
    from pocketvae.bundle.bundle import open_bundle

    bundle = open_bundle(path)
    reasons = dict.fromkeys(chip.declines(artifact.spec) for artifact in bundle.manifest.artifacts)
    if "" not in reasons:
        raise SpecError(f"{next(iter(reasons))}, but the bundle has none")
    require_chips((chip,))
    (record,) = try_on_chips(bundle, (chip,), progress=terminal.step)
    rows = [[trial.artifact, "yes" if trial.serves else "no", trial.reason] for trial in record.trials]
    terminal.table(["file", f"for {chip.name}", "what was found"], rows)
    terminal.line(f"decided by {record.decided_by}")
    return 0


def print_files(paths: Sequence[Path], terminal: Terminal, chip: EthosU | None = None) -> int:
    """Prints one row per file and accelerator; returns 3 if a package that it needs is missing, else 0.

    For a chip, its compiler says what it takes of every TFLite file, and estimates the time.
    """
    from pocketvae.formats.damage import naming_file
    from pocketvae.portability.lint import lint
    from pocketvae.portability.vela import compile_for

    if chip is not None and not any(path.suffix == ".tflite" for path in paths):
        raise SpecError(f"{chip.accelerator} runs TFLite files, but there is none: {paths[0].name} is an ONNX file")
    rows: list[list[str]] = []
    sources: dict[str, str] = {}
    missing: list[str] = []
    estimates: list[str] = []
    for path in paths:
        try:
            with naming_file(path):
                found = lint(Format(path.suffix[1:]), path.read_bytes())
                if chip is not None and path.suffix == ".tflite":
                    estimate = compile_for(chip, path.read_bytes(), path.name)
                    found = (*found, estimate.portability())
                    estimates += [f"{path.name}: {text}" for text in (*estimate.remarks(), *estimate.dearest())]
        except TargetError as e:
            missing.append(f"{path.name} was not examined: {e}")
            continue
        for item in found:
            left = "; ".join(f"{off.operator} x{off.count}: {off.reason}" for off in item.falls_off)
            rows.append([path.name, str(item.backend), f"{item.taken} of {item.operators}", left])
            sources[str(item.backend)] = item.source
    terminal.table(["file", "accelerator", "operators supported", "not supported"], rows)
    terminal.table(["accelerator", "source"], [list(pair) for pair in sources.items()])
    for line in estimates:
        terminal.line(line)
    for line in missing:
        terminal.warn(line)
    return 3 if missing else 0
