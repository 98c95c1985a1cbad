"""The codec: images or other data to one small file and back.

It is lossy through the latent or, of grey images, lossless through the pixel network.
"""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from pocketvae.apps.choice import Choice
from pocketvae.apps.compression.codec_tables import CodecTables, check_data_return, decoder_id
from pocketvae.apps.compression.latent_codec import decode_symbols, encode_symbols
from pocketvae.apps.compression.latent_tables import DEFAULT_QUALITY, LatentTables, steps_of
from pocketvae.apps.compression.pixel_codec import decode_pixels, encode_pixels
from pocketvae.apps.compression.pixel_network import PixelNetwork
from pocketvae.apps.compression.stream import (
    ID_BYTES,
    Coding,
    Stream,
    check_count,
    pack,
    pack_names,
    unpack,
    unpack_names,
)
from pocketvae.apps.latents_file import encode_images
from pocketvae.apps.sources import SourceImages
from pocketvae.errors import DataError, DataWarning, ManifestError, SpecError
from pocketvae.kinds.registry import kind_of
from pocketvae.models.model_bundle import ModelBundle
from pocketvae.processes.guard import machine_bytes
from pocketvae.progress import ProgressCallback, ignore_progress
from pocketvae.runtimes.base import FloatArray
from pocketvae.vae_spec import DataKind, VaeSpec

Pixels = npt.NDArray[np.uint8]
# Latents `[N, D]` and labels `[N]` or None to items.
Decode: TypeAlias = Callable[[FloatArray, npt.NDArray[np.int32] | None], npt.NDArray[Any]]
_CHUNK = 256
# A symbol of 64 bits and a float32.
_BYTES_PER_LATENT = 12
# An item with values this many times the range outside it is not one of those that the model was made for.
_FAR = 4


@dataclass(frozen=True, kw_only=True)
class Decompressed:
    """The content of a compressed file.

    Attributes:
        vae: The interface of the model.
        images: `[N, H, W, C] uint8`, or `[N, *data_shape] float32` of data that are not images.
        z: `[N, D] float32`, the latents of a lossy file; None for a lossless one.
        labels: `[N] int32`, for a class-conditional VAE; otherwise None.
        names: Of the items, if they were kept; otherwise empty.
    """

    vae: VaeSpec
    images: npt.NDArray[Any]
    z: FloatArray | None
    labels: npt.NDArray[np.int32] | None
    names: tuple[str, ...] = ()


def compress_lossy(
    bundle: ModelBundle,
    tables: CodecTables,
    source: SourceImages,
    choice: Choice,
    *,
    quality: int = DEFAULT_QUALITY,
    label: int | None = None,
    names: Sequence[str] = (),
    progress: ProgressCallback = ignore_progress,
) -> bytes:
    """Compresses images or other data to the quantized means of their posteriors.

    Args:
        bundle: The bundle whose encoder is used.
        tables: Tables that were fitted to this bundle.
        source: The items.
        choice: Which encoder to use.
        quality: 1 (smallest) to 10 (best).
        label: Class of all items, for a class-conditional VAE; by default each item's own label.
        names: To keep in the file, one for each item, such as `source.names`; by default none.
        progress: Called while items are encoded.

    Raises:
        ManifestError: the tables were fitted to another decoder, or without an encoder.
        SpecError: the quality is out of range, the label does not fit, or the decoder makes spectrograms of sounds.
        DataError: there are more than 2^24 items, or the decoder needs labels and there are none.
    """
    check_lossy(bundle, tables, quality, len(source))
    labels = source.decoder_labels(bundle.vae, label)
    posterior = encode_images(bundle, source, choice, label, progress)
    encoded = EncodedItems(
        names=source.names,
        z_mean=posterior.z_mean,
        far=far_outside(bundle.vae, source.images),
        labels=labels,
        are_same=lambda: not (source.images != source.images[0]).any(),
        kept_names=names,
    )
    return compress_encoded(bundle, tables, encoded, quality=quality)


def check_lossy(bundle: ModelBundle, tables: CodecTables, quality: int, count: int) -> None:
    """Checks, before any work, what `compress_lossy` needs; see there for what is raised."""
    check_data_return(bundle.vae)
    steps_of(quality)
    check_count(count)
    _latent_tables(bundle, tables)


@dataclass(frozen=True, kw_only=True)
class EncodedItems:
    """What `compress_lossy` keeps of its items, and what it warns by.

    Attributes:
        names: Of the items.
        z_mean: `[N, D]`, the means of their posteriors.
        far: `[N]`, see `far_outside`.
        labels: `[N] int32`, for a class-conditional VAE; otherwise None.
        are_same: Says whether all items are the same.
        kept_names: To keep in the file; by default none.
    """

    names: Sequence[str]
    z_mean: npt.NDArray[Any]
    far: npt.NDArray[np.bool_]
    labels: npt.NDArray[np.int32] | None
    are_same: Callable[[], bool]
    kept_names: Sequence[str] = ()


