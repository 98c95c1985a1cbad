"""The interface of an artifact for apps: pixels or real numbers, and the number of samples per call.

Both are added to a finished file. Its computation is not converted or quantized again, so every variant of an artifact
gives the same values.
"""

from __future__ import annotations

from dataclasses import dataclass

from pocketvae.errors import SpecError
from pocketvae.export.convert import batches_onnx, batches_tflite, pixels_onnx, pixels_tflite
from pocketvae.kinds.registry import kind_of
from pocketvae.spec import ArtifactSpec, Format, ImageDtype
from pocketvae.vae_spec import DataKind, VaeSpec


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A file with its interface.

    Attributes:
        content: The bytes of the file.
        batches: Batch sizes that it supports.
        notes: Notes on its special properties.
    """

    content: bytes
    batches: tuple[int, ...]
    notes: tuple[str, ...]


def show(
    content: bytes, spec: ArtifactSpec, vae: VaeSpec, batches: tuple[int, ...], *, mixes_samples: bool = False
) -> Shown:
    """Gives a file with batch size 1 and float32 images the requested interface.

    Args:
        content: The file.
        spec: Specifies how images are stored.
        vae: Specifies the range of images.
        batches: Batch sizes, starting with 1.
        mixes_samples: Whether a sample's result depends on the others in the same call.

    Raises:
        ExportError: an operator mixes samples; the message names it.
    """
    is_tflite = spec.format is Format.TFLITE
    notes = []
    if spec.image_dtype is ImageDtype.UINT8:
        with_pixels = pixels_tflite.with_pixels if is_tflite else pixels_onnx.with_pixels
        content = with_pixels(content, spec.component, vae.data_range)
        notes.append("images are pixels, 0 to 255")
    if batches == (1,):
        return Shown(content=content, batches=batches, notes=tuple(notes))
    if mixes_samples:
        notes.append("only batch size 1: ONNX determines the range of activations over all samples of a call")
        return Shown(content=content, batches=(1,), notes=tuple(notes))
    wide = batches_tflite.add_batches(content, batches) if is_tflite else batches_onnx.open_batch(content)
    sizes = ", ".join(str(batch) for batch in batches)
    how = f"one signature each: {len(wide) - len(content):+d} bytes" if is_tflite else "dimension 'batch'"
    notes.append(f"batch sizes {sizes} share the weights, {how}")
    return Shown(content=wide, batches=batches, notes=tuple(notes))


def check_images(artifacts: tuple[ArtifactSpec, ...], vae: VaeSpec) -> None:
    """Refuses pixels if the values of black and white are unknown.

    Raises:
        SpecError: the decoder returns images of an unknown range, or other data.
    """
    for artifact in artifacts:
        if artifact.image_dtype is ImageDtype.UINT8 and vae.data is not DataKind.IMAGE:
            raise SpecError(f"{artifact.filename} needs images, but the model is of {kind_of(vae.data).plural}")
        if artifact.image_dtype is ImageDtype.UINT8 and not vae.range_is_strict:
            low, high = vae.data_range
            raise SpecError(
                f"{artifact.filename} needs images of a known range, but the decoder's may exceed {low:g} to "
                f"{high:g}: state the kind with --decoder-output (probabilities, logits or tanh), or leave out "
                f"--image-dtype uint8"
            )
