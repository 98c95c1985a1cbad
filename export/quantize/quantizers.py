"""Quantizers to int8 with calibrated ranges for both formats, which the search uses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cached_property
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from pocketvae.export.original.goldens import thinned
from pocketvae.export.quantize import onnx as onnx_quantize
from pocketvae.export.quantize import tflite as tflite_quantize
from pocketvae.export.quantize.corrections import Sums
from pocketvae.export.quantize.input_ranges import Range, onnx_input_ranges, tflite_input_ranges
from pocketvae.export.quantize.layer_inputs import CONVOLUTION, DENSE
from pocketvae.export.quantize.measured import run_content
from pocketvae.export.quantize.onnx_channels import Channels, float_channels, with_corrected_channels
from pocketvae.export.quantize.onnx_weights import reused_layers
from pocketvae.export.quantize.search import QuantizationPlan
from pocketvae.export.quantize.source import Inputs, Source
from pocketvae.export.quantize.tflite_biases import Means, mean_sums, with_corrected_biases
from pocketvae.export.quantize.tflite_four_bits import layers_for_four_bits, with_four_bits
from pocketvae.export.quantize.tflite_parts import with_fewer_floats
from pocketvae.export.quantize.tflite_relus import with_relus_as_scales
from pocketvae.export.quantize.tflite_shuffles import with_shuffles_of_integers
from pocketvae.export.quantize.tflite_splits import parts_of_layers, with_layers_for_parts
from pocketvae.export.quantize.tflite_weights import storable_layers
from pocketvae.export.quantize.work import calibration_s, calls_s, file_s, graph_calls_s
from pocketvae.export.rewrites.frozen import freeze
from pocketvae.export.tuning.shares import Place, best_shares, last_output
from pocketvae.formats.arithmetic import read_integer_share
from pocketvae.runtimes.base import Array
from pocketvae.runtimes.taps import tap
from pocketvae.spec import Format

_CORRECTION_SAMPLES = 128
# Both networks are given the same, so that few are enough; slopes need more than means.
_MEAN_SAMPLES = {Format.TFLITE: 48, Format.ONNX: 128}
# Fewer of a large network: each is called several times for every variant.
_FEWEST_MEAN_SAMPLES, _MEANS_S = 16, 10.0
# tf2onnx joins a matrix product and its biases under the name of the product.
_PRODUCT = "_Gemm"


class Quantizer(ABC):
    """Quantizes one component to one format with the ranges of one set of calibration samples.

    Attributes:
        format: The format of its files.
    """

    format: ClassVar[Format]

    def __init__(self, source: Source, calibration: Inputs) -> None:
        """Stores the source; calibration happens on first use."""
        self._source, self._calibration = source, calibration

    def with_calibration(self, calibration: Inputs) -> Quantizer:
        """Returns the same quantizer with the ranges of other samples."""
        return type(self)(self._source, calibration)

    @property
    @abstractmethod
    def layers(self) -> Mapping[str, int]:
        """The layers that can be kept in float individually, with their number of weights, in graph order."""

    @property
    def storable(self) -> Collection[str]:
        """Those of the layers that can compute in float with weights in 8 bits."""
        return self.layers

    @property
    def dense_layers(self) -> Mapping[str, int]:
        """Those of the dense layers whose weights can be stored in 4 bits, with their number of weights."""
        return {}

    @property
    def convolutions(self) -> Mapping[str, int]:
        """The same of convolutions."""
        return {}

    @property
    @abstractmethod
    def ranges(self) -> Mapping[str, Range]:
        """The calibrated range of each layer's output, which the integers cover unless the plan narrows it."""

    @property
    @abstractmethod
    def activation_bytes(self) -> int:
        """What the outputs of all layers take for one sample."""

    def quantize(self, plan: QuantizationPlan) -> bytes:
        """Returns the quantized file; the sums that tuning computes in float are corrected, see `corrections`."""
        variants = self._variants(plan)
        if self._source.tuning is not None:
            variants = tuple(map(self._sums.correct, variants))
        return self._finished(variants[0] if len(variants) == 1 else min(variants, key=self._error))

    @abstractmethod
    def _variants(self, plan: QuantizationPlan) -> tuple[bytes, ...]:
        """Returns the quantized file as the quantizer makes it; if in several ways, the smallest error is taken."""

    def _error(self, content: bytes) -> float:
        """Returns the mean square of what a file adds to the outputs on some calibration samples."""
        found = run_content(self.format, content, self._mean_samples)
        return sum(float(np.mean(np.square(found[name] - values))) for name, values in self._mean_results.items())

    @cached_property
    def _mean_results(self) -> dict[str, npt.NDArray[np.float32]]:
        return run_content(self.format, self._float32, self._mean_samples)

    def _finished(self, content: bytes) -> bytes:
        """Returns the file in the form that takes the least time."""
        return content

    @property
    @abstractmethod
    def _float32(self) -> bytes:
        """The float model as it is given to the quantizer."""

    @cached_property
    def _sums(self) -> Sums:
        return Sums(self.format, self._float32, thinned(self._calibration, _CORRECTION_SAMPLES))

    @cached_property
    def _mean_samples(self) -> Inputs:
        return thinned(self._calibration, self._mean_count)

    @cached_property
    def _mean_count(self) -> int:
        in_time = int(_MEANS_S / calls_s(self.format, self._multiply_adds, 1))
        return max(_FEWEST_MEAN_SAMPLES, min(_MEAN_SAMPLES[self.format], in_time))

    @property
    @abstractmethod
    def _operators(self) -> Mapping[str, Collection[str]]:
        """The operators of the graph that a converter made each layer of, by layer, as far as it names them."""

    def best_range_scales(self, is_over: Callable[[], bool] = lambda: False) -> dict[str, float]:
        """Returns the share of each layer's range that leaves the smallest error, where that is not the whole range.

        A layer that the graph does not have under its name is left out.

        Args:
            is_over: Whether the choice has to end with what was looked at.

        Raises:
            FloatingPointError: an output is not finite on the calibration samples.
        """
        graph = freeze(self._source.graph().function)
        places = {}
        for layer, names in self._operators.items():
            tensor, (low, high) = last_output(graph, names), self.ranges[layer]
            if tensor is not None:
                places[layer] = Place(tensor=tensor, low=low, high=high)
        shares = best_shares(graph, list(places.values()), self._calibration, is_over, self._spend_on_graph)
        return {layer: share for layer, share in zip(places, shares, strict=True) if share < 1}

    def spend_on_file(self, plan: QuantizationPlan, samples: int) -> None:
        """Counts the work of making a file and running it.

        Args:
            plan: What it is made with.
            samples: How many it is run on.
        """
        made_s = file_s(self.format, sum(self.layers.values()), len(plan.four_bits))
        runs = samples + self._corrected_runs(plan)
        self._source.effort.spend(made_s + calls_s(self.format, self._multiply_adds, runs))

    def spend_on_calibration(self) -> None:
        """Counts the work of finding ranges."""
        samples = len(next(iter(self._calibration.values()), ()))
        self._source.effort.spend(calibration_s(self.format, self._multiply_adds, samples))

    def _corrected_runs(self, plan: QuantizationPlan) -> float:
        """Returns how often a network is run to correct what is made of it, if that is much."""
        return 0.0

    def _spend_on_graph(self, samples: int) -> None:
        self._source.effort.spend(graph_calls_s(self._multiply_adds, samples))

    @cached_property
    def _multiply_adds(self) -> int:
        return read_integer_share(self.format, self._float32).multiply_adds

    @abstractmethod
    def float_activations(self, inputs: Inputs) -> dict[str, Array]:
        """Returns the output of each layer of the float model, `[N, ..., C]`."""

    @abstractmethod
    def activations(self, content: bytes, inputs: Inputs) -> dict[str, Array]:
        """Returns the output of each layer of a quantized file, `[N, ..., C]`, integers where it has integers."""

    @abstractmethod
    def input_ranges(self, content: bytes) -> dict[str, Range]:
        """Returns what the quantized inputs of a file can hold."""


