"""A fresh bundle on the chips that it is exported for: which artifacts serve each, by its own compiler or simulator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pocketvae.benchmarks.parity.limits import Limits
from pocketvae.benchmarks.parity.results import Check, VerifyResult
from pocketvae.benchmarks.parity.verify import verify_opened
from pocketvae.benchmarks.targets import make_target
from pocketvae.bundle.bundle import Bundle, opened
from pocketvae.bundle.chips import ChipRecord, ChipTrial
from pocketvae.bundle.manifest import ArtifactRecord
from pocketvae.errors import TargetError
from pocketvae.numerics.tolerance import largest_error_ratio
from pocketvae.portability.chips import Chip, ChipKind
from pocketvae.portability.vela import INTERFACE, VELA_VERSION, NpuEstimate, compile_for, require_vela
from pocketvae.progress import ProgressCallback, ignore_progress
from pocketvae.system.files import StrPath


def require_chips(chips: Sequence[Chip]) -> None:
    """Checks that what decides about chips can be used here, before any work.

    Raises:
        TargetError: a compiler or a simulator is not set up; the message names all that are not.
    """
    missing = dict.fromkeys(reason for chip in chips if (reason := _missing(chip)))
    if missing:
        raise TargetError("; ".join(missing))


def _missing(chip: Chip) -> str:
    """Returns what decides about a chip and is not set up; empty if it is."""
    if chip.kind is ChipKind.ETHOS_U:
        try:
            require_vela()
        except TargetError as e:
            return str(e)
        return ""
    reason = make_target(_target(chip)).unavailable()
    return f"{chip.name}: {reason}" if reason else ""


def try_on_chips(
    bundle: StrPath | Bundle, chips: Sequence[Chip], *, progress: ProgressCallback = ignore_progress
) -> tuple[ChipRecord, ...]:
    """Returns for each chip which artifacts of a bundle it takes whole and runs within their limits.

    Args:
        bundle: The bundle, or its path.
        chips: What it is for.
        progress: Called for every artifact on every chip.

    Raises:
        ManifestError: the bundle is damaged.
    """
    bundle = opened(bundle)
    return tuple(_record(chip, bundle, progress) for chip in chips)


def _record(chip: Chip, bundle: Bundle, progress: ProgressCallback) -> ChipRecord:
    fitting = tuple(item for item in bundle.manifest.artifacts if not chip.declines(item.spec))
    target = make_target(_target(chip))
    some = Bundle(path=bundle.path, manifest=replace(bundle.manifest, artifacts=fitting, failures=()))
    found = verify_opened(some, [target], Limits(), num_threads=1, progress=progress).result if fitting else None
    runtime = target.runtime(fitting[0]) if fitting else ""
    decided_by = runtime or ("LiteRT and onnxruntime on this machine" if chip.is_cpu else target.name)
    if chip.accelerator is not None:
        values = "TensorFlow Lite Micro's kernels" if target.name == chip.name else "this machine's CPU"
        decided_by = f"vela {VELA_VERSION} for {chip.accelerator.describe()}, values of {values}"
    trials = tuple(_trial(chip, item, bundle, found) for item in fitting if found is not None)
    return ChipRecord(name=chip.name, decided_by=decided_by, trials=trials)


def _target(chip: Chip) -> str:
    """Returns where a chip's values come from: for an Ethos-U this machine, where its own kernels are not set up."""
    if chip.is_cpu or (chip.kind is ChipKind.ETHOS_U and make_target(chip.name).unavailable()):
        return "host"
    return chip.name


def _trial(chip: Chip, artifact: ArtifactRecord, bundle: Bundle, found: VerifyResult) -> ChipTrial:
    problem, within = _problem(artifact.name, found), _within(artifact.name, found)
    if chip.accelerator is None:
        return ChipTrial(artifact=artifact.name, serves=not problem, reason=problem or f"taken whole, {within}")
    try:
        estimate = compile_for(chip.accelerator, bundle.artifact_path(artifact).read_bytes(), artifact.name)
    except TargetError as e:
        return ChipTrial(artifact=artifact.name, serves=False, reason=str(e))
    problem = problem or _left(estimate)
    taken = "all but its float interface on the NPU" if estimate.left else "taken whole"
    return ChipTrial(
        artifact=artifact.name,
        serves=not problem,
        reason=problem or f"{taken}, estimated {estimate.cycles:,} cycles, {within}",
        figures=estimate.figures(),
    )


def _problem(name: str, found: VerifyResult) -> str:
    """Returns why an artifact does not serve; empty if it ran and passed."""
    missing = [item.reason for item in (*found.not_run, *found.declined) if item.artifact == name]
    failed = [check for check in _checks(name, found) if not check.passed]
    if missing:
        return missing[0]
    return f"{failed[0].output} {failed[0].metric}: {failed[0].detail}".strip() if failed else ""


def _within(name: str, found: VerifyResult) -> str:
    pairs = [(item.value, item.limit) for item in _checks(name, found) if item.value is not None and item.limit]
    ratio = largest_error_ratio((value, limit) for value, limit in pairs if limit is not None)
    return f"{ratio:.2f} of its limits"


def _checks(name: str, found: VerifyResult) -> list[Check]:
    return [check for check in found.checks if check.artifact == name]


def _left(estimate: NpuEstimate) -> str:
    """Returns what keeps a file from running on the NPU as a whole; empty if nothing but its interface does."""
    inside = [item.operator for item in estimate.left if item.operator not in INTERFACE]
    if not inside:
        return ""
    kinds = ", ".join(dict.fromkeys(inside))
    return f"{len(estimate.left)} of {len(estimate.operators)} operators stay on the CPU: {kinds}"
