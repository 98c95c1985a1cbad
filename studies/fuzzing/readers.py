"""The readers under test: each takes the bytes of one file and either reads it or refuses it."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fuzzing import samples
from fuzzing.mutations import mutate
from fuzzing.onnx_mutations import mutate_graph
from pocketvae.apps import Calibration
from pocketvae.apps.compression import stream
from pocketvae.apps.compression.codec_tables import load_tables
from pocketvae.benchmarks.parity.limits import parse_limits
from pocketvae.bundle.embedded import open_lone_file
from pocketvae.bundle.manifest import Manifest
from pocketvae.bundle.run import RunRecord
from pocketvae.data.array_files import read_npy
from pocketvae.data.image_decoder import collected_warnings, examine
from pocketvae.data.image_files import read_source
from pocketvae.documents import decode
from pocketvae.errors import PocketVaeError
from pocketvae.export.external.messages import ExternalModels, PreparationRequest
from pocketvae.export.external.preparation import prepare_models
from pocketvae.formats.layers import read_layers
from pocketvae.formats.onnx.metadata import metadata_entries
from pocketvae.formats.onnx.model import constants, load_model
from pocketvae.formats.tflite.metadata import metadata_ranges
from pocketvae.formats.tflite.operators import read_operators
from pocketvae.keras.custom_code import custom_parts
from pocketvae.keras.files import read_header
from pocketvae.keras.saved_model import impure_operators
from pocketvae.parsing import parse_json
from pocketvae.portability.litert_gpu import check_gpu
from pocketvae.portability.microcontroller import check_microcontroller
from pocketvae.portability.requirements import oldest_runtime
from pocketvae.processes import arrays, envelope
from pocketvae.spec import Format
from pocketvae.train.presets import preset, read_toml, with_overrides

Fix = Callable[[bytes], bytes]


@dataclass(frozen=True, kw_only=True)
class Reader:
    """One reader.

    Attributes:
        samples: Makes what is damaged.
        read: Reads a file's content; the folder is for those that take a path.
        fix: Makes checksums fit after a mutation, for half of the inputs; None where there are none.
        inside: Whether the parts of a zip archive are mutated, too.
        graph: Whether three of four inputs are changed as ONNX graphs, not as bytes.
        refusals: What the reader is documented to raise.
    """

    samples: Callable[[], list[bytes]]
    read: Callable[[bytes, Path], object]
    fix: Fix | None = None
    inside: bool = False
    graph: bool = False
    refusals: tuple[type[Exception], ...] = (PocketVaeError,)

    def damaged(self, seed: str) -> bytes:
        """Returns the input of a seed."""
        random_ = random.Random(seed)  # noqa: S311 - inputs must come again
        made = self.samples()
        if self.graph and random_.random() < 0.75:
            return mutate_graph(made, random_)
        if self.inside and random_.random() < 0.5:
            return samples.inside_zip(lambda part: mutate([part], random_), random_.choice(made))
        data = mutate(made, random_)
        if self.fix is not None and random_.random() < 0.5:
            try:
                return self.fix(data)
            except Exception:  # what is damaged too much to be found again stays as it is
                return data
        return data


def _tflite(content: bytes, _: Path) -> None:
    for graph in read_operators(content):
        check_gpu(graph)
        check_microcontroller(graph)
    read_layers(Format.TFLITE, content)
    oldest_runtime(Format.TFLITE, content)
    metadata_ranges(content)


def _onnx(content: bytes, _: Path) -> None:
    constants(load_model(content).graph)
    read_layers(Format.ONNX, content)
    oldest_runtime(Format.ONNX, content)
    metadata_entries(content)


def _prepared(path: Path, *, whole: bool) -> ExternalModels:
    models = ExternalModels(decoder=path, encoder=path if whole else None)
    return prepare_models(PreparationRequest(models=models, folder=str(path.parent))).models


def _at_path(name: str, read: Callable[[Path], object]) -> Callable[[bytes, Path], object]:
    def reader(content: bytes, folder: Path) -> object:
        (folder / name).write_bytes(content)
        return read(folder / name)

    return reader


def _image(path: Path) -> None:
    with collected_warnings() as caught:
        examine(path, caught, pixels=True)


def _header(path: Path) -> None:
    custom_parts(read_header(path).config)


def _document(kind: type) -> Callable[[bytes, Path], object]:
    return lambda content, _: decode(kind, content, "document.json")


def _message(content: bytes, _: Path) -> None:
    """Reads a request, or else a response."""
    try:
        envelope.decode(envelope.Request, content)
    except (ValueError, EOFError):
        envelope.decode(envelope.Response, content)


def _cached(make: Callable[[], list[bytes]]) -> Callable[[], list[bytes]]:
    return functools.cache(make)


READERS = {
    "tflite": Reader(samples=_cached(samples.tflite), read=_tflite),
    "onnx": Reader(samples=_cached(samples.onnx), read=_onnx),
    "onnx-original": Reader(
        samples=_cached(samples.onnx_originals),
        read=_at_path("a.onnx", lambda path: _prepared(path, whole=False)),
        graph=True,
    ),
    "onnx-whole": Reader(
        samples=_cached(samples.onnx_wholes),
        read=_at_path("a.onnx", lambda path: _prepared(path, whole=True)),
        graph=True,
    ),
    "embedded-tflite": Reader(
        samples=samples.signed_tflite, read=_at_path("a.tflite", lambda path: open_lone_file(path).goldens())
    ),
    "embedded-onnx": Reader(
        samples=samples.signed_onnx,
        read=_at_path("a.onnx", lambda path: open_lone_file(path).goldens()),
        fix=samples.with_record_checksum,
    ),
    "manifest": Reader(samples=samples.manifest, read=_document(Manifest)),
    "run": Reader(samples=_cached(samples.runs), read=_document(RunRecord)),
    "calibration": Reader(samples=_cached(samples.calibrations), read=_document(Calibration)),
    "json": Reader(samples=samples.manifest, read=lambda content, _: parse_json(content), refusals=(ValueError,)),
    "npy": Reader(samples=_cached(samples.npy), read=_at_path("a.npy", read_npy), refusals=(ValueError,)),
    "image-npy": Reader(samples=_cached(samples.npy), read=_at_path("a.npy", read_source)),
    "image-npz": Reader(samples=_cached(samples.npz), read=_at_path("a.npz", read_source), inside=True),
    "idx": Reader(samples=_cached(samples.idx), read=_at_path("a-idx3", read_source)),
    "idx-gz": Reader(samples=_cached(samples.idx_gz), read=_at_path("a-idx3.gz", read_source)),
    "images": Reader(samples=_cached(samples.images), read=_at_path("a.png", _image)),
    "stream": Reader(
        samples=_cached(samples.streams),
        read=lambda content, _: stream.unpack(content, "a.pvae"),
        fix=samples.with_stream_checksum,
    ),
    "tables": Reader(samples=_cached(samples.tables), read=_at_path("codec.npz", load_tables), inside=True),
    "safetensors": Reader(samples=_cached(samples.blocks), read=lambda content, _: arrays.unpack(content)),
    "messages": Reader(samples=_cached(samples.messages), read=_message, refusals=(ValueError, EOFError)),
    "limits": Reader(
        samples=_cached(samples.toml),
        read=lambda content, _: parse_limits(content.decode("utf-8", "replace"), "limits.toml"),
    ),
    "overrides": Reader(
        samples=_cached(samples.toml),
        read=_at_path("a.toml", lambda path: with_overrides(preset("mnist"), read_toml(path))),
    ),
    "keras": Reader(samples=_cached(samples.keras_archives), read=_at_path("m.bin", _header), inside=True),
    "saved-model": Reader(
        samples=_cached(samples.saved_models),
        read=_at_path("saved_model.pb", lambda path: impure_operators(path.parent)),
    ),
}
