"""Runs every artifact on every target and compares the outputs with this machine's and the original's."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pocketvae.benchmarks.execution.local import HostRun
from pocketvae.benchmarks.matrix.results import Cell, CellState, MatrixResult, TargetRecord
from pocketvae.benchmarks.matrix.sheet import Sheet, SheetRow
from pocketvae.benchmarks.parity.checks import output_checks
from pocketvae.benchmarks.parity.deviations import Deviations
from pocketvae.benchmarks.parity.limits import Limits
from pocketvae.benchmarks.parity.verify import read_limits
from pocketvae.benchmarks.targets import Target, TargetRun, make_target
from pocketvae.bundle.bundle import Bundle, opened
from pocketvae.bundle.manifest import ArtifactRecord
from pocketvae.errors import ArtifactFault, TargetError
from pocketvae.progress import Progress, ProgressCallback, ignore_progress
from pocketvae.spec import Precision
from pocketvae.system.environment import current_environment
from pocketvae.system.files import StrPath

# Enough to tell artifacts apart, and fewer than the calls that the comparison needs; `bench` measures in earnest.
_FEW_CALLS = 15
# A file that took longer than this for the comparison is not timed: that needs some 40 calls more.
_LONG_S = 30.0
_FLOATS = (Precision.FLOAT32, Precision.FLOAT16)


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """The result, and the pictures that each target made of the same seed."""

    result: MatrixResult
    sheet: tuple[SheetRow, ...]


def matrix_bundle(
    bundle: StrPath | Bundle, *, targets: Sequence[str], seed: int = 0, progress: ProgressCallback = ignore_progress
) -> Matrix:
    """Runs every artifact of a bundle on every target.

    If a target cannot be used or is lost midway, only its own results are missing.

    Args:
        bundle: The bundle, or its path.
        targets: Names of targets; `host` is this machine.
        seed: Seed of the contact sheet.
        progress: Called for every artifact.

    Raises:
        ManifestError: the bundle or its goldens are damaged.
        SpecError: a target is unknown, `seed` is not an int32, or `pocketvae.toml` next to the bundle is invalid.
    """
    chosen = [make_target(name) for name in targets]
    bundle = opened(bundle)
    limits = read_limits(bundle.path, None)
    limits.check(bundle.manifest.artifacts)
    filler = _Filler(bundle, Sheet(bundle, seed), limits, progress, len(chosen))
    for target in chosen:
        filler.run_on(target)
    result = MatrixResult(
        passed=not filler.unusable
        and all(cell.state not in (CellState.FAILED, CellState.NOT_RUN) for cell in filler.cells)
        and any(cell.state is not CellState.LEFT_OUT for cell in filler.cells),
        bundle=bundle.manifest.name,
        environment=current_environment(),
        seed=seed,
        targets=tuple(filler.records),
        cells=tuple(filler.cells),
    )
    return Matrix(result=result, sheet=tuple(filler.sheet.rows))


class _Filler:
    """Fills the matrix target by target."""

    def __init__(
        self, bundle: Bundle, sheet: Sheet, limits: Limits, progress: ProgressCallback, target_count: int
    ) -> None:
        self.sheet = sheet
        # Names of targets: what one does not support says nothing of whether it can be used.
        self.unusable: list[str] = []
        self.cells: list[Cell] = []
        self._limits = limits
        self.records: list[TargetRecord] = []
        self._bundle, self._host, self._progress = bundle, HostRun(bundle), progress
        self._total = len(bundle.manifest.artifacts) * target_count

    def run_on(self, target: Target) -> None:
        """Fills one column."""
        facts: dict[str, str] = {}
        problem = ""
        try:
            reason = target.unavailable()
            if reason is not None:
                raise TargetError(reason)
            with target.entered(self._bundle) as run:
                facts = run.facts()
                for artifact in self._bundle.manifest.artifacts:
                    self._fill(artifact, target, run)
                problem = self._add_pictures(target, run)
        except TargetError as e:
            problem = str(e)
            self.unusable.append(target.name)
            self._miss(target, problem)
        self.records.append(TargetRecord(name=target.name, summary=target.summary, facts=facts, problem=problem))

    def _add_pictures(self, target: Target, run: TargetRun) -> str:
        """Adds pictures to the contact sheet; returns the reason if the target could not make them."""
        try:
            self.sheet.add(target, run)
        except TargetError as e:
            return f"no images: {str(e).removeprefix(f'{target.name}: ')}"
        return ""

    def _miss(self, target: Target, problem: str) -> None:
        done = {cell.artifact for cell in self.cells if cell.target == target.name}
        for artifact in self._bundle.manifest.artifacts:
            if artifact.name not in done:
                self._add(_stopped(artifact, target, target.declines(artifact), problem))

    def _fill(self, artifact: ArtifactRecord, target: Target, run: TargetRun) -> None:
        try:
            declined = target.declines(artifact)
            cell = _stopped(artifact, target, declined, "") if declined else self._compare(artifact, target, run)
        except TargetError as e:
            cell = _stopped(artifact, target, "", str(e).removeprefix(f"{target.name}: "))
        except ArtifactFault as e:
            cell = Cell(
                artifact=artifact.name, target=target.name, state=CellState.FAILED, detail=f"{e.check}: {e}", figures={}
            )
        self._add(cell)

    def _compare(self, artifact: ArtifactRecord, target: Target, run: TargetRun) -> Cell:
        goldens = self._bundle.goldens(artifact.component)
        started = time.perf_counter()
        outputs = run.run(artifact, goldens.inputs_of(artifact))
        is_quick = time.perf_counter() - started < _LONG_S
        expected = self._host.run(artifact, goldens.inputs_of(artifact), optimizations=target.reference)
        max_abs = max(float(np.abs(outputs[name] - expected[name]).max()) for name in expected)
        equal = float(np.mean(np.concatenate([(outputs[name] == expected[name]).ravel() for name in expected])))
        judged = target.judged(self._bundle, artifact)
        judged = replace(judged, tolerances=self._limits.apply(judged))
        limit, source = agreement_limit(judged)
        problem = self._problem(judged, target, outputs)
        if not problem and limit is not None and not max_abs <= limit:
            problem = f"{max_abs:.3g} from this machine's output, above the limit of {limit:.3g}"
        is_timed = is_quick and not problem and target.measures_time()
        state = CellState.EQUAL if equal == 1 else CellState.WITHIN
        return Cell(
            artifact=artifact.name,
            target=target.name,
            state=CellState.FAILED if problem else state,
            kernels=target.reference,
            max_abs=max_abs if np.isfinite(max_abs) else None,
            equal_share=equal,
            limit=limit,
            limit_source=source,
            detail=f"{problem}, in {target.runtime(artifact)}" if problem and target.runtime(artifact) else problem,
            figures={
                **run.figures(artifact),
                **(_timed(artifact, run, goldens.inputs_of(artifact)) if is_timed else {}),
            },
            remarks=run.remarks(artifact),
            size_bytes=artifact.file.size_bytes,
        )

    def _problem(self, artifact: ArtifactRecord, target: Target, outputs: dict[str, np.ndarray]) -> str:
        """Returns the problem for which verify would fail an artifact; empty if there is none."""
        goldens = self._bundle.goldens(artifact.component)
        expected = {name: values.astype(np.float32) for name, values in goldens.outputs.items()}
        vae = self._bundle.manifest.vae
        deviations = Deviations(
            expected, goldens.select(outputs), vae, observed=goldens.observed, anomalous=goldens.anomalous
        )
        checks = output_checks(artifact.name, target.name, artifact.tolerances, outputs, deviations)
        failed = [check for check in checks if not check.passed]
        return f"{failed[0].output} {failed[0].metric}: {failed[0].detail}".strip() if failed else ""

    def _add(self, cell: Cell) -> None:
        self.cells.append(cell)
        self._progress(Progress(stage="comparing", done=len(self.cells), total=self._total, detail=cell.artifact))


def _timed(artifact: ArtifactRecord, run: TargetRun, inputs: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Returns the median of a few calls; nothing where it cannot be timed."""
    try:
        latency = run.latency(artifact, inputs, count=_FEW_CALLS)
    except (ArtifactFault, TargetError):
        return {}
    return {"measured_s": float(np.median(latency.values_s))}


def agreement_limit(artifact: ArtifactRecord) -> tuple[float | None, str]:
    """Returns how far two runtimes may be apart, and the source of this limit; no limit for a quantized artifact.

    Each may deviate from the original as far as its limit says, in opposite directions. A sampler without a learned
    prior does not round anything, so its limit of 0 stays 0.
    """
    limits = [item.limit for item in artifact.tolerances if item.metric == "max_abs"]
    if artifact.precision not in _FLOATS or not limits:
        return None, ""
    return 2 * max(limits), "twice its own limit: both may deviate from the original by that much"


def _stopped(artifact: ArtifactRecord, target: Target, declined: str, problem: str) -> Cell:
    state = CellState.LEFT_OUT if declined else CellState.NOT_RUN
    return Cell(artifact=artifact.name, target=target.name, state=state, detail=declined or problem, figures={})
