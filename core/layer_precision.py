"""The precision of a layer of an exported file."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

from pocketvae.spec import STRICT

# What Keras calls a model that has no name of its own.
_UNNAMED = re.compile(r"(functional|sequential|model)(_\d+)*")
_MODEL_LAYER_OPERATOR = 3


class Granularity(enum.StrEnum):
    """How many scales the weights of a layer have."""

    PER_CHANNEL = "per_channel"
    PER_TENSOR = "per_tensor"
    NONE = "none"


@dataclass(frozen=True, kw_only=True)
class LayerPrecision:
    """One layer with weights, as found in its file.

    Attributes:
        name: Name of its output tensor (TFLite) or its node (ONNX).
        operator: Operator name in the format's spelling.
        weight_count: Number of values in its constants, including the bias.
        weights: Type in which the weights are stored.
        granularity: Granularity of their scales; `none` for floats.
        activations: Type of the operator's other inputs. TFLite's dynamic range operators read
            float32 and round it to int8 inside.
    """

    __pydantic_config__ = STRICT
    name: str
    operator: str
    weight_count: int
    weights: str
    granularity: Granularity
    activations: str


def short_layer_name(name: str) -> str:
    """Returns a layer's name without what Keras and converters add: the scope of a model without a name, the operator.

    A fused layer is named by all its parts; the first one tells which layer it is.
    """
    parts = [part for part in name.split(";")[0].split("/") if not part.endswith("PartitionedCall")]
    if len(parts) >= _MODEL_LAYER_OPERATOR and _UNNAMED.fullmatch(parts[0]):
        parts = parts[1:]
    scopes = parts[:-1] or parts
    return "/".join(scopes[-2:]) or name