def compress_encoded(bundle: ModelBundle, tables: CodecTables, items: EncodedItems, *, quality: int) -> bytes:
    """Compresses items that are encoded already; see `compress_lossy`."""
    latents = _latent_tables(bundle, tables)
    symbols = latents.symbols(items.z_mean, quality)
    _warn_of_loss(latents, items, quality)
    return pack(
        Stream(
            coding=Coding.LATENTS,
            quality=quality,
            tables_id=tables.id,
            decoder_id=tables.decoder_id,
            content_check=_check(latents.latents(symbols, quality)),
            count=len(items.names),
            labels=() if items.labels is None else tuple(items.labels.tolist()),
            codes=tuple(encode_symbols(symbols, latents, quality)),
            names=_packed_names(items.kept_names, len(items.names)),
        )
    )


def _warn_of_loss(tables: LatentTables, items: EncodedItems, quality: int) -> None:
    """Warns of items far outside the fit: their latents lie off the grid, or are what a saturated encoder returns."""
    far = np.flatnonzero(tables.left_out(items.z_mean) | items.far)
    if len(far):
        warnings.warn(
            f"{len(far)} of {len(items.names)} items {'is' if len(far) == 1 else 'are'} far outside the data that the "
            f"tables were fitted to, the first {items.names[far[0]]}, and may be restored as others: scale them as "
            f"for training, or fit tables of their own to such data with --fit --tables FILE",
            DataWarning,
            stacklevel=4,
        )
        return
    symbols = tables.symbols(items.z_mean, quality)
    if (symbols == symbols[0]).all() and not items.are_same():
        warnings.warn(
            f"all {len(items.names)} items are stored as the same latent and will be restored as the same item, since "
            f"their latents differ by less than one step of the tables: raise --quality, or fit tables of their own to "
            f"such data with --fit --tables FILE",
            DataWarning,
            stacklevel=4,
        )


