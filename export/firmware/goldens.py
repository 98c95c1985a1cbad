"""The golden samples in a self-test: few enough for flash, with the limits that the manifest has for single values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pocketvae.bundle.bundle import Bundle, Goldens
from pocketvae.bundle.manifest import ArtifactRecord
from pocketvae.errors import SpecError
from pocketvae.export.firmware.tensors import Interface, Tensor
from pocketvae.numerics.metrics import absolute_difference, elementwise_metrics
from pocketvae.portability.tflm import MicroRun, run_on_tflm
from pocketvae.runtimes.base import dequantize, quantize

# Metrics of one sample's values that a microcontroller can compute without sorting.
METRICS = ("max_abs", "mean_abs", "rmse", "p99_abs")
# Where the manifest has none of them: every value within an absolute limit and a share of what is expected.
CLOSE = "close"
CLOSE_SHARE = 0.01
_TRIED_OF_A_STRATUM = 3
_MOST_SAMPLES = 8
_MOST_BYTES = 64 << 10
# Other kernels than those here round a little differently.
_LARGEST_SHARE = 0.9
_STEPS_APART = 2.0
_SHARE_OF_MEDIAN = 1e-3
_LEAST_LIMIT = 1e-6
_OWN = "this file on TensorFlow Lite Micro's kernels"

Array = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Limit:
    """What one output of a sample is held to.

    Attributes:
        metric: One of `METRICS`, or `CLOSE`.
        limit: The largest value that passes.
        source: Where it comes from, as text.
    """

    metric: str
    limit: float
    source: str

    @property
    def text(self) -> str:
        """The limit for people."""
        return f"{self.limit:.6g}{f' and {CLOSE_SHARE:.0%} of the value' if self.metric == CLOSE else ''}"


@dataclass(frozen=True, kw_only=True)
class ExpectedOutput:
    """What is expected of one output.

    Attributes:
        tensor: The output.
        values: `[N, elements]`.
        limits: What holds for each sample.
    """

    tensor: Tensor
    values: Array
    limits: tuple[Limit, ...]


@dataclass(frozen=True, kw_only=True)
class SelfTest:
    """The samples of a self-test.

    Attributes:
        inputs: `[N, elements]` of each input, in the order of the manifest.
        outputs: What is expected, in the order of the manifest.
        run: What TensorFlow Lite Micro did with the samples here.
        unchecked: Limits of the manifest that need all samples, or more than their values.
    """

    inputs: tuple[Array, ...]
    outputs: tuple[ExpectedOutput, ...]
    run: MicroRun
    unchecked: tuple[str, ...]

    @property
    def count(self) -> int:
        """N."""
        return len(self.inputs[0])

    @property
    def bytes(self) -> int:
        """What the samples take in flash."""
        return 4 * sum(array.size for array in (*self.inputs, *(item.values for item in self.outputs)))


def self_test(bundle: Bundle, artifact: ArtifactRecord, content: bytes, interface: Interface) -> SelfTest:
    """Returns samples that hold the limits on TensorFlow Lite Micro's kernels here.

    Raises:
        ManifestError: the bundle has no goldens for the component.
        SpecError: no sample holds the limits on these kernels.
        TargetError: TensorFlow Lite Micro is not set up, or does not run the file.
    """
    goldens = bundle.goldens(artifact.component)
    order = _first_of_strata(goldens)
    inputs = tuple(_rows(goldens.inputs[item.spec.name][order]) for item in interface.inputs)
    run = _run(content, artifact, interface, inputs)
    found = {item.name: _real(run.outputs[item.index], item) for item in interface.outputs}
    outputs = tuple(_expected(artifact, goldens, order, item, found[item.name]) for item in interface.outputs)
    ratios = np.max([_ratios(item, found[item.tensor.name]) for item in outputs], axis=0)
    kept = np.flatnonzero(ratios <= _LARGEST_SHARE)[: _room(inputs, outputs)]
    if not len(kept):
        raise SpecError(
            f"{artifact.name} does not hold its limits on TensorFlow Lite Micro's kernels, at best {ratios.min():.3g} "
            f"times the limit: pocketvae verify --targets tflm shows where"
        )
    return SelfTest(
        inputs=tuple(array[kept] for array in inputs),
        outputs=tuple(replace(item, values=item.values[kept]) for item in outputs),
        run=run,
        unchecked=_unchecked(artifact),
    )


def _first_of_strata(goldens: Goldens) -> npt.NDArray[np.intp]:
    """Returns the numbers of the first samples of each stratum, one stratum after the other in turn."""
    firsts = [range(item.start, item.start + min(item.count, _TRIED_OF_A_STRATUM)) for item in goldens.strata]
    turns = [list(part) for part in firsts]
    order = [part[turn] for turn in range(_TRIED_OF_A_STRATUM) for part in turns if turn < len(part)]
    return np.array(order, np.intp)


def _run(content: bytes, artifact: ArtifactRecord, interface: Interface, inputs: Sequence[Array]) -> MicroRun:
    stored = {
        item.index: quantize(array.reshape(len(array), *item.spec.shape), item.spec)
        for item, array in zip(interface.inputs, inputs, strict=True)
    }
    return run_on_tflm(content, artifact.name, [stored[i] for i in range(len(stored))], len(interface.outputs))


def _real(stored: npt.NDArray[np.generic], tensor: Tensor) -> Array:
    return dequantize(_rows(stored), tensor.spec)


def _rows(array: npt.NDArray[np.generic]) -> Array:
    return np.ascontiguousarray(array.reshape(len(array), -1))


def _expected(
    artifact: ArtifactRecord, goldens: Goldens, order: npt.NDArray[np.intp], tensor: Tensor, found: Array
) -> ExpectedOutput:
    limits = tuple(
        Limit(metric=item.metric, limit=item.limit, source="the manifest, from the original model")
        for item in artifact.tolerances
        if item.output == tensor.spec.name and item.metric in METRICS
    )
    if limits and tensor.value_type == "float":
        golden = _rows(goldens.outputs[tensor.spec.name][order]).astype(np.float32)
        return ExpectedOutput(tensor=tensor, values=golden, limits=limits)
    if tensor.value_type != "float":
        same = Limit(metric="max_abs", limit=0.0, source=_OWN)
        return ExpectedOutput(tensor=tensor, values=found, limits=(same,))
    step = tensor.quantization.scale if tensor.quantization else 0.0
    limit = max(_STEPS_APART * step, _SHARE_OF_MEDIAN * float(np.median(np.abs(found))), _LEAST_LIMIT)
    return ExpectedOutput(tensor=tensor, values=found, limits=(Limit(metric=CLOSE, limit=limit, source=_OWN),))


def _ratios(expected: ExpectedOutput, found: Array) -> npt.NDArray[np.float64]:
    """Returns for each sample the largest deviation as a share of its limit."""
    ratios = []
    for sample in range(len(found)):
        golden = expected.values[sample]
        difference = absolute_difference(golden[None], found[sample][None])
        metrics = elementwise_metrics(difference.copy())
        shares = [
            float((difference / (item.limit + CLOSE_SHARE * np.abs(golden))).max())
            if item.metric == CLOSE
            else _share(metrics[item.metric], item.limit)
            for item in expected.limits
        ]
        ratios.append(max(shares))
    return np.array(ratios)


def _share(value: float, limit: float) -> float:
    return value / limit if limit > 0 else (0.0 if value == 0 else math.inf)


def _room(inputs: Sequence[Array], outputs: Sequence[ExpectedOutput]) -> int:
    """Returns how many samples fit; at least one."""
    each = 4 * sum(array.shape[1] for array in (*inputs, *(item.values for item in outputs)))
    return max(1, min(_MOST_SAMPLES, int(_MOST_BYTES // each)))


def _unchecked(artifact: ArtifactRecord) -> tuple[str, ...]:
    names: Mapping[str, None] = dict.fromkeys(
        f"{item.output} {item.metric}" for item in artifact.tolerances if item.metric not in METRICS
    )
    return tuple(names)
