"""Comparison of an artifact with its float32 file layer by layer: where the deviation arises."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.benchmarks.parity.layer_values import Values, layer_values
from pocketvae.benchmarks.parity.results import NOT_FINITE_DB, Layer, LayerReport
from pocketvae.bundle.bundle import Bundle
from pocketvae.bundle.manifest import ArtifactRecord
from pocketvae.errors import PocketVaeError
from pocketvae.runtimes.base import Array, Optimizations
from pocketvae.runtimes.opening import open_runner
from pocketvae.spec import Component, Precision

_Floats = npt.NDArray[np.floating[Any]]
_SAMPLES = 32
_BAD_DROP_DB = 10.0
# Tensors of weights, after which fused tensors are named too; their path goes on behind the operation's.
_WEIGHTS = re.compile(r"/(bias|ReadVariableOp)[^/;]*$")
_DEQUANTIZED = "_DequantizeLinear_Output"
# Before the name of an image in an ONNX file that rounds it to pixels.
_UNROUNDED = "pixels/"
# The first quantized layer drops from equality to about this; only lower values count as a drop.
_BEST_SQNR_DB = 45.0


def layer_reports(bundle: Bundle) -> tuple[LayerReport, ...]:
    """Compares the layers of every artifact that is not float32, on some of the goldens.

    Raises:
        ManifestError: the goldens are damaged.
    """
    quantized = [item for item in bundle.manifest.artifacts if item.precision is not Precision.FLOAT32]
    return tuple(_report(bundle, artifact) for artifact in quantized)


def _report(bundle: Bundle, artifact: ArtifactRecord) -> LayerReport:
    reference = next((item for item in bundle.manifest.artifacts if _is_float32_of(item, artifact)), None)
    if reference is None:
        reason = f"the bundle has no {artifact.component}.float32.{artifact.format} to compare with"
        return LayerReport(artifact=artifact.name, reference="", reason=reason)
    inputs = _some(bundle, artifact.component)
    try:
        expected, found = (_values(bundle, item, inputs) for item in (reference, artifact))
        looking_changed = _looking_changed(bundle, artifact, inputs, found)
    except (PocketVaeError, ValueError, RuntimeError) as e:
        # A file that cannot be run has failed its check, which this must not keep from being told.
        reason = (str(e).strip().splitlines() or [type(e).__name__])[0]
        return LayerReport(artifact=artifact.name, reference=reference.name, reason=reason)
    layers, unmatched = compare_layers(expected, found)
    return LayerReport(
        artifact=artifact.name,
        reference=reference.name,
        layers=layers,
        unmatched=unmatched,
        first_bad=first_bad(layers),
        looking_changed=looking_changed,
    )


def compare_layers(expected: Values, found: Values) -> tuple[tuple[Layer, ...], tuple[str, ...]]:
    """Returns the layers that both files have, and the names of those that only the first one has.

    If an ONNX file quantizes a tensor, the tensor after the quantization counts: the one before it may not include an
    activation that the quantization adds. If it rounds an image to pixels, the image before that counts, as in
    TFLite, where it keeps its name: no layer is to blame for half a grey step, which is much of a dark image.
    TFLite's converter numbers tensors with the same name, differently from file to file, so a trailing number is
    ignored if no name is equal. A tensor that several operations were fused into has the names of all, each with a
    number where the graph was traced twice: those are ignored where one tensor alone is meant.
    """
    fused = Counter((_fused(name), values.shape[1:]) for name, values in found.items())
    by_name = {
        key: values
        for key, values in (((_fused(name), values.shape[1:]), values) for name, values in found.items())
        if fused[key] == 1
    }
    by_name |= {(_plain(name), values.shape[1:]): values for name, values in found.items()}
    by_name |= {(name, values.shape[1:]): values for name, values in found.items()}
    layers, unmatched = [], []
    for name, values in expected.items():
        names = (f"{name}{_DEQUANTIZED}", f"{_UNROUNDED}{name}", name, _plain(name), _fused(name))
        other = next((by_name[key] for key in ((known, values.shape[1:]) for known in names) if key in by_name), None)
        if other is None:
            unmatched.append(name)
            continue
        layers.append(_layer(name, values, other))
    return tuple(layers), tuple(unmatched)


def _layer(name: str, values: _Floats, other: _Floats) -> Layer:
    difference = _difference(values, other)
    with np.errstate(over="ignore"):
        noise, signal = (float(np.sum(np.square(part))) for part in (difference, values[np.isfinite(values)]))
    if not math.isfinite(noise + signal):
        return Layer(name=name, sqnr_db=NOT_FINITE_DB, max_abs=None)
    # The quotient itself may be too small for a float.
    ratio = 10 * (math.log10(max(signal, 1e-300)) - math.log10(noise)) if noise > 0 else None
    return Layer(name=name, sqnr_db=ratio, max_abs=float(difference.max(initial=0)))


def _difference(first: _Floats, second: _Floats) -> _Floats:
    """Returns |first - second|, which is 0 where both have the same infinity or NaN."""
    with np.errstate(invalid="ignore", over="ignore"):
        difference: _Floats = np.abs(first - second)
    difference[(first == second) | (np.isnan(first) & np.isnan(second))] = 0
    return difference


def first_bad(layers: tuple[Layer, ...]) -> str | None:
    """Returns the first layer from which on the ratio stays more than 10 dB below all earlier layers, or None.

    A ratio that recovers comes from clipping that does not matter, such as that of large logits before a sigmoid.
    """
    ratios = [math.inf if layer.sqnr_db is None else layer.sqnr_db for layer in layers]
    lowest = _BEST_SQNR_DB
    for index, layer in enumerate(layers):
        if max(ratios[index:]) < lowest - _BAD_DROP_DB:
            return layer.name
        lowest = min(lowest, ratios[index])
    return None


def _is_float32_of(candidate: ArtifactRecord, artifact: ArtifactRecord) -> bool:
    same = candidate.component is artifact.component and candidate.format is artifact.format
    return same and candidate.precision is Precision.FLOAT32


def _some(bundle: Bundle, component: Component) -> dict[str, Array]:
    goldens = bundle.goldens(component)
    step = max(1, goldens.count // _SAMPLES)
    return {name: values[::step] for name, values in goldens.inputs.items()}


def _taken(artifact: ArtifactRecord, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Returns the inputs that an artifact takes: a scorer of integers takes its window in units of the model."""
    return {spec.name: inputs[spec.name] for spec in artifact.inputs}


