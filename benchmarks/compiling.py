"""Compiling of a bundle's ONNX files for Hexagon NPUs ahead of time, as apps on such phones load them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pocketvae.benchmarks.targets.hexagon import QNN_VERSION, compile_on_hexagon
from pocketvae.bundle.bundle import Bundle, opened
from pocketvae.bundle.manifest import CompiledRecord, FileRecord
from pocketvae.errors import SpecError, TargetError
from pocketvae.portability.chips import Chip, ChipKind
from pocketvae.portability.hexagon import generation_of
from pocketvae.progress import Progress, ProgressCallback, ignore_progress
from pocketvae.system.files import StrPath


@dataclass(frozen=True, kw_only=True)
class Compiled:
    """What came of compiling.

    Attributes:
        records: The files that were made, in the bundle.
        problems: Why others were not, as sentences.
    """

    records: tuple[CompiledRecord, ...]
    problems: tuple[str, ...]


def check_compiled(chips: Sequence[Chip]) -> None:
    """Checks that files can be compiled for chips ahead of time.

    Raises:
        SpecError: one has no compiler here.
    """
    for chip in chips:
        if chip.kind is not ChipKind.HEXAGON:
            advice = ": embed-c --for compiles for it" if chip.kind is ChipKind.ETHOS_U else ""
            raise SpecError(f"--compile writes context files for hexagon[:GENERATION], not for {chip.name}{advice}")


def compile_for_apps(
    bundle: StrPath | Bundle, chips: Sequence[Chip], *, progress: ProgressCallback = ignore_progress
) -> Compiled:
    """Compiles every ONNX file of a bundle that a chip may take, into a folder `compiled` of the bundle.

    Args:
        bundle: The bundle, or its path; its manifest is not changed.
        chips: Hexagons.
        progress: Called for every file.

    Raises:
        ManifestError: the bundle is damaged.
        SpecError: see `check_compiled`.
    """
    check_compiled(chips)
    bundle = opened(bundle)
    records, problems = [], []
    pairs = [(chip, item) for chip in chips for item in bundle.manifest.artifacts if not chip.declines(item.spec)]
    for done, (chip, artifact) in enumerate(pairs, start=1):
        generation = generation_of(chip.name.partition(":")[2])
        path = f"compiled/{ChipKind.HEXAGON}-{generation}/{artifact.name}"
        try:
            content = compile_on_hexagon(bundle.artifact_path(artifact), bundle.path / path, generation)
        except TargetError as e:
            _remove_remains(bundle.path / path)
            problems.append(f"{artifact.name} was not compiled for {chip.name}: {e}")
            continue
        finally:
            progress(Progress(stage="compiling", done=done, total=len(pairs), detail=artifact.name))
        records.append(
            CompiledRecord(
                artifact=artifact.name,
                chip=f"{ChipKind.HEXAGON}:{generation}",
                compiler=f"onnxruntime-qnn {QNN_VERSION}",
                source_sha256=artifact.file.sha256,
                file=FileRecord.of(path, content),
            )
        )
    return Compiled(records=tuple(records), problems=tuple(problems))


def _remove_remains(path: Path) -> None:
    """Removes what a compiler left that was ended, and the folders that are empty without it."""
    path.unlink(missing_ok=True)
    for folder in (path.parent, path.parent.parent):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
