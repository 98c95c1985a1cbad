"""Diagnosis of a failed artifact: it is run with other kernels and other input layouts, and compared with siblings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pocketvae.benchmarks.execution.local import HostRun
from pocketvae.benchmarks.parity.checks import meets
from pocketvae.benchmarks.parity.deviations import Deviations
from pocketvae.benchmarks.parity.results import Culprit, Diagnosis
from pocketvae.benchmarks.targets import Target, TargetRun
from pocketvae.bundle.bundle import Bundle
from pocketvae.bundle.manifest import ArtifactRecord
from pocketvae.errors import ArtifactFault, TargetError
from pocketvae.numerics.tolerance import Tolerance
from pocketvae.runtimes.base import Array, FloatArray, Optimizations
from pocketvae.spec import Format, Precision
from pocketvae.vae_spec import DataKind, VaeSpec

Outputs = Mapping[str, FloatArray]
# Below this share of the signal's energy an output is unrelated to the original's.
_UNRELATED_COSINE = 0.5


@dataclass(frozen=True, kw_only=True)
class Case:
    """An artifact that failed on a target.

    Attributes:
        artifact: Its record.
        target: Name of the target.
        tolerances: Its tolerances.
        inputs: The golden inputs `[N, ...]` by name.
        deviations: Deviations of the artifact's outputs from the original's.
    """

    artifact: ArtifactRecord
    target: str
    tolerances: Sequence[Tolerance]
    inputs: Mapping[str, Array]
    deviations: Deviations

    @property
    def expected(self) -> Outputs:
        """The original's outputs `[N, ...]` by name."""
        return self.deviations.original

    @property
    def outputs(self) -> Outputs:
        """The artifact's outputs `[N, ...]` by name."""
        return self.deviations.artifact


class Triangulation:
    """Runs what is needed to find out what is to blame."""

    def __init__(self, bundle: Bundle, target: Target, run: TargetRun, num_threads: int) -> None:
        """Stores what can be run and where."""
        self._manifest, self._target, self._run, self._num_threads = bundle.manifest, target, run, num_threads
        self._here = None if isinstance(run, HostRun) else HostRun(bundle)

    def diagnose(self, case: Case) -> Diagnosis:
        """Returns the first explanation that applies, from the most to the least specific, with all evidence."""
        evidence: list[str] = []
        for explain in (self._other_file, self._kernels, self._this_machine, self._preprocessing, self._siblings):
            culprit = explain(case, evidence)
            if culprit is not None:
                return self._diagnosis(case, culprit, evidence)
        return self._diagnosis(case, Culprit.UNKNOWN, evidence)

    def _diagnosis(self, case: Case, culprit: Culprit, evidence: list[str]) -> Diagnosis:
        return Diagnosis(artifact=case.artifact.name, target=case.target, culprit=culprit, evidence=tuple(evidence))

    def _other_file(self, case: Case, evidence: list[str]) -> Culprit | None:
        sha256 = case.artifact.file.sha256
        twins = [a.name for a in self._manifest.artifacts if a.file.sha256 == sha256 and a.name != case.artifact.name]
        if not twins:
            return None
        evidence.append(f"the file has the same bytes as {', '.join(twins)}")
        return Culprit.FILE

    def _kernels(self, case: Case, evidence: list[str]) -> Culprit | None:
        if not self._target.has_other_kernels:
            return None
        outputs = self._outputs(case.artifact, case.inputs, evidence, optimizations=Optimizations.OFF)
        if outputs is None:
            return None
        right = self._meets(case, outputs)
        evidence.append(f"with the runtime's built-in kernels it is {'right' if right else 'as wrong'}")
        return Culprit.KERNEL if right else None

    def _this_machine(self, case: Case, evidence: list[str]) -> Culprit | None:
        """Tells what computes from what is computed: the file is not to blame where another machine has it right."""
        if self._here is None:
            return None
        try:
            outputs = self._here.run(case.artifact, _taken(case.artifact, case.inputs), num_threads=self._num_threads)
        except (ArtifactFault, TargetError) as e:
            evidence.append(f"it was not run on this machine: {e}")
            return None
        right = self._meets(case, outputs)
        evidence.append(f"on this machine the same file is {'right' if right else 'wrong too'}")
        return Culprit.TARGET if right else None

    def _preprocessing(self, case: Case, evidence: list[str]) -> Culprit | None:
        vae = self._manifest.vae
        output = vae.output
        for words, change in _changes(vae).items():
            if output in case.outputs:
                if self._meets(case, {**case.outputs, output: change(case.outputs[output])}):
                    evidence.append(f"its image is right once it is {words}")
                    return Culprit.PREPROCESSING
            elif "x" in case.inputs:
                inputs = {**case.inputs, "x": change(case.inputs["x"].astype(np.float32))}
                outputs = self._outputs(case.artifact, inputs, [])
                if outputs is not None and self._meets(case, outputs):
                    evidence.append(f"it is right where its input is {words}")
                    return Culprit.PREPROCESSING
        evidence.append("no other scale, sign or layout of the image makes it right")
        return None

    def _siblings(self, case: Case, evidence: list[str]) -> Culprit | None:
        """Compares with the float files of both formats, which distinguishes goldens, conversion and quantization."""
        floats = {format: self._float_sibling(case, format, evidence) for format in Format}
        right = {format: sibling.right for format, sibling in floats.items() if sibling is not None}
        found = [sibling for sibling in floats.values() if sibling is not None]
        if len(found) == len(Format) and not any(right.values()) and self._agree(case, *found):
            evidence.append("the float files of both formats agree with one another but not with the goldens")
            return Culprit.GOLDEN
        if not any(right.values()):
            return None
        if _is_unrelated(case):
            evidence.append("its outputs have nothing in common with the original's: the file may be of another model")
            return Culprit.FILE
        own = case.artifact.format
        if case.artifact.precision is not Precision.FLOAT32 and right.get(own):
            return Culprit.QUANTIZATION
        return Culprit.CONVERSION

    def _float_sibling(self, case: Case, format: Format, evidence: list[str]) -> _Sibling | None:
        spec = replace(case.artifact.spec, precision=Precision.FLOAT32, format=format)
        record = next((item for item in self._manifest.artifacts if item.spec == spec), None)
        if record is None:
            # A single file brings its goldens itself, and nothing beside them.
            where = "the bundle has" if self._manifest.goldens else "a single file comes with"
            evidence.append(f"{where} no {spec.filename} to compare with")
            return None
        if self._target.declines(record):
            return None
        outputs = case.outputs if record == case.artifact else self._outputs(record, case.inputs, evidence)
        if outputs is None:
            return None
        own = record == case.artifact
        deviations = case.deviations if own else case.deviations.between(case.expected, outputs)
        right = meets(record.tolerances, deviations)
        if not own:
            evidence.append(f"{record.name} is {'right' if right else 'wrong too'}")
        return _Sibling(record=record, outputs=outputs, right=right)

    def _agree(self, case: Case, first: _Sibling, second: _Sibling) -> bool:
        return meets(first.record.tolerances, case.deviations.between(first.outputs, second.outputs))

    def _outputs(
        self,
        artifact: ArtifactRecord,
        inputs: Mapping[str, Array],
        evidence: list[str],
        *,
        optimizations: Optimizations = Optimizations.ON,
    ) -> Outputs | None:
        try:
            return self._run.run(
                artifact, _taken(artifact, inputs), optimizations=optimizations, num_threads=self._num_threads
            )
        except (ArtifactFault, TargetError) as e:
            evidence.append(f"{artifact.name} with {optimizations} kernels was not run: {e}")
            return None

    def _meets(self, case: Case, outputs: Outputs) -> bool:
        deviations = case.deviations.between(case.expected, outputs)
        return bool(case.tolerances) and meets(case.tolerances, deviations)


