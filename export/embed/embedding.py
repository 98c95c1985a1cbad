"""Writing of metadata and a few golden pairs into an exported file: the last step of making it."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from pocketvae.bundle.embedded import (
    CHECKSUM,
    GOLDENS,
    RECORD,
    EmbeddedGoldens,
    EmbeddedRecord,
    TensorDoc,
    content_hash,
)
from pocketvae.bundle.manifest import ArtifactRecord
from pocketvae.documents import encode_line
from pocketvae.export.embed.goldens import Candidates, choose_goldens
from pocketvae.export.embed.tensor_docs import tensor_doc
from pocketvae.export.embed.tflite import add_metadata
from pocketvae.export.embed.tflite_metadata import NAME, model_metadata
from pocketvae.formats.onnx.metadata import (
    DOC_STRING,
    MODEL_VERSION,
    PRODUCER_NAME,
    PRODUCER_VERSION,
    encode_bytes,
    encode_entry,
    encode_integer,
    fields,
)
from pocketvae.formats.tflite.model import main_signature, view_model
from pocketvae.numerics.tolerance import Tolerance
from pocketvae.portability.requirements import oldest_runtime
from pocketvae.spec import Component, Format, TensorSpec
from pocketvae.system.files import sha256_bytes
from pocketvae.vae_spec import VaeSpec
from pocketvae.version import VERSION
from pocketvae.versions import installed_versions

_REPLACED = (DOC_STRING, MODEL_VERSION, PRODUCER_NAME, PRODUCER_VERSION)
_MODEL_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Statement:
    """The metadata that an export writes into every file.

    Attributes:
        name: Name of the model.
        licence: Licence of the model's weights; may be empty.
        author: Author of the model; may be empty.
        sources: SHA-256 of the original model's file by component.
        with_goldens: Whether golden pairs go into the files.
    """

    name: str
    licence: str = ""
    author: str = ""
    sources: dict[Component, str] = field(default_factory=dict)
    with_goldens: bool = True


@dataclass(frozen=True, kw_only=True)
class Unembedded:
    """An artifact that is finished except for its metadata.

    Attributes:
        content: The file.
        record: What the manifest says of it.
        vae: The interface of the model.
        tolerances: Those of its record that a single file can be held to.
        sources: The components whose originals it was made from.
    """

    content: bytes
    record: ArtifactRecord
    vae: VaeSpec
    tolerances: tuple[Tolerance, ...]
    sources: tuple[Component, ...]


def embed(unembedded: Unembedded, statement: Statement, candidates: Candidates) -> bytes:
    """Returns the artifact's file with its metadata; the model in it stays as it is, byte for byte.

    Args:
        unembedded: The artifact.
        statement: The metadata of every file of the export.
        candidates: The goldens to choose from.

    Raises:
        ManifestError: the file does not have its format.
        ExportError: the file already has such metadata.
    """
    goldens, stored = None, b""
    if statement.with_goldens:
        # In an ONNX file base64 turns three bytes into four.
        share = 0.75 if unembedded.record.format is Format.ONNX else 1.0
        goldens, stored = choose_goldens(candidates, int(share * len(unembedded.content)))
    record = _record(unembedded, statement, goldens)
    if unembedded.record.format is Format.ONNX:
        return _embed_onnx(unembedded.content, record, stored)
    return _embed_tflite(unembedded.content, record, stored)


def _record(unembedded: Unembedded, statement: Statement, goldens: EmbeddedGoldens | None) -> EmbeddedRecord:
    made = unembedded.record

    def docs(tensors: Iterable[TensorSpec]) -> tuple[TensorDoc, ...]:
        return tuple(tensor_doc(tensor, made.component, unembedded.vae) for tensor in tensors)

    return EmbeddedRecord(
        name=statement.name,
        pocketvae=VERSION,
        component=made.component,
        precision=made.precision,
        format=made.format,
        image_dtype=made.image_dtype,
        batches=made.batches,
        vae=unembedded.vae,
        inputs=docs(made.inputs),
        outputs=docs(made.outputs),
        tolerances=unembedded.tolerances,
        requires=made.requires or oldest_runtime(made.format, unembedded.content),
        sources={part: statement.sources[part] for part in unembedded.sources if part in statement.sources},
        licence=statement.licence,
        author=statement.author,
        notes=made.notes,
        versions=installed_versions(),
        # The real one has the same length and is known when everything else is in place.
        content_sha256="0" * 64,
        goldens=goldens,
    )


def _entries(record: EmbeddedRecord, stored: bytes) -> dict[str, bytes]:
    text = encode_line(record).encode()
    entries = {RECORD: text, CHECKSUM: sha256_bytes(text).encode()}
    return {**entries, GOLDENS: stored} if record.goldens else entries


def _embed_tflite(content: bytes, record: EmbeddedRecord, stored: bytes) -> bytes:
    standard = {NAME: model_metadata(record, *_in_file_order(content, record))}
    draft = add_metadata(content, {**standard, **_entries(record, stored)})
    final = replace(record, content_sha256=content_hash(Format.TFLITE, draft))
    return add_metadata(content, {**standard, **_entries(final, stored)})


def _in_file_order(content: bytes, record: EmbeddedRecord) -> tuple[list[TensorDoc], list[TensorDoc]]:
    """Returns inputs and outputs as the main subgraph lists them, which may differ from the signature's order."""
    model = view_model(content)
    graph, signature = model.subgraphs[0], main_signature(model)

    def ordered(items: tuple[TensorDoc, ...], entries: list[Any], indices: list[int]) -> list[TensorDoc]:
        by_name = {item.tensor.name: item for item in items}
        names = {entry.tensorIndex: entry.name.decode() for entry in entries}
        return [by_name[names[index]] for index in indices]

    return (
        ordered(record.inputs, signature.inputs, graph.inputs),
        ordered(record.outputs, signature.outputs, graph.outputs),
    )


def _embed_onnx(content: bytes, record: EmbeddedRecord, stored: bytes) -> bytes:
    kept = b"".join(part.raw for part in fields(content) if part.number not in _REPLACED)
    about = f"The {record.component} of the variational autoencoder {record.name}, {record.precision}."
    described = (
        kept
        + encode_bytes(PRODUCER_NAME, b"pocketvae")
        + encode_bytes(PRODUCER_VERSION, VERSION.encode())
        + encode_integer(MODEL_VERSION, _MODEL_VERSION)
        + encode_bytes(DOC_STRING, about.encode())
    )
    final = replace(record, content_sha256=content_hash(Format.ONNX, described))
    entries = _entries(final, base64.b64encode(stored))
    return described + b"".join(encode_entry(key, value) for key, value in entries.items())