class TfliteQuantizer(Quantizer):
    """Quantizes with TensorFlow's quantizer."""

    format = Format.TFLITE

    def __init__(self, source: Source, calibration: Inputs, *, integer_interface: bool) -> None:
        """See `Quantizer`.

        Args:
            source: The component.
            calibration: Input name to `[N, ...]`.
            integer_interface: Integer inputs and outputs; then no layer can be kept in float.
        """
        super().__init__(source, calibration)
        self._integer_interface = integer_interface

    def with_calibration(self, calibration: Inputs) -> TfliteQuantizer:
        """See `Quantizer.with_calibration`."""
        return TfliteQuantizer(self._source, calibration, integer_interface=self._integer_interface)

    @cached_property
    def calibrated(self) -> bytes:
        """The float model with its ranges; the artifacts with and without an integer interface share it."""
        key = f"calibrated-{id(self._calibration)}"
        return self._source.once(key, lambda: tflite_quantize.calibrate(self._source.graph(), self._calibration))

    @cached_property
    def layers(self) -> Mapping[str, int]:
        """See `Quantizer.layers`."""
        return tflite_quantize.find_layers(self.calibrated)

    @property
    def storable(self) -> Collection[str]:
        """See `Quantizer.storable`."""
        return storable_layers(self.calibrated) & self.layers.keys()

    @property
    def dense_layers(self) -> Mapping[str, int]:
        """See `Quantizer.dense_layers`."""
        return self._for_four_bits(DENSE)

    @property
    def convolutions(self) -> Mapping[str, int]:
        """See `Quantizer.convolutions`."""
        return self._for_four_bits(CONVOLUTION)

    def _for_four_bits(self, operator: str) -> dict[str, int]:
        # Devices without floats are not known to compute with 4 bits.
        if self._integer_interface or self._source.chips:
            return {}
        found = layers_for_four_bits(self.calibrated)
        return {name: count for name, (kind, count) in found.items() if kind == operator and name in self.layers}

    @property
    def _float32(self) -> bytes:
        return self.calibrated

    @property
    def _operators(self) -> Mapping[str, Collection[str]]:
        return {layer: layer.split(";") for layer in self.layers}

    @cached_property
    def _mean_sums(self) -> Means:
        return mean_sums(self.calibrated, self._mean_samples)

    def _variants(self, plan: QuantizationPlan) -> tuple[bytes, ...]:
        content = tflite_quantize.quantize(self.calibrated, plan, integer_interface=self._integer_interface)
        # Before means are corrected: they round in another way. What XNNPACK does not take is nothing to other chips.
        if not (self._integer_interface or self._source.chips):
            content = with_relus_as_scales(content)
        if plan.four_bits:
            content = with_four_bits(content, self.calibrated, plan.four_bits, self._calibration)
        if self._source.tuning is None or self._integer_interface:
            return (content,)
        return (with_corrected_biases(content, self._mean_sums, self._mean_samples),)

    def _finished(self, content: bytes) -> bytes:
        if self._source.tuning is None:
            return content
        content = with_fewer_floats(content)
        # Other chips may split for nothing and read what a layer is given twice.
        return content if self._source.chips else with_shuffles_of_integers(with_layers_for_parts(content))

    @cached_property
    def ranges(self) -> Mapping[str, Range]:
        """See `Quantizer.ranges`."""
        return tflite_quantize.layer_ranges(self.calibrated)

    @cached_property
    def activation_bytes(self) -> int:
        """See `Quantizer.activation_bytes`."""
        return tflite_quantize.activation_bytes(self.calibrated)

    def float_activations(self, inputs: Inputs) -> dict[str, Array]:
        """See `Quantizer.float_activations`."""
        return _rows(Format.TFLITE, self.calibrated, inputs, self.layers)

    def activations(self, content: bytes, inputs: Inputs) -> dict[str, Array]:
        """See `Quantizer.activations`."""
        split = parts_of_layers(content)
        names = {layer: split.get(layer, (layer,)) for layer in self.layers}
        found = _rows(Format.TFLITE, content, inputs, [name for parts in names.values() for name in parts])
        return {
            layer: np.concatenate([found[name] for name in parts], axis=-1)
            for layer, parts in names.items()
            if all(name in found for name in parts)
        }

    def input_ranges(self, content: bytes) -> dict[str, Range]:
        """See `Quantizer.input_ranges`."""
        return tflite_input_ranges(content)


