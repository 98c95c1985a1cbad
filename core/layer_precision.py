"""What precision a layer of a file has."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from pocketvae.spec import STRICT


class Granularity(enum.StrEnum):
    """How many scales the weights of a layer have."""

    PER_CHANNEL = "per_channel"
    PER_TENSOR = "per_tensor"
    NONE = "none"


@dataclass(frozen=True, kw_only=True)
class LayerPrecision:
    """One layer with weights, as its file has it.

    Attributes:
        name: Of its output tensor (TFLite) or its node (ONNX).
        operator: In the format's spelling.
        weight_count: Of its constants, the bias among them.
        weights: Type in which the weights are stored.
        granularity: Of their scales; `none` for floats.
        activations: Type of what the operator reads beside its weights. TFLite's dynamic range operators read
            float32 and round it to int8 inside.
    """

    __pydantic_config__ = STRICT
    name: str
    operator: str
    weight_count: int
    weights: str
    granularity: Granularity
    activations: str
