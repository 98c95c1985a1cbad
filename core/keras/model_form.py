"""The form of a user-supplied model: how to load and call it, and the role of each input and output."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from pocketvae.spec import STRICT


class Flavour(enum.StrEnum):
    """What loads the model: Keras 2 (`tf_keras`), Keras 3, TensorFlow, or onnxruntime."""

    KERAS2 = "keras2"
    KERAS3 = "keras3"
    SAVED_MODEL = "saved_model"
    ONNX = "onnx"


class DataFormat(enum.StrEnum):
    """Where the channels are, in Keras' words."""

    CHANNELS_FIRST = "channels_first"
    CHANNELS_LAST = "channels_last"


class Role(enum.StrEnum):
    """The role of an input or output.

    CODES are a latent of integers, also as the output of an encoder. A LABEL is an integer, a one-hot vector or planes
    `[h, w, K]` with a one-hot vector at each place; a CONDITION holds real numbers. Z_LABEL and X_LABEL are a latent or
    data followed by a one-hot label, in one tensor. PLANE_IN and PLANE_OUT are images `[H, W]`, which artifacts have
    with one channel. MORE are outputs of a decoder beside its data, as they are.

    An encoder's spread is one of LOG_VAR, VAR (a variance), STD (a standard deviation), LOG_STD, COV (a covariance
    `[D, D]`) and TRIL (the lower triangle of its Cholesky factor, `[D, D]` or row by row in a vector); artifacts always
    return log-variances, of COV and TRIL those of the diagonal. MEAN_LOG_VAR and LOG_VAR_MEAN are both in one tensor of
    twice the width, one after the other. SAMPLE is a drawn latent and OTHER anything else; neither is exported.
    """

    X = "x"
    Z = "z"
    CODES = "codes"
    LABEL = "label"
    CONDITION = "continuous"
    Z_LABEL = "latent+label"
    X_LABEL = "x+label"
    IMAGE = "image"
    MORE = "further output"
    PLANE_IN = "x without channels"
    PLANE_OUT = "image without channels"
    MEAN = "mean"
    LOG_VAR = "log_var"
    VAR = "var"
    STD = "std"
    LOG_STD = "log_std"
    COV = "cov"
    TRIL = "tril"
    MEAN_LOG_VAR = "mean+log_var"
    LOG_VAR_MEAN = "log_var+mean"
    SAMPLE = "sample"
    OTHER = "other"


SPREADS = (Role.LOG_VAR, Role.VAR, Role.STD, Role.LOG_STD, Role.COV, Role.TRIL)
DROPPED = (Role.SAMPLE, Role.OTHER)
JOINED = (Role.MEAN_LOG_VAR, Role.LOG_VAR_MEAN)


@dataclass(frozen=True, kw_only=True)
class Port:
    """One input or output of the model as it was saved.

    Attributes:
        name: Name of the layer that produces it, or name in the signature.
        role: Its role.
        dtype: numpy name of the element type.
        shape: Without the batch.
        sources: Of an input, the positions of the component's inputs that it is made of. Of an encoder's output, the
            position of its latent if there are several; of a further output of a decoder its place behind the data.
        scale: Of a latent or its posterior: artifacts have the model's own values minus `shift`, times `scale`.
        shift: See `scale`.
    """

    __pydantic_config__ = STRICT
    name: str
    role: Role
    dtype: str
    shape: tuple[int, ...]
    sources: tuple[int, ...] = ()
    scale: float = 1.0
    shift: float = 0.0

    @property
    def is_scaled(self) -> bool:
        """Whether artifacts have other values than the model."""
        return (self.scale, self.shift) != (1.0, 0.0)

    @property
    def made_of(self) -> tuple[int, ...]:
        """The positions of the component's inputs that an input is made of; a label came second in older documents."""
        return self.sources or ((1,) if self.role is Role.LABEL else (0,))


@dataclass(frozen=True, kw_only=True)
class ModelForm:
    """Everything that is needed to call a model as its component is called.

    Attributes:
        flavour: That loaded it.
        inputs: Inputs in the model's own order.
        outputs: Outputs in the model's own order.
        custom_code: Whether loading it runs custom code.
        signature: Signature of a SavedModel that has several; empty otherwise.
    """

    __pydantic_config__ = STRICT
    flavour: Flavour
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    custom_code: bool = False
    signature: str = ""

    def kept_outputs(self) -> tuple[int, ...]:
        """Returns the indices of the exported outputs, in the component's order."""
        order = (Role.IMAGE, Role.PLANE_OUT, Role.MORE, Role.CODES, Role.MEAN, *SPREADS, *JOINED)
        kept = [index for index, port in enumerate(self.outputs) if port.role not in DROPPED]
        return tuple(sorted(kept, key=lambda i: (self.outputs[i].sources, order.index(self.outputs[i].role))))
