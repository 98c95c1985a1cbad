"""Metadata embedded in an exported file, with a few golden pairs, read from the file alone.

Three entries, in a TFLite file's list of metadata or an ONNX file's `metadata_props`: `pocketvae` is the record as
JSON, `pocketvae_goldens` the golden pairs, compressed (in an ONNX file as base64 too, since its values are text), and
`pocketvae_sha256` the hash of the first. The record holds the hashes of the second and of the rest of the file.
"""

from __future__ import annotations

import base64
import hashlib
import math
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np

from pocketvae.bundle.bundle import Array, Goldens
from pocketvae.bundle.manifest import ArtifactRecord, FileRecord, Stratum
from pocketvae.bundle.upgrades import with_channels, with_conditions, with_more_outputs, with_named_latents
from pocketvae.documents import decode
from pocketvae.errors import ManifestError, SpecError
from pocketvae.formats.damage import naming_file
from pocketvae.formats.onnx.metadata import METADATA_PROPS, entry_of, fields, metadata_entries
from pocketvae.formats.structure import check_structure
from pocketvae.formats.tflite.metadata import metadata_ranges
from pocketvae.numerics.tolerance import Tolerance
from pocketvae.portability.records import Requirement
from pocketvae.spec import STRICT, ArtifactSpec, Component, Format, ImageDtype, Precision, TensorSpec
from pocketvae.system.files import sha256_bytes
from pocketvae.vae_spec import VaeSpec

RECORD, GOLDENS, CHECKSUM = "pocketvae", "pocketvae_goldens", "pocketvae_sha256"
KEYS = (RECORD, GOLDENS, CHECKSUM)
# 2: the VAE names its kind of data and its latents.
# 3: the VAE names its conditions.
# 4: the VAE names its channels.
EMBEDDED_SCHEMA_VERSION = 5
STORED_TYPES = ("uint8", "int32", "float16", "float32")
# A golden pair is small; anything that claims more was not written by pocketvae and must not fill the memory.
_LARGEST_BYTES = 1 << 28


@dataclass(frozen=True, kw_only=True)
class TensorDoc:
    """An input or output with its description.

    Attributes:
        tensor: Name, type, shape and quantization.
        meaning: Description of the values.
        unit: Unit of the values; `1` if they have none.
        range: Range of the values, if they have one.
    """

    __pydantic_config__ = STRICT
    tensor: TensorSpec
    meaning: str
    unit: str
    range: tuple[float, float] | None = None


