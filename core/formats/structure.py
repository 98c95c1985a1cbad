"""Whether a file has its format's outer structure, told in the same words wherever a file is opened."""

from __future__ import annotations

from pocketvae.errors import ManifestError
from pocketvae.formats.onnx.metadata import GRAPH, fields
from pocketvae.formats.tflite.metadata import metadata_ranges
from pocketvae.spec import Format


def check_structure(format: Format, content: bytes) -> None:
    """Refuses a file that is empty, of another format or truncated; what lies deeper is not read.

    Raises:
        ManifestError: as above; the message does not name the file.
    """
    if not content:
        raise ManifestError("the file is empty")
    if format is Format.TFLITE:
        metadata_ranges(content)
    elif GRAPH not in {field.number for field in fields(content)}:
        raise ManifestError("the file is not an ONNX file: it has no graph")