class OnnxQuantizer(Quantizer):
    """Quantizes with onnxruntime's quantizer."""

    format = Format.ONNX

    @cached_property
    def calibrated(self) -> onnx_quantize.Calibrated:
        """The float model with its ranges."""
        return onnx_quantize.calibrate(self._source.float32(Format.ONNX), self._calibration)

    @cached_property
    def layers(self) -> Mapping[str, int]:
        """See `Quantizer.layers`."""
        return onnx_quantize.integer_layers(self._source.float32(Format.ONNX))

    @cached_property
    def storable(self) -> Collection[str]:
        """See `Quantizer.storable`."""
        return reused_layers(self._source.float32(Format.ONNX))

    @property
    def _float32(self) -> bytes:
        return self.calibrated.prepared

    @property
    def _operators(self) -> Mapping[str, Collection[str]]:
        outputs = onnx_quantize.layer_outputs(self._source.float32(Format.ONNX))
        return {layer: (name.split(":")[0].removesuffix(_PRODUCT),) for layer, name in outputs.items()}

    def _variants(self, plan: QuantizationPlan) -> tuple[bytes, ...]:
        content = onnx_quantize.quantize_static(self.calibrated, plan)
        if plan.float_layers:  # of which many variants are tried
            return (content,)
        return content, with_corrected_channels(content, self._float_channels, self._mean_samples)

    def _corrected_runs(self, plan: QuantizationPlan) -> float:
        # For each layer half of the network on average, then all of it for the sums and the error of both variants.
        return 0.0 if plan.float_layers else self._mean_count * (len(self.layers) / 2 + 3)

    @cached_property
    def _float_channels(self) -> Channels:
        return float_channels(self.calibrated.prepared, self._mean_samples)

    @property
    def ranges(self) -> Mapping[str, Range]:
        """See `Quantizer.ranges`."""
        return self.calibrated.ranges

    @cached_property
    def activation_bytes(self) -> int:
        """See `Quantizer.activation_bytes`."""
        one = {name: values[:1] for name, values in self._calibration.items()}
        return sum(values.nbytes for values in self.float_activations(one).values())

    def float_activations(self, inputs: Inputs) -> dict[str, Array]:
        """See `Quantizer.float_activations`."""
        content = self._source.float32(Format.ONNX)
        names = onnx_quantize.layer_outputs(content)
        found = _rows(Format.ONNX, content, inputs, names.values())
        return self._channels_last({layer: found[name] for layer, name in names.items()})

    def activations(self, content: bytes, inputs: Inputs) -> dict[str, Array]:
        """See `Quantizer.activations`."""
        names = onnx_quantize.stored_outputs(content, onnx_quantize.layer_outputs(self._source.float32(Format.ONNX)))
        found = _rows(Format.ONNX, content, inputs, names.values())
        return self._channels_last({layer: found[name] for layer, name in names.items() if name in found})

    def _channels_last(self, outputs: Mapping[str, Array]) -> dict[str, Array]:
        first = onnx_quantize.convolutions(self._source.float32(Format.ONNX))
        return {layer: np.moveaxis(values, 1, -1) if layer in first else values for layer, values in outputs.items()}

    def input_ranges(self, content: bytes) -> dict[str, Range]:
        """See `Quantizer.input_ranges`."""
        return onnx_input_ranges(content)


def _rows(format: Format, content: bytes, inputs: Inputs, names: Iterable[str]) -> dict[str, Array]:
    return {name: tensor.rows() for name, tensor in tap(format, content, inputs, names).items()}


def quantizer_for(format: Format, source: Source, calibration: Inputs, *, integer_interface: bool = False) -> Quantizer:
    """Returns the quantizer of a format; an ONNX file always has a float interface."""
    if format is Format.ONNX:
        return OnnxQuantizer(source, calibration)
    return TfliteQuantizer(source, calibration, integer_interface=integer_interface)
