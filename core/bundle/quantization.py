"""Records about the quantization of an artifact: layer by layer, and how it was found."""

from __future__ import annotations

from dataclasses import dataclass, field

from pocketvae.spec import STRICT


@dataclass(frozen=True, kw_only=True)
class TrialRecord:
    """One variant that a search tried.

    Attributes:
        size_bytes: Size of its file.
        errors: Metric to its value on the goldens.
        error_ratio: Largest ratio of an error to its limit.
        latency_s: Latency of one call with 1 thread on the exporting machine: the median of the quietest of several
            rounds in turns with the other variants.
        float_layers: Layers kept in float.
        range_scales: Fraction of the calibrated range that the integers cover, by layer.
        weights_only: Layers with weights in 8 bits and activations in float.
        four_bits: Integer layers with weights in 4 bits.
    """

    __pydantic_config__ = STRICT
    size_bytes: int
    errors: dict[str, float]
    error_ratio: float
    latency_s: float
    float_layers: tuple[str, ...] = ()
    range_scales: dict[str, float] = field(default_factory=dict)
    weights_only: tuple[str, ...] = ()
    four_bits: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class LayerDiagnosis:
    """The effect of quantization on one layer.

    Attributes:
        name: Name as in the search.
        weight_count: Number of its weights.
        error_ratio_alone: The error ratio when this layer alone is quantized; None if a recipe replaced the search,
            or if no layer can be kept in float.
        inside_calibrated: Share of the layer's golden activations within the range that calibration saw, which in
            front of a head is cut to where the head still moves.
        inside_integers: The same within the range that the integers of this artifact cover; 1 for a float layer.
        channels: Channels of its output.
        dead_channels: Channels that take only one or two neighbouring integers on the goldens, but more values in
            float.
        constant_in_float: Channels that are already constant in the float model.
    """

    __pydantic_config__ = STRICT
    name: str
    weight_count: int
    error_ratio_alone: float | None
    inside_calibrated: float
    inside_integers: float
    channels: int
    dead_channels: tuple[int, ...] = ()
    constant_in_float: int = 0


@dataclass(frozen=True, kw_only=True)
class InputClipping:
    """The share of an input's values that its integers cannot represent.

    Attributes:
        input: Name of the input.
        low: Smallest value that the integers represent.
        high: Largest value that the integers represent.
        clipped: Share of values outside, for each kind of goldens.
    """

    __pydantic_config__ = STRICT
    input: str
    low: float
    high: float
    clipped: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class SeedError:
    """The chosen plan with other calibration samples.

    Attributes:
        seed: 0 for the artifact's own samples, then 1, 2, ...
        errors: Metric to its value on the goldens.
        error_ratio: Largest ratio of an error to its limit.
    """

    __pydantic_config__ = STRICT
    seed: int
    errors: dict[str, float]
    error_ratio: float


@dataclass(frozen=True, kw_only=True)
class SearchRecord:
    """How the quantization of an artifact was found.

    Attributes:
        trial_count: Number of variants that were made and measured.
        chosen: The variant that became the artifact.
        reason: Why it was chosen.
        front: Variants that no other beats in size, error and time at once, smallest first; differences in time below
            5 percent do not count.
        layers: Layers in graph order.
        inputs: Inputs that the artifact quantizes.
        seeds: Calibration seeds, starting with the artifact's own.
        recipe: Path of the recipe in the bundle.
    """

    __pydantic_config__ = STRICT
    trial_count: int
    chosen: TrialRecord
    reason: str
    front: tuple[TrialRecord, ...] = ()
    layers: tuple[LayerDiagnosis, ...] = ()
    inputs: tuple[InputClipping, ...] = ()
    seeds: tuple[SeedError, ...] = ()
    recipe: str = ""

    @property
    def worst_layer(self) -> LayerDiagnosis | None:
        """The layer that costs most if it alone is quantized."""
        known = [layer for layer in self.layers if layer.error_ratio_alone is not None]
        return max(known, key=lambda layer: layer.error_ratio_alone or 0.0, default=None)

    @property
    def broken_seeds(self) -> tuple[SeedError, ...]:
        """Other calibration samples with which the plan exceeds the budget."""
        return tuple(seed for seed in self.seeds if seed.seed > 0 and seed.error_ratio > 1)
