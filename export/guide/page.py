"""The page EMBED.md: which file for which use, inputs and outputs, and the code."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from functools import partial

import numpy as np

from pocketvae.bundle.manifest import ArtifactRecord, Manifest
from pocketvae.export.embed.tensor_docs import tensor_doc
from pocketvae.export.guide.parts import Part, make_images, parts_of
from pocketvae.kinds.registry import described, kind_of
from pocketvae.numerics.ceilings import HALF_WARNING
from pocketvae.numerics.pixels import WHITE
from pocketvae.reporting.templates import render
from pocketvae.spec import Component, Format, TensorSpec
from pocketvae.vae_spec import DataKind, VaeSpec

_ORDER = (
    Component.SCORER,
    Component.GENERATOR,
    Component.DECODER,
    Component.ENCODER,
    Component.RECONSTRUCTOR,
    Component.SAMPLER,
    Component.PRIOR,
)


def embed_guide(manifest: Manifest, over_budget: Collection[str] = ()) -> str:
    """Returns EMBED.md as Markdown.

    Args:
        manifest: Of the bundle.
        over_budget: Names of artifacts that miss their budget, which are not recommended.
    """
    tflite, onnx = (_ordered(parts_of(manifest, format, over_budget)) for format in (Format.TFLITE, Format.ONNX))
    integers = [Part(artifact=item, vae=manifest.vae) for item in manifest.artifacts if _is_quantized(item)]
    pixels = [item for item in manifest.artifacts if any(map(_is_pixels, (*item.inputs, *item.outputs)))]
    values = {
        "name": manifest.name,
        "vae": manifest.vae,
        "components": {part.component for part in (*tflite, *onnx)},
        "made": {item.component for item in manifest.artifacts},
        "tflite": tflite,
        "onnx": onnx,
        "tensors": tuple(dict.fromkeys(_tensor_rows((*tflite, *onnx)))),
        "integers": integers,
        "pixels": pixels,
        "chosen": next((part for part in integers if part.component is Component.DECODER), next(iter(integers), None)),
        "makes_images": partial(make_images, manifest.vae),
        "compiled": manifest.compiled,
        "overflows": [(item.name, note) for item in manifest.artifacts for note in item.notes if HALF_WARNING in note],
    }
    return render("pocketvae.export.guide", "embed.md.j2", values | image_values(manifest.vae))


def image_values(vae: VaeSpec) -> dict[str, object]:
    """Returns what the texts call the data, and what code that turns an image into pixels has to know."""
    low, high, kind = *vae.data_range, kind_of(vae.data)
    words: dict[str, object] = {
        "data": described(vae),
        "noun": kind.noun,
        "plural": kind.plural,
        "black": f"{low:g}",
        "white": f"{high:g}",
    }
    if vae.data is not DataKind.IMAGE:
        return words
    height, width, channels = vae.image_shape
    return words | {
        "shape": list(vae.image_shape),
        "height": height,
        "width": width,
        "channels": channels,
        # The numbers of `to_pixels` and of the uint8 files: what is exact in 32 bits is so in any language's literal.
        "scale": float(np.float32(WHITE / (high - low))),
        "shift": float(np.float32(0.5 - low * WHITE / (high - low))),
    }


def _ordered(parts: Iterable[Part]) -> tuple[Part, ...]:
    return tuple(sorted(parts, key=lambda part: _ORDER.index(part.component)))


def _tensor_rows(parts: Iterable[Part]) -> Iterator[tuple[str, str, TensorSpec, str, str]]:
    """Yields component, role, tensor, meaning and range of every input and output."""
    for part in parts:
        for role, tensors in (("input", part.artifact.inputs), ("output", part.artifact.outputs)):
            for tensor in tensors:
                item = tensor_doc(tensor, part.component, part.vae)
                is_any = item.range is None or tensor.name in ("seed", "index")
                limits = "any" if is_any or item.range is None else f"{item.range[0]:g} to {item.range[1]:g}"
                yield part.component, role, tensor, item.meaning, limits


def _is_pixels(tensor: TensorSpec) -> bool:
    return tensor.holds_pixels


def _is_quantized(artifact: ArtifactRecord) -> bool:
    return any(tensor.quantization for tensor in (*artifact.inputs, *artifact.outputs))
