"""The codec's tables: fitted once, stored in the bundle as integers, referenced by every stream."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.apps.choice import Choice
from pocketvae.apps.compression.latent_tables import DEFAULT_QUALITY, LatentTables, fit_latent_tables
from pocketvae.apps.compression.pixel_network import PixelNetwork, Window
from pocketvae.apps.compression.pixel_training import PixelTraining, fit_pixel_network
from pocketvae.apps.compression.stream import ID_BYTES, unpack
from pocketvae.bundle.demo import is_in_demo
from pocketvae.data.array_files import open_npz
from pocketvae.errors import DataError, ManifestError, SpecError
from pocketvae.kinds.registry import kind_of
from pocketvae.models.components import Decoder, Encoder, Posterior
from pocketvae.models.model_bundle import ModelBundle
from pocketvae.parsing import shortened
from pocketvae.progress import Progress, ProgressCallback, ignore_progress
from pocketvae.runtimes.base import FloatArray
from pocketvae.spec import Component
from pocketvae.system import files
from pocketvae.vae_spec import DataKind, VaeSpec

TABLES_NAME = "codec.npz"
_FORMAT = 1
_ADVICE = "restore it from a copy, which files made with it need, or fit others with --fit --force"
# Tables of pocketvae are below 2 MB; what claims far more must not fill the memory.
_LARGEST_BYTES = 64 << 20
_NETWORK_ARRAYS = (
    "inputs",
    "rows",
    "columns",
    "hidden",
    "hidden_bias",
    "decisions",
    "decisions_bias",
    "squash",
)
# The histograms of latents are fitted to the posteriors of so many images.
_LATENT_IMAGES = 20_000
_CHUNK = 64
# A decoder may be far less sensitive than its narrow posteriors suggest: the unit is doubled as long as the default
# quality raises the squared error of so many images by less than this share.
_TRIAL_IMAGES = 256
_MIX_SEED = 0
_LOSS = 0.03
_DOUBLINGS = 8
# Without posteriors: so often that the default quality's step is at most half a standard deviation of the latents.
_DOUBLINGS_ALONE = 3

Array = npt.NDArray[np.generic]


@dataclass(frozen=True, kw_only=True, eq=False)
class CodecTables:
    """Everything that coding needs besides the decoder.

    Attributes:
        id: First 4 bytes of the SHA-256 of the file.
        decoder_id: Identifies the decoder that the latents are for, see `decoder_id`.
        latents: Tables for lossy files; None for a bundle without an encoder.
        network: Network for lossless files; None for other data than grey images.
    """

    id: bytes
    decoder_id: bytes
    latents: LatentTables | None
    network: PixelNetwork | None


def decoder_id(bundle: ModelBundle) -> bytes:
    """Identifies what a bundle's decoders compute, in any precision and format: by their goldens.

    Returns:
        The first 4 bytes of the SHA-256 of the hashes of golden latents and golden images.

    Raises:
        ManifestError: the bundle has no decoder.
    """
    return goldens_id(bundle, Component.DECODER)


def goldens_id(bundle: ModelBundle, component: Component) -> bytes:
    """Identifies what a component computes: `decoder_id` of any.

    Raises:
        ManifestError: the bundle does not have it.
    """
    golden = bundle.manifest.golden(component)
    hashes = [*golden.inputs.values(), *golden.outputs.values()]
    return hashlib.sha256(" ".join(record.sha256 for record in hashes).encode()).digest()[:ID_BYTES]


def check_data_return(vae: VaeSpec) -> None:
    """Checks that a decoder makes what an encoder takes.

    Raises:
        SpecError: it makes spectrograms of sounds, from which there is no way back.
    """
    if vae.log_mel is not None:
        raise SpecError(
            "compress keeps what a decoder can make again, which of sounds is spectrograms and not the sound: encode "
            "writes the latents"
        )


def fit_tables(
    bundle: ModelBundle,
    images: npt.NDArray[Any],
    labels: npt.NDArray[np.int32] | None,
    training: PixelTraining,
    choice: Choice | None = None,
    progress: ProgressCallback = ignore_progress,
) -> bytes:
    """Fits tables to images or other data like those that will be compressed; returns the content of the file.

    Args:
        bundle: The bundle whose encoder computes the latents.
        images: `[N, H, W, C] uint8`, other images than those that figures will be reported for; or
            `[N, *data_shape] float32` of data that are not images.
        labels: `[N] int32`, for a class-conditional VAE.
        training: How to train the pixel network.
        choice: Which encoder and decoder to use; float32 by default.
        progress: Called for both stages.

    Raises:
        DataError: the images do not fit the model.
        SpecError: the latent is integer codes, or nothing of the bundle can compress its kind of data.
    """
    vae = bundle.vae
    check_data_return(vae)
    if images.shape[1:] != vae.data_shape:
        raise DataError(f"the model takes {kind_of(vae.data).plural} of {vae.data_shape}, got {images.shape[1:]}")
    if vae.data is DataKind.IMAGE and images.dtype != np.uint8:
        raise DataError(f"images must be uint8 pixels of 0 to 255, got {images.dtype}")
    has_encoder = any(record.component is Component.ENCODER for record in bundle.manifest.artifacts)
    is_grey = vae.data is DataKind.IMAGE and vae.image_shape[2] == 1
    if not has_encoder and vae.data is not DataKind.IMAGE:
        raise SpecError("compress needs an encoder, which this bundle does not have: export with --encoder")
    arrays: dict[str, Array] = {
        "format": np.array(_FORMAT),
        "decoder_id": np.frombuffer(decoder_id(bundle), np.uint8),
    }
    if has_encoder:
        if vae.codes:
            vae.check_posterior("compress")
        some = _typical(images, vae)
        own = None if labels is None or vae.label_count == 0 else labels[some]
        models = choice or Choice()
        posterior = _posteriors(models.encoder(bundle), images[some], own, progress)
        tables = _coarsest_tables(models.decoder(bundle), images[some[:_TRIAL_IMAGES]], own, posterior)
        arrays |= {"latent_exponents": tables.exponents, "latent_counts": tables.counts}
    if is_grey:
        network = fit_pixel_network(np.ascontiguousarray(images[..., 0]), training, progress)
        arrays |= {f"network_{name}": getattr(network, name) for name in _NETWORK_ARRAYS}
        arrays["network_window"] = np.array([network.window.above, network.window.beside])
    file = io.BytesIO()
    np.savez_compressed(file, allow_pickle=False, **{name: _narrow(array) for name, array in arrays.items()})
    return file.getvalue()


def load_tables(path: Path) -> CodecTables:
    """Reads tables.

    Raises:
        ManifestError: they are missing, damaged or in another format.
    """
    if not path.is_file():
        apart = " --tables FILE" if is_in_demo(path) else ""
        raise ManifestError(f"{path} is missing: create it with pocketvae compress BUNDLE IMAGES --fit{apart}")
    if path.stat().st_size > _LARGEST_BYTES:
        raise ManifestError(f"{path} is damaged (it has {path.stat().st_size} bytes): {_ADVICE}")
    data = path.read_bytes()
    try:
        with open_npz(data, _LARGEST_BYTES) as archive:
            arrays: dict[str, Array] = {name: archive.read(name) for name in archive.names}
        _check_integers(arrays)
        if int(arrays["format"]) != _FORMAT:
            raise ManifestError(
                f"{path} has format version {int(arrays['format'])}, but this pocketvae reads version {_FORMAT}"
            )
        return CodecTables(
            id=_id_of(data),
            decoder_id=arrays["decoder_id"].astype(np.uint8).tobytes(),
            latents=_latents(arrays),
            network=_network(arrays),
        )
    except ManifestError:
        raise
    except Exception as e:  # numpy raises many unrelated types for a damaged archive
        raise ManifestError(f"{path} is damaged ({shortened(e)}): {_ADVICE}") from e


def find_tables(path: Path, data: bytes, name: str = "the stream") -> CodecTables:
    """Reads the tables that a compressed file was made with: those at a path, or those kept beside it.

    Args:
        path: Path of the tables.
        data: Content of the compressed file.
        name: Its name, for errors.

    Raises:
        ManifestError: neither are those that it was made with.
        DataError: the file is of another kind, truncated or damaged.
    """
    wanted = unpack(data, name).tables_id
    for place in dict.fromkeys((path, *(_kept(found, wanted) for found in (path, path.resolve())))):
        if place.is_file() and place.stat().st_size <= _LARGEST_BYTES and _id_of(place.read_bytes()) == wanted:
            return load_tables(place)
    raise ManifestError(
        f"{name} needs the tables {wanted.hex()}, but {path} {_state(path)}: use the bundle that it was made with, or "
        f"name the file of its tables with --tables; no other tables can read it, nor can new ones"
    )


def keep_tables(path: Path, new: bytes) -> Path | None:
    """Copies what new tables will replace to a name with its id, where `find_tables` looks: files need it.

    Returns:
        Path of the copy; None if there is nothing at the path, nothing else, or something too large for tables.

    Raises:
        OSError: the folder is not writable or full.
    """
    place = path.resolve() if path.is_symlink() else path
    if files.is_stream(place) or not place.is_file() or place.stat().st_size > _LARGEST_BYTES:
        return None
    old = place.read_bytes()
    if old == new:
        return None
    kept = _kept(place, _id_of(old))
    if not kept.exists():
        files.write_new(kept, old)
    return kept


def _kept(path: Path, tables_id: bytes) -> Path:
    return path.with_name(f"{path.stem}.{tables_id.hex()}{path.suffix}")


def _id_of(data: bytes) -> bytes:
    return bytes.fromhex(files.sha256_bytes(data))[:ID_BYTES]


def _state(path: Path) -> str:
    if not path.is_file():
        return "is missing"
    try:
        return f"has {load_tables(path).id.hex()}"
    except ManifestError:
        return "is damaged"


def _check_integers(arrays: dict[str, Array]) -> None:
    for name, array in arrays.items():
        if array.dtype.kind not in "iu" or array.size == 0:
            raise ValueError(f"{name!r} must hold integers, got {array.size} of {array.dtype}")
    if arrays["decoder_id"].shape != (ID_BYTES,):
        raise ValueError(f"'decoder_id' must be {ID_BYTES} bytes, got {arrays['decoder_id'].shape}")


def _posteriors(
    encoder: Encoder,
    images: npt.NDArray[Any],
    labels: npt.NDArray[np.int32] | None,
    progress: ProgressCallback,
) -> Posterior:
    parts = []
    for first in range(0, len(images), _CHUNK):
        part = slice(first, first + _CHUNK)
        parts.append(encoder.encode(images[part], None if labels is None else labels[part]))
        progress(Progress(stage="latents", done=min(first + _CHUNK, len(images)), total=len(images)))
    return Posterior.joined(parts)


def _typical(images: npt.NDArray[Any], vae: VaeSpec) -> npt.NDArray[np.intp]:
    """Returns indices of the items that latents are fitted to; windows of recordings come in the order of time."""
    numbers = np.arange(len(images))
    if vae.data is not DataKind.IMAGE:
        numbers = np.random.default_rng(_MIX_SEED).permutation(numbers)
    return numbers[:_LATENT_IMAGES]


def _coarsest_tables(
    decoder: Decoder,
    images: npt.NDArray[Any],
    labels: npt.NDArray[np.int32] | None,
    posterior: Posterior,
) -> LatentTables:
    own = None if labels is None else labels[: len(images)]
    z = posterior.z_mean[: len(images)]
    decode = decoder.decode_pixels if decoder.vae.data is DataKind.IMAGE else decoder.decode

    def error(latents: FloatArray) -> float:
        decoded = decode(latents, own)
        return float(np.mean(np.square(decoded.astype(np.float64) - images)))

    most = (1 + _LOSS) * error(z)
    tables = fit_latent_tables(posterior)
    most_doublings = _DOUBLINGS_ALONE if posterior.z_log_var is None else _DOUBLINGS
    for doublings in range(1, most_doublings + 1):
        coarser = fit_latent_tables(posterior, doublings=doublings)
        if error(coarser.latents(coarser.symbols(z, DEFAULT_QUALITY), DEFAULT_QUALITY)) > most:
            break
        tables = coarser
    return tables


def _latents(arrays: dict[str, Array]) -> LatentTables | None:
    if "latent_counts" not in arrays:
        return None
    return LatentTables(
        exponents=arrays["latent_exponents"].astype(np.int64), counts=arrays["latent_counts"].astype(np.int64)
    )


def _network(arrays: dict[str, Array]) -> PixelNetwork | None:
    if "network_window" not in arrays:
        return None
    above, beside = (int(value) for value in arrays["network_window"])
    parts = {name: arrays[f"network_{name}"].astype(np.int64) for name in _NETWORK_ARRAYS}
    return PixelNetwork(window=Window(above=above, beside=beside), **parts)


def _narrow(array: Array) -> Array:
    """Returns integers in 32 bits if they fit, which halves the file."""
    fits = array.dtype == np.int64 and np.abs(array).max(initial=0) < 2**31
    return array.astype("<i4") if fits else array
