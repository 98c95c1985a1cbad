"""Warnings about where the artifacts of a bundle run."""

from __future__ import annotations

from pocketvae.bundle.manifest import ArtifactRecord, Manifest
from pocketvae.portability.records import Backend, Portability
from pocketvae.spec import Component, Format, ImageDtype, Precision


def portability_warnings(manifest: Manifest) -> tuple[str, ...]:
    """Returns one line per decoder that an accelerator which should support all of it does not.

    That is every accelerator for a float32 decoder, and XNNPACK for all others but int16x8, for which it has no
    kernels. There is no warning about consequences of export options: the cast to pixels, and an ONNX file with a
    dynamic batch size, which phones' accelerators do not support.
    """
    lines = (_line(artifact) for artifact in manifest.artifacts if artifact.component is Component.DECODER)
    return tuple(line for line in lines if line)


def _line(artifact: ArtifactRecord) -> str:
    found = [item for item in artifact.portability if not item.is_whole and _is_expected_whole(artifact, item)]
    if len(found) < 2:
        return "".join(f"{artifact.name} is not fully supported by {item.describe()}" for item in found)
    *others, last = (f"{item.backend} ({item.taken} of {item.operators} operators)" for item in found)
    return (
        f"{artifact.name} is not fully supported by {', '.join(others)} and {last}: inspect FILE --lint says which "
        f"operators are not"
    )


def _is_expected_whole(artifact: ArtifactRecord, item: Portability) -> bool:
    if artifact.image_dtype is not ImageDtype.FLOAT32:
        return False
    if artifact.format is Format.ONNX and len(artifact.batches) > 1:
        return False
    if item.backend is Backend.XNNPACK:
        return artifact.precision is not Precision.INT16X8
    return artifact.precision is Precision.FLOAT32
