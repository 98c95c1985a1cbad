"""The samples that are damaged: tiny files of every kind, made by code."""

from __future__ import annotations

import gzip
import io
import json
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pocketvae import documents
from pocketvae.apps.compression import stream
from pocketvae.apps.compression.latent_tables import LatentTables
from pocketvae.apps.compression.pixel_network import LOGIT_LIMIT, Window, squash_table
from pocketvae.bundle.embedded import CHECKSUM, RECORD
from pocketvae.bundle.run import RunRecord
from pocketvae.formats.onnx.metadata import encode_bytes
from pocketvae.processes.arrays import pack
from pocketvae.processes.envelope import Request, Response, encode
from pocketvae.spec import Format
from pocketvae.vae_spec import VaeSpec, vector_latent

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

import bundles
import lone_files
import onnx_files
import tflite_models

_WEIGHT, _SIDE = bundles.right_weight(), bundles.SIDE


def tflite() -> list[bytes]:
    """A decoder and a quantized layer."""
    return [tflite_models.decoder(_WEIGHT, _SIDE, noted="1.14.0"), tflite_models.integer_dense([0.1, 0.2, 0.3, 0.4])]


def onnx() -> list[bytes]:
    """A decoder and an encoder."""
    return [
        bundles.decoder_model(_WEIGHT).SerializeToString(),
        bundles.encoder_model(_WEIGHT.T, _WEIGHT.T).SerializeToString(),
    ]


def onnx_originals() -> list[bytes]:
    """Models as torch.onnx.export writes them: decoders, and encoders with and without a sampling."""
    made = (
        onnx_files.conv_decoder(),
        onnx_files.conv_decoder(batch=4),
        onnx_files.conv_encoder(),
        onnx_files.conv_encoder(draws=True, outputs=("mu", "logvar", "z")),
    )
    return [model.SerializeToString() for model in made]


def onnx_wholes() -> list[bytes]:
    """A whole VAE, and an encoder that is cut before its sampling."""
    return [
        onnx_files.whole_vae().SerializeToString(),
        onnx_files.conv_encoder(draws=True, outputs=("z",)).SerializeToString(),
    ]


