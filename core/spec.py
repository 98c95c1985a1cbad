"""The vocabulary that every room shares: components, formats, precisions, and the files made of them."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from typing import Self, TypeVar

from pocketvae.errors import SpecError, unknown_name

# pydantic's configuration of every document: an unknown field is a mistake, not an extension.
STRICT = {"extra": "forbid"}


class Component(enum.StrEnum):
    """A part of the VAE that is exported on its own.

    PRIOR turns standard normal noise into a latent; a VAE with the prior N(0, I) does not have one. SAMPLER turns a
    seed and an index into a latent, GENERATOR into an image; they combine noise and the other parts. RECONSTRUCTOR
    encodes and decodes; SCORER also says how unlike the training data its input is, and whether that is an alarm.
    """

    ENCODER = "encoder"
    DECODER = "decoder"
    PRIOR = "prior"
    SAMPLER = "sampler"
    GENERATOR = "generator"
    RECONSTRUCTOR = "reconstructor"
    SCORER = "scorer"

    @property
    def is_composed(self) -> bool:
        """Whether it is composed of other parts at export, so that a run does not contain a model of it."""
        return self.has_noise or self.takes_data_through

    @property
    def has_noise(self) -> bool:
        """Whether it makes noise from a seed and an index."""
        return self in (Component.SAMPLER, Component.GENERATOR)

    @property
    def takes_data_through(self) -> bool:
        """Whether it is composed of encoder and decoder."""
        return self in (Component.RECONSTRUCTOR, Component.SCORER)

    @property
    def has_image(self) -> bool:
        """Whether an image is among its inputs or outputs, which may be pixels."""
        return self in (Component.ENCODER, Component.DECODER, Component.GENERATOR)


class Format(enum.StrEnum):
    """A file format; its value is the file name's extension."""

    TFLITE = "tflite"
    ONNX = "onnx"


class Precision(enum.StrEnum):
    """The number types of weights, activations and interface.

    FLOAT16 stores weights in half precision. DYNAMIC_INT8 has int8 weights and float activations that are quantized on
    the fly. INT8 is full integer with a float interface, INT8_IO the same with an integer interface, INT16X8 has
    activations of 16 bits and int8 weights.
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
        """Whether activations are integers with ranges that calibration found."""
        return self in (Precision.INT8, Precision.INT8_IO, Precision.INT16X8)


class ImageDtype(enum.StrEnum):
    """How an artifact's images are stored; everything inside it stays the same.

    FLOAT32 has real numbers in the VAE's `image_range`. UINT8 has pixels as apps use them, 0 for the range's low end
    and 255 for its high end, without quantization parameters.
    """

    FLOAT32 = "float32"
    UINT8 = "uint8"


_LATENT_REASON = "an error in the latent affects the whole image, and {component}s are small; use float32"
_SEEDS_REASON = "its inputs are already integers; use int8"
_NO_IMAGE_REASON = "it does not have an image"
_FLOATS_INSIDE_REASON = "the difference between an image and its reconstruction is taken in floats"
_INTEGER_IMAGE_REASON = "its images are already quantized; use int8"
# Why a format does not support a precision. What is not listed here is supported.
_UNSUPPORTED = {
    (Format.ONNX, Precision.INT8_IO): "an ONNX QDQ model keeps a float interface; use int8",
}


def unsupported_reason(
    format: Format,
    precision: Precision,
    component: Component | None = None,
    image_dtype: ImageDtype = ImageDtype.FLOAT32,
) -> str | None:
    """Returns why `format` does not support `precision`, for all components or for this one; None if it does."""
    if image_dtype is not ImageDtype.FLOAT32:
        if component is not None and not component.has_image:
            return _FLOATS_INSIDE_REASON if component.takes_data_through else _NO_IMAGE_REASON
        if precision is Precision.INT8_IO:
            return _INTEGER_IMAGE_REASON
    if component in (Component.PRIOR, Component.SAMPLER) and precision is not Precision.FLOAT32:
        return _LATENT_REASON.format(component=component)
    if component is Component.GENERATOR and precision is Precision.INT8_IO:
        return _SEEDS_REASON
    return _UNSUPPORTED.get((format, precision))


_Choice = TypeVar("_Choice", bound=enum.StrEnum)


def parse_choice(kind: type[_Choice], text: str, noun: str) -> _Choice:
    """Parses one enum value.

    Raises:
        SpecError: the value is unknown; the message suggests a close match.
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
        name: Stable name: `x`, `z`, `eps`, `image`, `z_mean`, `z_log_var`, `seed`, `index`, `label`, `window`, `score`,
            `alarm`, `contributions`.
        dtype: numpy name of the element type.
        shape: Dimensions with the batch first, all fixed.
        quantization: For integer tensors that represent real numbers. A uint8 tensor without it holds pixels.
    """

    __pydantic_config__ = STRICT
    name: str
    dtype: str
    shape: tuple[int, ...]
    quantization: Quantization | None = None

    @property
    def holds_pixels(self) -> bool:
        """Whether it is an image of pixels, 0 to 255."""
        return self.dtype == ImageDtype.UINT8 and self.quantization is None

    def with_batch(self, batch: int) -> Self:
        """Returns the same tensor with another batch size."""
        return replace(self, shape=(batch, *self.shape[1:]))


def signature_key(batch: int) -> str:
    """Returns the name of a TFLite file's signature for a batch: `serving_default` for one sample, else `batch_N`."""
    return "serving_default" if batch == 1 else f"batch_{batch}"


