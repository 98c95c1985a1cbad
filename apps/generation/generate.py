"""Generation of images from the prior, by seed: one, a grid, or any number of files."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from pocketvae.apps.animation import PictureKind, check_channels, picture, pixels_of, single
from pocketvae.apps.choice import Choice
from pocketvae.apps.generation.conditions import EACH_LABEL, check_conditions, conditions_at
from pocketvae.apps.image_output import NUMBERED, array_file, check_space, write_numbered, written_count
from pocketvae.apps.sound_output import check_sound, write_sound
from pocketvae.apps.value_rows import check_rows, write_rows
from pocketvae.documents import decode, encode
from pocketvae.errors import DataError, OutputExistsError, SpecError
from pocketvae.kinds.registry import kind_of
from pocketvae.models.components import Decoder, Generator
from pocketvae.models.model_bundle import ModelBundle
from pocketvae.models.model_bundle import open as open_models
from pocketvae.numerics.normalization import for_user
from pocketvae.progress import Progress, ProgressCallback, ignore_progress
from pocketvae.spec import STRICT, Component
from pocketvae.system import files, folders
from pocketvae.system.limits import LARGEST_FLOAT32
from pocketvae.vae_spec import DataKind, VaeSpec

REQUEST_NAME = "request.json"
# All that is written into a folder.
REQUEST_FILES = (REQUEST_NAME, NUMBERED)
_CHUNK = 64
_GRID_LIMIT = 10_000
_INDEX_END = 2**31
_SEED_START = -(2**31)
# A PNG file takes at least one block of the disk.
_FILE_BYTES = 4096
# `[N, H, W, C] uint8` for images, `[N, *data_shape] float32` for other data.
Items = npt.NDArray[np.uint8] | npt.NDArray[np.float32]
# Makes the items of a request but for the first ones, which are done: as many as the third argument says.
Make: TypeAlias = (
    "Callable[[ModelBundle, GenerateRequest, int, ProgressCallback], AbstractContextManager[Iterator[Items]]]"
)


@dataclass(frozen=True, kw_only=True)
class GenerateRequest:
    """Which images.

    Attributes:
        seed: Stream of images, int32.
        start: Index of the first image in the stream.
        count: Number of images.
        temperature: Scales the noise; below 1 for fewer odd images and less variety.
        label: For a class-conditional VAE: a class, or `each` for all in turn.
        conditions: For a VAE with other conditions: numbers separated by commas, or `each`, by name.
        choice: Which decoder to use.

    Raises:
        SpecError: the seed or the indices leave the range of int32, or a number is out of range.
    """

    seed: int = 0
    start: int = 0
    count: int = 1
    temperature: float = 1.0
    label: int | str | None = None
    conditions: Mapping[str, str] = field(default_factory=dict)
    choice: Choice = field(default_factory=Choice)

    def __post_init__(self) -> None:
        if self.count < 1 or self.start < 0 or self.start + self.count > _INDEX_END:
            raise SpecError(
                f"count must be at least 1, start at least 0 and their sum at most 2^31, got count {self.count} and "
                f"start {self.start}"
            )
        if not _SEED_START <= self.seed < _INDEX_END:
            raise SpecError(f"seed must be an integer from -2^31 to 2^31 - 1, got {self.seed}")
        if not 0 <= self.temperature <= LARGEST_FLOAT32:
            raise SpecError(f"temperature must be finite and at least 0, got {self.temperature:g}")
        if isinstance(self.label, str) and self.label != EACH_LABEL:
            raise SpecError(f"label must be the number of a class, from 0 on, or {EACH_LABEL!r}, got {self.label!r}")

    def part(self, first: int, last: int) -> GenerateRequest:
        """Returns the request of some of its images, from `first` on, before `last`, both counted from `start`.

        Labels that are taken in turn go by the image's index in the stream, and so do not change.
        """
        return replace(self, start=self.start + first, count=last - first)


@dataclass(frozen=True, kw_only=True)
class FolderRequest:
    """The images that were requested for a folder, so that it is only resumed for the same images.

    Attributes:
        decoder: The file that makes them, a decoder or a generator.
        decoder_sha256: SHA-256 of that file.
        priors: SHA-256 of the files of a learned prior, which may be fitted again to the same decoder, by name.
    """

    __pydantic_config__ = STRICT
    schema_version: int = 1
    seed: int
    start: int
    count: int
    temperature: float
    label: int | str | None
    conditions: dict[str, str] = field(default_factory=dict)
    decoder: str
    decoder_sha256: str
    priors: dict[str, str] = field(default_factory=dict)


def generate(
    bundle: ModelBundle, request: GenerateRequest, progress: ProgressCallback = ignore_progress
) -> Iterator[Items]:
    """Yields items in order, up to 64 at a time: images `[N, H, W, C] uint8`, other data `[N, *data_shape] float32`.

    They are made by a decoder, or by a generator where the bundle has no decoders; both make the same.

    Raises:
        ManifestError: the bundle does not have this decoder or generator.
        SpecError: the label does not fit the VAE, or a generator is asked for another temperature than 1.
    """
    model = _model(bundle, request)
    check_conditions(bundle.vae, request.label, request.conditions)
    is_image = bundle.vae.data is DataKind.IMAGE
    for first in range(0, request.count, _CHUNK):
        number = np.arange(first, min(first + _CHUNK, request.count))
        index = request.start + number
        given = conditions_at(bundle.vae, request.label, request.conditions, index)
        if isinstance(model, Generator):
            seeds = np.full(len(index), request.seed)
            yield (model.generate_pixels if is_image else model.generate)(seeds, index, given)
        else:
            z = bundle.sample_latents(request.seed, index, temperature=request.temperature, label=given)
            yield (model.decode_pixels if is_image else model.decode)(z, given)
        progress(Progress(stage="generating", done=int(number[-1]) + 1, total=request.count))


@contextlib.contextmanager
def made_here(
    bundle: ModelBundle, request: GenerateRequest, done: int, progress: ProgressCallback
) -> Iterator[Iterator[Items]]:
    """Yields what `generate` returns: the `Make` of this process."""
    yield generate(bundle, request.part(done, request.count), progress)


def _model(bundle: ModelBundle, request: GenerateRequest) -> Decoder | Generator:
    """Returns what makes the images.

    Raises:
        ManifestError: the bundle does not have it.
        SpecError: only a decoder could be given scaled noise, and the bundle has none.
    """
    components = {artifact.component for artifact in bundle.manifest.artifacts}
    if Component.DECODER in components or Component.GENERATOR not in components:
        return request.choice.decoder(bundle)
    if request.temperature != 1:
        raise SpecError(
            f"the temperature must be 1 for a bundle that has generators but no decoders, got {request.temperature:g}"
        )
    return request.choice.generator(bundle)


def generate_to(
    path: Path,
    request: GenerateRequest,
    out: Path,
    *,
    columns: int | None = None,
    rate_hz: float | None = None,
    force: bool = False,
    resume: bool = False,
    make: Make = made_here,
    progress: ProgressCallback = ignore_progress,
) -> DataKind:
    """Writes items: one or a grid of them as `.png`, all of them as an `.npz` or `.csv`, or PNG files into a folder.

    Vectors and sequences are drawn in a `.png` as curves; a `.csv`, with a row each, is for them, a `.wav`, one behind
    the other, for sequences, and a folder for images.

    Args:
        path: The bundle.
        request: Which images.
        out: The output, whose extension decides; a name without one is a folder.
        columns: Columns of a grid; by default as many as rows.
        rate_hz: Samples in a second of a `.wav`; by default the model's own.
        force: Replace `out` if it exists.
        resume: Resume a folder that was interrupted.
        make: Makes the items of a request, in this process by default.
        progress: Called after every 64 images.

    Returns:
        The kind of what was written.

    Raises:
        SpecError: the label does not fit, the extension is unknown or not for this kind of data, or columns are
            requested without a grid.
        DataError: there are too many images for a grid or for the disk.
        OutputExistsError: `out` exists and `force` is off.
    """
    kind = out.suffix.lower()
    if kind not in ("", ".png", ".npz", ".csv", ".wav"):
        raise SpecError(f"the output must end in .png, .npz, .csv or .wav, or name a folder, got {out.name!r}")
    if resume and kind:
        raise SpecError(f"only a folder of images can be resumed, got {out.name!r}: leave out --resume")
    if columns is not None and kind != ".png":
        raise SpecError(f"only a .png has columns, got {out.name!r}: leave out --columns")
    if rate_hz is not None and kind != ".wav":
        raise SpecError(f"only a .wav has a rate, got {out.name!r}: leave out --rate")
    if columns is not None and columns < 1:
        raise SpecError(f"columns must be at least 1, got {columns}")
    files.check_output(out, force=force)
    with open_models(path) as bundle:
        _check(bundle, request)
        _check_kind(bundle.vae, kind)
        if kind == ".png":
            _check_picture(bundle.vae, request)
        elif kind == "":
            _write_folder(bundle, request, out, make, force=force, resume=resume, progress=progress)
            return bundle.vae.data
        rate = check_sound(bundle.vae, request.count, rate_hz) if kind == ".wav" else 0
        with make(bundle, request, 0, progress) as made:
            if kind == ".png":
                _write_picture(bundle.vae, made, out, columns, force=force)
            elif kind == ".wav":
                own = (for_user(items, bundle.vae) for items in made)
                write_sound(out, rate, bundle.vae.data_shape[1], own, force=force)
            elif kind == ".csv":
                write_rows(out, bundle.vae, made, first=request.start, force=force)
            else:
                _write_array(bundle.vae, request.count, made, out, force=force)
        return bundle.vae.data


def _check_kind(vae: VaeSpec, extension: str) -> None:
    """Checks that this kind of data goes into this kind of output."""
    plural = kind_of(vae.data).plural
    if extension == "" and vae.data is not DataKind.IMAGE:
        raise SpecError(f"a folder holds images, but the model makes {plural}: name an .npz, .csv or .png")
    if extension == ".csv":
        check_rows(vae, "makes")


def _check(bundle: ModelBundle, request: GenerateRequest) -> None:
    """Checks, before any work, that the label fits and that the decoder and the prior exist."""
    check_conditions(bundle.vae, request.label, request.conditions)
    if isinstance(_model(bundle, request), Decoder):
        start = np.array([request.start])
        given = conditions_at(bundle.vae, request.label, request.conditions, start)
        bundle.sample_latents(request.seed, start, temperature=request.temperature, label=given)


def _check_picture(vae: VaeSpec, request: GenerateRequest) -> None:
    if vae.data is DataKind.IMAGE:
        check_channels(vae.image_shape[2])
    if request.count > _GRID_LIMIT:
        plural = kind_of(vae.data).plural
        other = "a folder or .npz" if vae.data is DataKind.IMAGE else "an .npz"
        raise DataError(f"a grid holds at most {_GRID_LIMIT} {plural}, got {request.count}: use {other}")


def _write_picture(vae: VaeSpec, made: Iterator[Items], out: Path, columns: int | None, *, force: bool) -> None:
    images = np.concatenate([pixels_of(vae, items) for items in made])
    if len(images) == 1:
        files.write_bytes(out, single(images[0]), force=force)
        return
    columns = min(columns or int(np.ceil(np.sqrt(len(images)))), len(images))
    files.write_bytes(out, picture(images, columns, PictureKind.PNG, frame_ms=1), force=force)


def _write_array(vae: VaeSpec, count: int, made: Iterator[Items], out: Path, *, force: bool) -> None:
    shape, dtype = (count, *vae.data_shape), _dtype(vae)
    check_space(out.absolute().parent, int(np.prod(shape, dtype=np.int64)) * dtype.itemsize)
    with array_file(out, shape, force=force, name=kind_of(vae.data).plural, dtype=dtype) as append:
        for images in made:
            append(for_user(images, vae))


def _dtype(vae: VaeSpec) -> np.dtype[Any]:
    return np.dtype(np.uint8 if vae.data is DataKind.IMAGE else np.float32)


def _write_folder(
    bundle: ModelBundle,
    request: GenerateRequest,
    out: Path,
    make: Make,
    *,
    force: bool,
    resume: bool,
    progress: ProgressCallback,
) -> None:
    check_channels(bundle.vae.image_shape[2])
    check_space(out.absolute().parent, _missing(request, out, resume=resume) * _FILE_BYTES)
    wanted = _folder_request(bundle, request)
    with folders.resumable_directory(out, force=force, resume=resume, milestone=REQUEST_NAME) as folder:
        note = folder / REQUEST_NAME
        if note.exists():
            found = decode(FolderRequest, note.read_bytes(), str(note))
            if found != wanted:
                raise OutputExistsError(
                    f"{folder} holds images of another request: repeat the one in its {REQUEST_NAME}"
                )
        else:
            files.write_text(note, encode(wanted))
        done = written_count(folder, request.start, request.count)
        if done < request.count:
            with make(bundle, request, done, progress) as made:
                _write_rest(bundle.vae, request.start + done, made, folder)


def _missing(request: GenerateRequest, out: Path, *, resume: bool) -> int:
    """Returns the number of images that are still to be written."""
    unfinished = folders.unfinished_directory(out)
    if not (resume and unfinished.is_dir()):
        return request.count
    return request.count - written_count(unfinished, request.start, request.count)


def _write_rest(vae: VaeSpec, position: int, made: Iterator[Items], folder: Path) -> None:
    for images in made:
        write_numbered(folder, position, pixels_of(vae, images))
        position += len(images)


def _folder_request(bundle: ModelBundle, request: GenerateRequest) -> FolderRequest:
    artifact = _model(bundle, request).artifact
    return FolderRequest(
        seed=request.seed,
        start=request.start,
        count=request.count,
        temperature=request.temperature,
        label=request.label,
        conditions=dict(request.conditions),
        decoder=artifact.name,
        decoder_sha256=artifact.file.sha256,
        priors={item.name: item.file.sha256 for item in bundle.manifest.artifacts if item.component is Component.PRIOR},
    )
