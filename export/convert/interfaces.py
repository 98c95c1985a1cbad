"""What an artifact shows to apps: pixels or real numbers, and how many samples one call takes.

Both are put around a finished file. What it computes is not converted or quantized again, so that every variant of an
artifact has the same numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

from pocketvae.errors import SpecError
from pocketvae.export.convert import batches_onnx, batches_tflite, pixels_onnx, pixels_tflite
from pocketvae.spec import ArtifactSpec, Format, ImageDtype, Precision, VaeSpec


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A file with its interface.

    Attributes:
        content: Its bytes.
        batches: Batch sizes that it runs.
        notes: What is special about it, in words.
    """

    content: bytes
    batches: tuple[int, ...]
    notes: tuple[str, ...]


def show(content: bytes, spec: ArtifactSpec, vae: VaeSpec, batches: tuple[int, ...]) -> Shown:
    """Gives a file of batch 1 and float32 images the interface that is asked for.

    Args:
        content: The file.
        spec: Says how images are stored.
        vae: Gives the range of images.
        batches: Batch sizes, the first one 1.

    Raises:
        ExportError: an operator mixes samples; the message names it.
    """
    is_tflite = spec.format is Format.TFLITE
    notes = []
    if spec.image_dtype is ImageDtype.UINT8:
        with_pixels = pixels_tflite.with_pixels if is_tflite else pixels_onnx.with_pixels
        content = with_pixels(content, spec.component, vae.image_range)
        notes.append("images are pixels, 0 to 255")
    if batches == (1,):
        return Shown(content=content, batches=batches, notes=tuple(notes))
    if spec.format is Format.ONNX and spec.precision is Precision.DYNAMIC_INT8:
        # One sample would change with those that share its call.
        notes.append("batch 1 alone: ONNX finds the range of activations over all samples of a call")
        return Shown(content=content, batches=(1,), notes=tuple(notes))
    wide = batches_tflite.add_batches(content, batches) if is_tflite else batches_onnx.open_batch(content)
    sizes = ", ".join(str(batch) for batch in batches)
    how = f"one signature each: {len(wide) - len(content):+d} bytes" if is_tflite else "dimension 'batch'"
    notes.append(f"batch sizes {sizes} share the weights, {how}")
    return Shown(content=wide, batches=batches, notes=tuple(notes))


def check_images(artifacts: tuple[ArtifactSpec, ...], vae: VaeSpec) -> None:
    """Refuses pixels where nobody knows what black and white are.

    Raises:
        SpecError: the decoder returns images of any range.
    """
    for artifact in artifacts:
        if artifact.image_dtype is ImageDtype.UINT8 and not vae.range_is_strict:
            low, high = vae.image_range
            raise SpecError(
                f"{artifact.filename} needs images of a known range, and the decoder's may leave {low:g} to {high:g}: "
                f"name it with --decoder-output (probabilities, logits or tanh), or leave out --image-dtype uint8"
            )