def check_batches(batches: tuple[int, ...]) -> None:
    """Checks that batch sizes are 1 followed by larger ones in ascending order.

    Raises:
        SpecError: they are not.
    """
    if batches[:1] != (1,) or list(batches) != sorted(set(batches)):
        raise SpecError(
            f"batch sizes must begin with 1 and increase, such as 1,8,32, got {','.join(map(str, batches))}"
        )


# A noise vector is identified by a stream and the position in it.
SEED_INPUTS = (TensorSpec(name="seed", dtype="int32", shape=(1,)), TensorSpec(name="index", dtype="int32", shape=(1,)))


@dataclass(frozen=True, kw_only=True)
class ArtifactSpec:
    """Component, precision, format and image dtype of an artifact, as in its file name.

    Raises:
        SpecError: the format does not support the precision, or the component does not support the image dtype.
    """

    component: Component
    precision: Precision
    format: Format
    image_dtype: ImageDtype = ImageDtype.FLOAT32

    def __post_init__(self) -> None:
        reason = unsupported_reason(self.format, self.precision, self.component, self.image_dtype)
        if reason:
            images = "" if self.image_dtype is ImageDtype.FLOAT32 else f" with {self.image_dtype} images"
            raise SpecError(f"{self.format} does not support {self.precision} for a {self.component}{images}: {reason}")

    @property
    def filename(self) -> str:
        """`COMPONENT.PRECISION.FORMAT` or `COMPONENT.PRECISION.uint8.FORMAT`, for example `decoder.int8.tflite`."""
        images = "" if self.image_dtype is ImageDtype.FLOAT32 else f".{self.image_dtype}"
        return f"{self.component}.{self.precision}{images}.{self.format}"

    @classmethod
    def parse(cls, filename: str) -> Self:
        """Parses a file name as returned by `filename`.

        Raises:
            SpecError: a part is unknown or the combination is not supported.
        """
        parts = filename.split(".")
        if len(parts) not in (3, 4) or (len(parts) == 4 and parts[2] != ImageDtype.UINT8):
            raise SpecError(f"the name of an artifact must be COMPONENT.PRECISION[.uint8].FORMAT, got {filename!r}")
        return cls(
            component=parse_choice(Component, parts[0], "component"),
            precision=parse_choice(Precision, parts[1], "precision"),
            format=parse_choice(Format, parts[-1], "format"),
            image_dtype=ImageDtype.UINT8 if len(parts) == 4 else ImageDtype.FLOAT32,
        )
