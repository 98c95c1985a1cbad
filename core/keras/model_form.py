"""How somebody's own model is loaded and called: its flavour, and what each of its inputs and outputs stands for."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from pocketvae.spec import STRICT


class Flavour(enum.StrEnum):
    """What wrote the model and what loads it: Keras 2 (`tf_keras`), Keras 3, or TensorFlow alone."""

    KERAS2 = "keras2"
    KERAS3 = "keras3"
    SAVED_MODEL = "saved_model"


class Role(enum.StrEnum):
    """What an input or output stands for.

    An encoder's spread is one of LOG_VAR, STD (a standard deviation) and LOG_STD; artifacts return log-variances
    always. MEAN_LOG_VAR and LOG_VAR_MEAN are both in one tensor of twice the width, one behind the other. SAMPLE is a
    drawn latent: it is never exported.
    """

    X = "x"
    Z = "z"
    LABEL = "label"
    IMAGE = "image"
    MEAN = "mean"
    LOG_VAR = "log_var"
    STD = "std"
    LOG_STD = "log_std"
    MEAN_LOG_VAR = "mean+log_var"
    LOG_VAR_MEAN = "log_var+mean"
    SAMPLE = "sample"


SPREADS = (Role.LOG_VAR, Role.STD, Role.LOG_STD)
JOINED = (Role.MEAN_LOG_VAR, Role.LOG_VAR_MEAN)


@dataclass(frozen=True, kw_only=True)
class Port:
    """One input or output of the model as it was saved.

    Attributes:
        name: In the model: of the layer that makes it, or in the signature.
        role: What it stands for.
        dtype: numpy name of the element type.
        shape: Without the batch.
    """

    __pydantic_config__ = STRICT
    name: str
    role: Role
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class ModelForm:
    """Everything that is needed to call a model in the way that its component is called.

    Attributes:
        flavour: That loaded it.
        inputs: In the model's own order.
        outputs: In the model's own order.
        custom_code: Whether loading it runs code that is not Keras' own.
        signature: Of a SavedModel that has several; empty for others.
    """

    __pydantic_config__ = STRICT
    flavour: Flavour
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    custom_code: bool = False
    signature: str = ""

    def input_index(self, role: Role) -> int | None:
        """Returns which input has a role; None where none has."""
        return next((index for index, port in enumerate(self.inputs) if port.role is role), None)

    def kept_outputs(self) -> tuple[int, ...]:
        """Returns which outputs are exported, in the component's order: the image, or mean and spread, or the two."""
        order = (Role.IMAGE, Role.MEAN, *SPREADS, *JOINED)
        kept = [index for index, port in enumerate(self.outputs) if port.role is not Role.SAMPLE]
        return tuple(sorted(kept, key=lambda index: order.index(self.outputs[index].role)))
