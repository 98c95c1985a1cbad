"""What a VAE and its exported artifacts are: the vocabulary that every room shares."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Self, TypeVar

from pocketvae.errors import SpecError, unknown_name

# pydantic's configuration of every document: a field that nobody knows is a mistake, not an extension.
STRICT = {"extra": "forbid"}


class Component(enum.StrEnum):
    """A part of the VAE that is exported on its own."""

    ENCODER = "encoder"
    DECODER = "decoder"


class Format(enum.StrEnum):
    """A file format; its value is the file name's extension."""

    TFLITE = "tflite"
    ONNX = "onnx"


class Precision(enum.StrEnum):
    """The number types of weights, activations and interface.

    FLOAT16 stores weights in half precision. DYNAMIC_INT8 has int8 weights and float activations that are quantized on
    the fly. INT8 is full integer with a float interface, INT8_IO the same with an integer interface, INT16X8 has
    int16 activations and int8 weights.
    """

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    DYNAMIC_INT8 = "dynamic_int8"
    INT8 = "int8"
    INT8_IO = "int8_io"
    INT16X8 = "int16x8"

    @property
    def is_float(self) -> bool:
        """Whether no tensor is quantized to integers."""
        return self in (Precision.FLOAT32, Precision.FLOAT16)

    @property
    def is_calibrated(self) -> bool:
        """Whether activation ranges are fixed at export, from calibration data."""
        return self in (Precision.INT8, Precision.INT8_IO, Precision.INT16X8)


# Why a format has not got a precision. What is not listed here is supported.
_UNSUPPORTED = {
    (Format.ONNX, Precision.INT8_IO): "an ONNX QDQ model keeps a float interface; use int8",
    (Format.ONNX, Precision.INT16X8): "onnxruntime has no int16-activation convolution kernels",
}


def unsupported_reason(format: Format, precision: Precision) -> str | None:
    """Returns why `format` has not got `precision`, or None where it has."""
    return _UNSUPPORTED.get((format, precision))


_Choice = TypeVar("_Choice", bound=enum.StrEnum)


def parse_choice(kind: type[_Choice], text: str, noun: str) -> _Choice:
    """Parses one enum value.

    Raises:
        SpecError: the value is unknown; the message names a close match.
    """
    try:
        return kind(text)
    except ValueError as e:
        raise unknown_name(noun, text, [member.value for member in kind]) from e


@dataclass(frozen=True, kw_only=True)
class Quantization:
    """Affine quantization of one tensor: real = scale * (integer - zero_point)."""

    __pydantic_config__ = STRICT
    scale: float
    zero_point: int


@dataclass(frozen=True, kw_only=True)
class TensorSpec:
    """One named input or output of an artifact, as a caller sees it.

    Attributes:
        name: Stable name: `x`, `z`, `image`, `z_mean`, `z_log_var`.
        dtype: numpy name of the element type.
        shape: Dimensions with the batch first, all fixed.
        quantization: For integer tensors that stand for real numbers.
    """

    __pydantic_config__ = STRICT
    name: str
    dtype: str
    shape: tuple[int, ...]
    quantization: Quantization | None = None


@dataclass(frozen=True, kw_only=True)
class ArtifactSpec:
    """Which component, in which precision and format: what a file name says.

    Raises:
        SpecError: the format has not got the precision.
    """

    component: Component
    precision: Precision
    format: Format

    def __post_init__(self) -> None:
        reason = unsupported_reason(self.format, self.precision)
        if reason:
            raise SpecError(f"{self.format} has no {self.precision} artifacts: {reason}")

    @property
    def filename(self) -> str:
        """`COMPONENT.PRECISION.FORMAT`, for example `decoder.int8.tflite`."""
        return f"{self.component}.{self.precision}.{self.format}"

    @classmethod
    def parse(cls, filename: str) -> Self:
        """Parses `COMPONENT.PRECISION.FORMAT`.

        Raises:
            SpecError: a part is unknown or the combination is not supported.
        """
        parts = filename.split(".")
        if len(parts) != 3:
            raise SpecError(f"an artifact is named COMPONENT.PRECISION.FORMAT, got {filename!r}")
        return cls(
            component=parse_choice(Component, parts[0], "component"),
            precision=parse_choice(Precision, parts[1], "precision"),
            format=parse_choice(Format, parts[2], "format"),
        )


class Likelihood(enum.StrEnum):
    """The distribution p(x|z) whose parameters the decoder computes."""

    BERNOULLI = "bernoulli"


@dataclass(frozen=True, kw_only=True)
class VaeSpec:
    """The interface of a trained VAE.

    Attributes:
        image_shape: `(height, width, channels)` of one image.
        latent_dim: D, the number of latent dimensions.
        likelihood: p(x|z); tells which head turns the decoder's logits into an image.

    Raises:
        SpecError: a dimension is not positive.
    """

    __pydantic_config__ = STRICT
    image_shape: tuple[int, int, int]
    latent_dim: int
    likelihood: Likelihood = Likelihood.BERNOULLI

    def __post_init__(self) -> None:
        if min(self.image_shape) < 1:
            raise SpecError(f"image_shape must be positive in every dimension, got {self.image_shape}")
        if self.latent_dim < 1:
            raise SpecError(f"latent_dim must be at least 1, got {self.latent_dim}")
