"""What a manifest says about the quantization of an artifact: layer by layer, and how it was found."""

from __future__ import annotations

from dataclasses import dataclass, field

from pocketvae.spec import STRICT


@dataclass(frozen=True, kw_only=True)
class TrialRecord:
    """One variant that a search tried.

    Attributes:
        size_bytes: Of its file.
        errors: Metric to its value on the goldens.
        error_ratio: Largest ratio of an error to its limit.
        latency_s: Of one call on one thread, the median of the quietest of some rounds in turns with the other
            variants; of the machine of the export.
        float_layers: Kept in float.
        range_scales: Layer to the fraction of its calibrated range that the integers cover.
    """

    __pydantic_config__ = STRICT
    size_bytes: int
    errors: dict[str, float]
    error_ratio: float
    latency_s: float
    float_layers: tuple[str, ...] = ()
    range_scales: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class LayerDiagnosis:
    """What quantization does to one layer.

    Attributes:
        name: As in the search.
        weight_count: Its weights.
        error_ratio_alone: The error ratio when this layer alone is quantized; None if a recipe replaced the search,
            or if no layer can be kept in float.
        inside_calibrated: Share of the layer's golden activations within the range that calibration saw, which in
            front of a head is cut to where the head still moves.
        inside_integers: The same within the range that the integers of this artifact cover; 1 for a float layer.
        channels: Of its output.
        dead_channels: Those that take one or two neighbouring integers only, on the goldens, and more values in float.
        constant_in_float: Those that are constant in the float model already.
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
    """What the integers of an input cannot hold.

    Attributes:
        input: Name.
        low: Smallest value that they hold.
        high: Largest value that they hold.
        clipped: Kind of goldens to the share of their values outside.
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
        trial_count: Variants that were made and measured.
        chosen: The variant that became the artifact.
        reason: Why it was chosen.
        front: Variants that no other beats in size, error and time at once, smallest first; differences in time
            below 5 per cent do not count.
        layers: In graph order.
        inputs: Those that the artifact turns into integers.
        seeds: The artifact's own calibration first.
        recipe: Path in the bundle of what makes it again.
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
        """The layer whose quantization alone costs most."""
        known = [layer for layer in self.layers if layer.error_ratio_alone is not None]
        return max(known, key=lambda layer: layer.error_ratio_alone or 0.0, default=None)

    @property
    def broken_seeds(self) -> tuple[SeedError, ...]:
        """Other calibration samples with which the plan misses the budget."""
        return tuple(seed for seed in self.seeds if seed.seed > 0 and seed.error_ratio > 1)