def _taken(artifact: ArtifactRecord, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Returns the inputs that an artifact takes: a scorer of integers takes its window in units of the model."""
    names = {spec.name for spec in artifact.inputs}
    return {name: values for name, values in inputs.items() if name in names}


@dataclass(frozen=True, kw_only=True)
class _Sibling:
    record: ArtifactRecord
    outputs: Outputs
    right: bool


def _changes(vae: VaeSpec) -> dict[str, Callable[[FloatArray], FloatArray]]:
    """Returns descriptions of common mistakes with images, each with the function that undoes it."""
    if vae.data is not DataKind.IMAGE:
        return {}
    height, width, channels = vae.image_shape
    black_and_white = np.float32(sum(vae.data_range))

    def folded(change: Callable[[FloatArray], FloatArray]) -> Callable[[FloatArray], FloatArray]:
        def apply(images: FloatArray) -> FloatArray:
            return change(images.reshape(-1, height, width, channels)).reshape(images.shape)

        return apply

    changes: dict[str, Callable[[FloatArray], FloatArray]] = {
        "divided by 255": lambda images: images / np.float32(255),
        "multiplied by 255": lambda images: images * np.float32(255),
        "inverted": lambda images: black_and_white - images,
        "moved from [-1, 1] to [0, 1]": lambda images: (images + np.float32(1)) / np.float32(2),
        "moved from [0, 1] to [-1, 1]": lambda images: images * np.float32(2) - np.float32(1),
        "flipped from top to bottom": folded(lambda images: images[:, ::-1]),
        "flipped from left to right": folded(lambda images: images[:, :, ::-1]),
    }
    if height == width:
        changes["transposed"] = folded(lambda images: images.transpose(0, 2, 1, 3))
    if channels > 1:
        changes["read from blue to red"] = folded(lambda images: images[..., ::-1])
        changes["read as NCHW"] = lambda images: (
            images.reshape(-1, channels, height, width).transpose(0, 2, 3, 1).reshape(images.shape)
        )
        changes["written as NCHW"] = lambda images: (
            images.reshape(-1, height, width, channels).transpose(0, 3, 1, 2).reshape(images.shape)
        )
    return changes


def _is_unrelated(case: Case) -> bool:
    """Whether an output is uncorrelated with the original's after subtracting each element's mean.

    Values that are not finite say nothing of it, and nor does an output of the original that never changes.
    """
    for name, expected in case.expected.items():
        known = np.isfinite(case.outputs[name])
        first, second = (_centred(values, known) for values in (expected, case.outputs[name]))
        norms = np.linalg.norm(first), np.linalg.norm(second)
        if norms[0] > 0 and not np.vdot(first, second) > _UNRELATED_COSINE * norms[0] * norms[1]:
            return True
    return False


def _centred(values: FloatArray, known: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Returns values `[N, ...]` without each element's mean over those that are known; 0 for the others."""
    kept = np.where(known, values, 0).astype(np.float64)
    return np.where(known, kept - kept.sum(axis=0) / np.maximum(known.sum(axis=0), 1), 0)