def _values(bundle: Bundle, artifact: ArtifactRecord, inputs: Mapping[str, Array]) -> Values:
    path, image_range = bundle.artifact_path(artifact), bundle.manifest.vae.data_range
    return layer_values(path, artifact.format, _taken(artifact, inputs), image_range)


def _looking_changed(
    bundle: Bundle, artifact: ArtifactRecord, inputs: Mapping[str, Array], found: Values
) -> float | None:
    """Runs the file unchanged and returns how far its outputs are from those of the run that kept all tensors.

    None if that is not finite.
    """
    path = bundle.artifact_path(artifact)
    with open_runner(path, artifact.format, optimizations=Optimizations.OFF) as runner:
        plain = runner.run_samples(_taken(artifact, inputs), bundle.manifest.vae.data_range)
    changes = []
    for values in plain.values():
        # The name inside a TFLite file is not the signature's, so the output is the kept tensor closest to it.
        kept = [other.astype(np.float32).reshape(values.shape) for other in found.values() if other.size == values.size]
        farthest = [float(_difference(other, values).max(initial=0)) for other in kept]
        changes.append(min((value for value in farthest if math.isfinite(value)), default=math.inf))
    return max(changes) if math.isfinite(max(changes)) else None


def _plain(name: str) -> str:
    return re.sub(r"\d+$", "", name)


def _fused(name: str) -> str:
    """Returns the operations that a tensor is named after, without numbers behind them and without their weights."""
    parts = {re.sub(r"_\d+$", "", part) for part in name.split(";") if not _WEIGHTS.search(part)}
    return ";".join(sorted(parts))