def far_outside(vae: VaeSpec, items: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Returns which items have values far outside the range that the model was made for, `[N]`; images never have."""
    if vae.data is DataKind.IMAGE:
        return np.zeros(len(items), np.bool_)
    low, high = vae.data_range
    flat, margin = items.reshape(len(items), -1), _FAR * vae.range_span
    far: npt.NDArray[np.bool_] = (flat.min(axis=1) < low - margin) | (flat.max(axis=1) > high + margin)
    return far


def check_lossless(vae: VaeSpec) -> None:
    """Checks, before anything is read, that a VAE's data can be compressed without loss.

    Raises:
        SpecError: they are not grey images.
    """
    if vae.data is not DataKind.IMAGE:
        raise SpecError(
            f"lossless compression needs whole numbers such as pixels, but {kind_of(vae.data).plural} hold real "
            f"numbers, which have no smallest step: leave out --lossless"
        )
    if vae.image_shape[2] != 1:
        raise SpecError("lossless compression only supports grey images: leave out --lossless, or use WebP")


def compress_lossless(
    tables: CodecTables,
    images: Pixels,
    progress: ProgressCallback = ignore_progress,
    *,
    names: Sequence[str] = (),
) -> bytes:
    """Compresses every pixel of grey images `[N, H, W, 1] uint8`, without floats and without the decoder.

    Args:
        tables: Tables with a pixel network.
        images: The images.
        progress: Called while they are compressed.
        names: To keep in the file, one for each image; by default none.

    Raises:
        SpecError: the images are in colour, or the tables were fitted to other than grey images.
        DataError: the images are no pixels, do not have the size that the tables were fitted to, or there are none or
            more than 2^24.
    """
    if images.ndim != 4 or images.dtype != np.uint8 or not len(images):
        raise DataError(f"images must be [N, H, W, 1] uint8, got {list(images.shape)} {images.dtype}")
    if images.shape[3] != 1:
        raise SpecError("lossless compression only supports grey images: leave out --lossless, or use WebP")
    check_count(len(images))
    network = _pixel_network(tables)
    return pack(
        Stream(
            coding=Coding.PIXELS,
            quality=0,
            tables_id=tables.id,
            decoder_id=bytes(ID_BYTES),
            content_check=_check(images),
            count=len(images),
            labels=(),
            codes=tuple(encode_pixels(images[..., 0], network, progress)),
            names=_packed_names(names, len(images)),
        )
    )


def _packed_names(names: Sequence[str], count: int) -> bytes:
    if len(names) not in (0, count):
        raise DataError(f"a file holds a name for each item or none, got {len(names)} for {count}")
    return pack_names(names)


def image_count(data: bytes, name: str = "the stream") -> int:
    """Returns how many items a file holds, without decoding them.

    Raises:
        DataError: the file is of another kind, truncated or damaged.
    """
    return unpack(data, name).count


def decompress(
    bundle: ModelBundle,
    tables: CodecTables,
    data: bytes,
    choice: Choice,
    *,
    name: str = "the stream",
    decode: Decode | None = None,
    progress: ProgressCallback = ignore_progress,
) -> Decompressed:
    """Returns the items of a file.

    Args:
        bundle: The bundle whose decoder is used, except for a lossless file.
        tables: The tables that the file was made with.
        data: Content of the file.
        choice: Which decoder to use.
        name: Name of the file, for errors.
        decode: Decodes the latents of a lossy file in place of this process.
        progress: Called while items are decoded.

    Raises:
        DataError: the file is of another kind, truncated or damaged, was made with other tables or for another
            decoder, or its items do not fit into memory.
    """
    stream = unpack(data, name)
    if stream.tables_id != tables.id:
        raise DataError(
            f"{name} was made with the tables {stream.tables_id.hex()}, but these are {tables.id.hex()}: use those "
            f"that it was made with; new ones cannot read it either"
        )
    try:
        _check_memory(stream.count, bundle.vae)
        names = unpack_names(stream.names, stream.count)
        if stream.coding is Coding.PIXELS:
            result = _decompress_pixels(bundle.vae, stream, tables, progress)
        else:
            decode = decode or partial(decoded_items, bundle, choice=choice)
            result = _decompress_latents(bundle, stream, tables, decode)
        return replace(result, names=names)
    except DataError as e:
        raise DataError(f"{name}: {e}") from e


def _decompress_pixels(vae: VaeSpec, stream: Stream, tables: CodecTables, progress: ProgressCallback) -> Decompressed:
    images = decode_pixels(list(stream.codes), stream.count, _pixel_network(tables), progress)[..., None]
    _compare(images, stream)
    return Decompressed(vae=vae, images=images, z=None, labels=None)


def _decompress_latents(bundle: ModelBundle, stream: Stream, tables: CodecTables, decode: Decode) -> Decompressed:
    own = decoder_id(bundle)
    if {stream.decoder_id, tables.decoder_id} != {own}:
        raise DataError(
            f"it is for the decoder {stream.decoder_id.hex()}, but this bundle has {own.hex()}: use the bundle that it "
            f"was made with, or a copy of it; new tables cannot read it"
        )
    latents = _latent_tables(bundle, tables)
    symbols = decode_symbols(list(stream.codes), stream.count, latents, stream.quality)
    z = latents.latents(symbols, stream.quality)
    _compare(z, stream)
    labels = np.array(stream.labels, np.int32) if stream.labels else None
    return Decompressed(vae=bundle.vae, images=decode(z, labels), z=z, labels=labels)


def decoded_items(
    bundle: ModelBundle, z: FloatArray, labels: npt.NDArray[np.int32] | None, choice: Choice
) -> npt.NDArray[Any]:
    """Returns what the decoder makes of latents `[N, D]`: `[N, H, W, C] uint8`, or `[N, *data_shape] float32`."""
    decoder, is_image = choice.decoder(bundle), bundle.vae.data is DataKind.IMAGE
    decode = decoder.decode_pixels if is_image else decoder.decode
    items = np.empty((len(z), *bundle.vae.data_shape), np.uint8 if is_image else np.float32)
    for first in range(0, len(z), _CHUNK):
        part = slice(first, first + _CHUNK)
        items[part] = decode(z[part], None if labels is None else labels[part])
    return items


def _check_memory(count: int, vae: VaeSpec) -> None:
    """Refuses a small file whose items would not fit into memory: five bytes may stand for 64 images."""
    there, bytes_per_value = machine_bytes(), 1 if vae.data is DataKind.IMAGE else 4
    size = bytes_per_value * int(np.prod(vae.data_shape, dtype=np.int64)) + _BYTES_PER_LATENT * vae.latent_dim
    needed = count * size
    if there is not None and needed > there:
        raise DataError(
            f"its {count} {kind_of(vae.data).plural} take about {needed / 1e9:.3g} GB of memory, but this machine has "
            f"{there / 1e9:.3g} GB"
        )


def _compare(content: npt.NDArray[np.generic], stream: Stream) -> None:
    if _check(content) != stream.content_check:
        raise DataError("the stream is damaged: the decoded content does not match its checksum")


def _check(content: npt.NDArray[np.generic]) -> int:
    little = np.ascontiguousarray(content, content.dtype.newbyteorder("<"))
    return zlib.crc32(little.data)


def _latent_tables(bundle: ModelBundle, tables: CodecTables) -> LatentTables:
    if tables.decoder_id != decoder_id(bundle):
        raise ManifestError(
            "the codec's tables were fitted to another decoder: fit others to this one with --fit --force, which keeps "
            "these under another name for the files that need them"
        )
    if tables.latents is None:
        raise ManifestError(
            "the codec's tables do not cover latents, because the bundle they were fitted to has no encoder"
        )
    if tables.latents.latent_dim != bundle.vae.latent_dim:
        raise ManifestError("the codec's tables and the model have different numbers of latent dimensions")
    return tables.latents


def _pixel_network(tables: CodecTables) -> PixelNetwork:
    if tables.network is None:
        raise SpecError("the codec's tables are not for pixels: lossless compression only supports grey images")
    return tables.network