@cache
def _signed() -> tuple[bytes, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        made = zip((Format.TFLITE, Format.ONNX), (tflite()[0], onnx()[0]), strict=True)
        first, second = (lone_files.signed(Path(folder), format, content, _WEIGHT) for format, content in made)
    return first, second


def signed_tflite() -> list[bytes]:
    """A file with metadata and golden pairs."""
    return [_signed()[0]]


def signed_onnx() -> list[bytes]:
    """The same in the other format."""
    return [_signed()[1]]


@cache
def _bundle() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        path = bundles.make_bundle(Path(folder) / "b")
        return {file.name: file.read_bytes() for file in path.rglob("*") if file.is_file()}


def manifest() -> list[bytes]:
    """A bundle's manifest."""
    return [_bundle()["manifest.json"]]


def npy() -> list[bytes]:
    """Golden arrays and others."""
    files = _bundle()
    whole = io.BytesIO()
    np.save(whole, np.arange(6, dtype=np.int64).reshape(2, 3, order="F"))
    return [files["z.npy"], files["image.npy"], whole.getvalue()]


def npz() -> list[bytes]:
    """Images with labels and a test split, compressed and not."""
    rng = np.random.default_rng(0)
    arrays = {
        "images": rng.integers(0, 256, (5, 4, 4), np.uint8),
        "labels": np.arange(5.0),
        "x_test": rng.random((2, 4, 4, 3)),
    }
    made = [io.BytesIO(), io.BytesIO()]
    np.savez(made[0], allow_pickle=False, **arrays)
    np.savez_compressed(made[1], allow_pickle=False, **arrays)
    return [file.getvalue() for file in made]


def idx() -> list[bytes]:
    """Images and labels."""
    return [
        b"\0\0\x08\x03" + b"".join(size.to_bytes(4, "big") for size in (3, 2, 2)) + bytes(12),
        b"\0\0\x08\x01\0\0\0\x03" + bytes(3),
    ]


def idx_gz() -> list[bytes]:
    """The same, packed."""
    return [gzip.compress(content, mtime=0) for content in idx()]


def images() -> list[bytes]:
    """One of every format, and some of its variants."""
    ramp = np.arange(12 * 8, dtype=np.uint8).reshape(8, 12)
    grey, colour = Image.fromarray(ramp), Image.fromarray(np.stack([ramp, ramp.T.reshape(8, 12), 255 - ramp], axis=2))
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x1a\0\x05\0\0\0\x01\0\0\0\x1a\0\0\0\0"
    made: list[bytes] = []
    for picture, kind, options in (
        (grey, "PNG", {}),
        (colour, "PNG", {}),
        (colour.convert("P"), "PNG", {"transparency": 3}),
        (colour, "JPEG", {"exif": exif}),
        (grey, "JPEG", {"progressive": True}),
        (colour, "BMP", {}),
        (grey, "BMP", {}),
        (colour, "WEBP", {"lossless": True}),
        (colour, "WEBP", {}),
        (grey, "GIF", {}),
        (colour, "GIF", {"save_all": True, "append_images": [colour]}),
        (colour, "TIFF", {}),
        (grey, "TIFF", {"compression": "tiff_lzw"}),
        (grey, "TIFF", {"compression": "tiff_adobe_deflate"}),
    ):
        file = io.BytesIO()
        picture.save(file, kind, **options)
        made.append(file.getvalue())
    return made


def streams() -> list[bytes]:
    """Compressed files of both codings."""
    common: dict[str, Any] = {"tables_id": b"abcd", "decoder_id": b"efgh", "content_check": 7}
    return [
        stream.pack(stream.Stream(coding=coding, quality=quality, count=3, labels=labels, codes=codes, **common))
        for coding, quality, labels, codes in (
            (stream.Coding.LATENTS, 7, (1, 2, 3), (b"12345678", b"1234")),
            (stream.Coding.PIXELS, 0, (), (b"1" * 300,)),
        )
    ]


def tables() -> list[bytes]:
    """A codec's tables."""
    window = Window(above=1, beside=1)
    latents = LatentTables(exponents=np.array([3, -2]), counts=np.ones((2, 5), np.int64))
    shapes = {
        "inputs": (window.input_count, 2),
        "rows": (3, 2),
        "columns": (3, 2),
        "hidden": (2, 2),
        "hidden_bias": (2,),
    }
    shapes |= {"decisions": (2, 256), "decisions_bias": (256,)}
    arrays = {f"network_{name}": np.ones(shape, np.int32) for name, shape in shapes.items()}
    arrays |= {"network_squash": squash_table(), "network_window": np.array([1, 1])}
    arrays |= {"format": np.array(1), "decoder_id": np.zeros(4, np.uint8)}
    arrays |= {"latent_exponents": latents.exponents, "latent_counts": latents.counts}
    if len(arrays["network_squash"]) != 2 * LOGIT_LIMIT + 1:
        raise ValueError("the table of probabilities has another length")
    file = io.BytesIO()
    np.savez_compressed(file, allow_pickle=False, **arrays)
    return [file.getvalue()]


def blocks() -> list[bytes]:
    """Arrays in the safetensors format."""
    return [pack({"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.zeros((1, 4), np.int8)})]


def messages() -> list[bytes]:
    """Messages between programs."""
    return [
        encode(Request(id=1, method="run", params={"a": [1, None]}, block=blocks()[0])),
        encode(Response(id=1, result={"values_s": [0.1, float("nan")]})),
    ]


def toml() -> list[bytes]:
    """Limits, and overrides of a configuration."""
    return [
        b'[limits."decoder.*"]\nimage.max_abs = 0.01\nimage.mean_abs = 1e-3\n',
        b'epochs = 3\nchannels = [16, 32]\nlikelihood = "gaussian"\nlearning_rate = 1e-3\n',
    ]


def calibrations() -> list[bytes]:
    """A calibration of anomaly scores."""
    density = {"mean": [0.0, 1.0, 2.0], "precision": np.eye(3).tolist()}
    document = {"schema_version": 2, "bundle": "tiny", "decoder": "00112233", "precision": "float32", "samples": 1}
    document |= {
        "data": "image",
        "seed": 0,
        "noise_scale": 0.5,
        "density": density,
        "false_positive_rate": 0.05,
        "normal": "n",
    }
    document |= {"thresholds": {"elbo": 3.0}, "fitted_items": 10, "held_out_items": 20}
    return [json.dumps(document).encode()]


def runs() -> list[bytes]:
    """A run's record."""
    vae = VaeSpec(data_shape=(8, 8, 1), latents=vector_latent(2))
    record = RunRecord(vae=vae, data="mnist", preset="p", seed=1, config={"channels": [1, 2]}, metrics={"a": 2.0})
    return [documents.encode(record).encode()]


def keras_archives() -> list[bytes]:
    """An archive of Keras without weights."""
    layer = {"class_name": "Dense", "module": "keras.layers", "config": {"units": 3, "activation": "relu"}}
    config = {"class_name": "Functional", "config": {"layers": [layer, {"class_name": "Lambda", "config": {}}]}}
    return [zipped({"metadata.json": b'{"keras_version": "3.0.0"}', "config.json": json.dumps(config).encode()})]


def saved_models() -> list[bytes]:
    """The graph of a SavedModel."""
    node = encode_bytes(1, b"n") + encode_bytes(2, b"Relu") + encode_bytes(3, b"x")
    function = encode_bytes(1, encode_bytes(1, b"__inference__traced_save_1")) + encode_bytes(3, node)
    graph = encode_bytes(1, node) + encode_bytes(2, encode_bytes(1, function))
    return [b"\x08\x01" + encode_bytes(2, encode_bytes(2, graph) + encode_bytes(7, b"\x0a\x00"))]


def zipped(parts: Mapping[str, bytes]) -> bytes:
    """Returns a zip archive."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return file.getvalue()


def inside_zip(mutate: Callable[[bytes], bytes], data: bytes) -> bytes:
    """Mutates the largest or another part of an archive and packs it again, so that its checksums fit."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    chosen = sorted(parts)[zlib.crc32(mutate(data)) % len(parts)]
    return zipped({**parts, chosen: mutate(parts[chosen])})


def with_stream_checksum(data: bytes) -> bytes:
    """Makes the checksum of a compressed file fit its content."""
    return data[:-4] + zlib.crc32(data[:-4]).to_bytes(4, "little") if len(data) > 4 else data


def with_record_checksum(data: bytes) -> bytes:
    """Makes the checksum of an ONNX file's metadata fit it, where both can still be found."""
    from pocketvae.formats.onnx.metadata import METADATA_PROPS, encode_entry, entry_of, fields
    from pocketvae.system.files import sha256_bytes

    parts = list(fields(data))
    entries = dict(entry_of(part) for part in parts if part.number == METADATA_PROPS)
    rest = b"".join(part.raw for part in parts if part.number != METADATA_PROPS)
    if RECORD in entries:
        entries[CHECKSUM] = sha256_bytes(entries[RECORD]).encode()
    return rest + b"".join(encode_entry(key, value) for key, value in entries.items())