@dataclass(frozen=True, kw_only=True)
class EmbeddedArray:
    """One array of the golden pairs, as it is stored.

    Attributes:
        name: Name of the input or output.
        dtype: Type of the stored values, little-endian.
        shape: `[N, ...]`, or `[N, K]` for an output of which only some values were kept.
        step: Step between the kept values of the flattened output; 1 means all.
        scale: Factor for integers; 0 if values are stored as they are.
    """

    __pydantic_config__ = STRICT
    name: str
    dtype: str
    shape: tuple[int, ...]
    step: int = 1
    scale: float = 0.0

    def __post_init__(self) -> None:
        if self.dtype not in STORED_TYPES or self.step < 1 or min(self.shape, default=0) < 1:
            raise ManifestError(f"golden {self.name!r} is {self.dtype} {self.shape}, which pocketvae does not write")

    @property
    def size_bytes(self) -> int:
        """Of the stored values."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True, kw_only=True)
class EmbeddedGoldens:
    """The golden pairs of one file.

    Attributes:
        kinds: The kind of each pair, such as `prior`.
        inputs: Inputs in the order in which they are stored.
        outputs: Outputs of the original model, stored after the inputs.
        sha256: SHA-256 of the stored, compressed bytes.
    """

    __pydantic_config__ = STRICT
    kinds: tuple[str, ...]
    inputs: tuple[EmbeddedArray, ...]
    outputs: tuple[EmbeddedArray, ...]
    sha256: str

    @property
    def count(self) -> int:
        """N, the number of pairs."""
        return len(self.kinds)


@dataclass(frozen=True, kw_only=True)
class EmbeddedRecord:
    """The metadata of an exported file.

    Attributes:
        name: Of the model.
        pocketvae: The version that wrote the file.
        image_dtype: How images are stored.
        batches: Batch sizes that the file supports.
        vae: The interface of the model: latent dimensions, likelihood, prior, labels.
        inputs: Inputs with their descriptions.
        outputs: Outputs with their descriptions.
        tolerances: The largest deviations from the original, and where each number comes from.
        sources: SHA-256 of the original model's file by component.
        licence: Licence as stated at export; may be empty.
        author: Author as stated at export; may be empty.
        notes: Notes on special properties of the file.
        versions: Versions of the packages that made the file.
        content_sha256: SHA-256 of the file without its pocketvae metadata.
        goldens: Golden pairs; None if they were left out.
    """

    __pydantic_config__ = STRICT
    UPGRADES: ClassVar = {1: with_named_latents, 2: with_conditions, 3: with_channels, 4: with_more_outputs}
    schema_version: int = EMBEDDED_SCHEMA_VERSION
    name: str
    pocketvae: str
    component: Component
    precision: Precision
    format: Format
    image_dtype: ImageDtype = ImageDtype.FLOAT32
    batches: tuple[int, ...] = (1,)
    vae: VaeSpec
    inputs: tuple[TensorDoc, ...]
    outputs: tuple[TensorDoc, ...]
    tolerances: tuple[Tolerance, ...]
    requires: Requirement
    sources: dict[Component, str] = field(default_factory=dict)
    licence: str = ""
    author: str = ""
    notes: tuple[str, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    content_sha256: str
    goldens: EmbeddedGoldens | None = None

    @property
    def spec(self) -> ArtifactSpec:
        """Component, precision, format and images together."""
        return ArtifactSpec(
            component=self.component, precision=self.precision, format=self.format, image_dtype=self.image_dtype
        )

    def artifact(self, file: FileRecord) -> ArtifactRecord:
        """Returns what a manifest would say of the file, as far as verify needs it.

        Args:
            file: The file that holds this record.
        """
        return ArtifactRecord(
            component=self.component,
            precision=self.precision,
            format=self.format,
            image_dtype=self.image_dtype,
            file=file,
            inputs=tuple(item.tensor for item in self.inputs),
            outputs=tuple(item.tensor for item in self.outputs),
            batches=self.batches,
            tolerances=self.tolerances,
        )


@dataclass(frozen=True, kw_only=True)
class LoneFile:
    """A single exported file.

    Attributes:
        content: The whole file.
        record: Its metadata.
        content_sha256: SHA-256 of the file without its pocketvae metadata; the record has the expected value.
    """

    path: Path
    content: bytes
    record: EmbeddedRecord
    content_sha256: str

    def goldens(self) -> Goldens | None:
        """Returns the golden pairs; None if they were left out.

        Raises:
            ManifestError: they are damaged.
        """
        if self.record.goldens is None:
            return None
        stored = _entries(self.record.format, self.content).get(GOLDENS, b"")
        try:
            if self.record.format is Format.ONNX:
                stored = base64.b64decode(stored, validate=True)
            return _unpack(self.record.goldens, stored)
        except (ValueError, zlib.error) as e:
            raise ManifestError(f"{self.path}: the golden pairs inside are damaged: {e}") from e


def open_lone_file(path: Path) -> LoneFile:
    """Reads the metadata of an exported file.

    Args:
        path: A `.tflite` or `.onnx` file.

    Raises:
        SpecError: the file does not exist or has another extension.
        ManifestError: its pocketvae metadata is missing, damaged or newer, or the file does not have its format.
    """
    if not path.is_file():
        raise SpecError(f"{path} does not exist")
    if path.suffix not in (".tflite", ".onnx"):
        raise SpecError(f"a file to verify must end in .tflite or .onnx, got {path}")
    format, content = Format(path.suffix[1:]), path.read_bytes()
    with naming_file(path):
        check_structure(format, content)
        entries = _entries(format, content)
    if RECORD not in entries:
        raise ManifestError(f"{path} has no pocketvae metadata: verify the bundle that it came from")
    if sha256_bytes(entries[RECORD]).encode() != entries.get(CHECKSUM):
        raise ManifestError(f"{path}: its pocketvae metadata was changed: the checksum does not match; export it again")
    record = decode(EmbeddedRecord, entries[RECORD], f"the metadata of {path}")
    if record.format is not format:
        raise ManifestError(f"{path}: its metadata belongs to a .{record.format} file")
    return LoneFile(path=path, content=content, record=record, content_sha256=content_hash(format, content))


def has_record(path: Path) -> bool:
    """Whether a `.tflite` or `.onnx` file has pocketvae metadata, damaged or not.

    Raises:
        ManifestError: the file does not have its format.
    """
    with naming_file(path):
        return bool(_entries(Format(path.suffix[1:]), path.read_bytes()))


def metadata_bytes(format: Format, content: bytes) -> int:
    """Returns how many bytes of a file are pocketvae's metadata and golden pairs.

    Raises:
        ManifestError: the file does not have its format.
    """
    return sum(map(len, _entries(format, content).values()))


def content_hash(format: Format, content: bytes) -> str:
    """Returns the SHA-256 of a file without its pocketvae metadata, hexadecimal."""
    digest = hashlib.sha256()
    if format is Format.ONNX:
        for part in fields(content):
            if part.number != METADATA_PROPS or entry_of(part)[0] not in KEYS:
                digest.update(part.raw)
        return digest.hexdigest()
    start = 0
    for found in sorted(
        (found for key, found in metadata_ranges(content).items() if key in KEYS), key=lambda found: found.start
    ):
        digest.update(content[start : found.start])
        start = found.stop
    digest.update(content[start:])
    return digest.hexdigest()


def _entries(format: Format, content: bytes) -> dict[str, bytes]:
    if format is Format.ONNX:
        return {key: value for key, value in metadata_entries(content).items() if key in KEYS}
    ranges = metadata_ranges(content)
    return {key: content[found.start : found.stop] for key, found in ranges.items() if key in KEYS}


def _unpack(goldens: EmbeddedGoldens, stored: bytes) -> Goldens:
    arrays = (*goldens.inputs, *goldens.outputs)
    size = sum(array.size_bytes for array in arrays)
    if sha256_bytes(stored) != goldens.sha256:
        raise ValueError("the checksum does not match")
    if size > _LARGEST_BYTES or any(array.shape[0] != goldens.count for array in arrays):
        raise ValueError("the sizes do not match")
    # Never more than what the record says, whatever a crafted file unpacks to.
    data = zlib.decompressobj().decompress(stored, size + 1)
    if len(data) != size:
        raise ValueError(f"{size} bytes were expected, found {len(data)}")
    values, start = {}, 0
    for array in arrays:
        flat = np.frombuffer(data, np.dtype(array.dtype).newbyteorder("<"), offset=start, count=_count(array))
        values[array.name] = restore(flat.reshape(array.shape), array)
        start += array.size_bytes
    return Goldens(
        inputs={array.name: values[array.name] for array in goldens.inputs},
        outputs={array.name: values[array.name] for array in goldens.outputs},
        strata=tuple(Stratum(name=kind, start=index, count=1) for index, kind in enumerate(goldens.kinds)),
        steps={array.name: array.step for array in goldens.outputs},
    )


def _count(array: EmbeddedArray) -> int:
    return array.size_bytes // np.dtype(array.dtype).itemsize


def restore(stored: Array, array: EmbeddedArray) -> Array:
    """Returns the values that are stored: float32, or integers as they are if there is no scale."""
    if array.scale:
        return (stored.astype(np.float64) * array.scale).astype(np.float32)
    if np.issubdtype(stored.dtype, np.floating):
        return stored.astype(np.float32)
    return stored.astype(stored.dtype.newbyteorder("="))
