"""Which file of a bundle becomes firmware."""

from __future__ import annotations

from collections.abc import Sequence

from pocketvae.bundle.manifest import ArtifactRecord, Manifest
from pocketvae.errors import SpecError, unknown_name
from pocketvae.spec import Component, Format, ImageDtype, Precision

# The first that a bundle has; whatever else it has must be asked for.
_COMPONENTS = ("scorer", "decoder")
_PRECISIONS = (Precision.INT8_IO, Precision.INT8, Precision.INT16X8, Precision.FLOAT32)


def choose_artifact(manifest: Manifest, component: str = "", precision: str = "") -> ArtifactRecord:
    """Returns the artifact that a firmware runs.

    Args:
        manifest: Of the bundle.
        component: Its name; empty for the scorer, or the decoder where there is none.
        precision: Its name; empty for the smallest that the component has.

    Raises:
        SpecError: a name is unknown, or the bundle has no such TFLite file.
    """
    if component and component not in list(Component):
        raise unknown_name("component", component, [str(item) for item in Component])
    if precision and precision not in list(Precision):
        raise unknown_name("precision", precision, [str(item) for item in Precision])
    files = [item for item in manifest.artifacts if item.format is Format.TFLITE and _holds_numbers(item)]
    wanted = (component,) if component else _COMPONENTS
    for name in wanted:
        found = _first(files, name, (precision,) if precision else tuple(map(str, _PRECISIONS)))
        if found is not None:
            return found
    has = ", ".join(item.name for item in files) or "none"
    kind = f"{component or ' or '.join(_COMPONENTS)}{f' in {precision}' if precision else ''}"
    others = [item for item in manifest.artifacts if item.format is Format.TFLITE and item.component in wanted]
    pixels = [item.name for item in others if not _holds_numbers(item)]
    advice = f"; {pixels[0]} takes or returns pixels: export with --image-dtype float32,uint8" if pixels else ""
    raise SpecError(f"the bundle has no TFLite file of a {kind} for firmware: it has {has}{advice}")


def _holds_numbers(artifact: ArtifactRecord) -> bool:
    return artifact.image_dtype is ImageDtype.FLOAT32


def _first(files: Sequence[ArtifactRecord], component: str, precisions: Sequence[str]) -> ArtifactRecord | None:
    own = {str(item.precision): item for item in files if item.component == component}
    return next((own[name] for name in precisions if name in own), None)
