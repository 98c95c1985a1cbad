"""Files and folders that hold a Keras model: recognised by content, their headers read without loading the model."""

from __future__ import annotations

import contextlib
import enum
import io
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pocketvae.errors import ExportError, missing_package
from pocketvae.keras.checkpoints import checkpoint_prefix
from pocketvae.keras.flavours import differs_between_flavours
from pocketvae.keras.model_form import Flavour
from pocketvae.keras.saved_model import FILE as SAVED_MODEL_FILE
from pocketvae.parsing import parse_json, shortened
from pocketvae.system.temporary import temporary_directory

_ENDINGS = (".keras", ".h5", ".hdf5")
_PYTORCH = (".pt", ".pth", ".pt2", ".ckpt", ".safetensors")
_WEIGHTS, _DOCUMENTS = "model.weights.h5", ("metadata.json", "config.json")
# An archive of Keras is stored as it is; one that claims far more than it has must not fill the memory.
_GROWTH, _ALWAYS_BYTES = 20, 64 << 20


class ModelKind(enum.StrEnum):
    """What a model is, by its content; the value is the ending by which Keras knows it."""

    ARCHIVE = ".keras"
    HDF5 = ".h5"
    SAVED_MODEL = ""
    ONNX = ".onnx"


_SIGNATURES = {ModelKind.ARCHIVE: b"PK\x03\x04", ModelKind.HDF5: b"\x89HDF\r\n\x1a\n"}


@dataclass(frozen=True, kw_only=True)
class ModelHeader:
    """The header of a model file.

    Attributes:
        kind: What it is.
        keras_version: Version of the Keras that wrote it; empty if unknown.
        config: The architecture as Keras' JSON; empty for a SavedModel.
        flavours: Flavours to try when loading it, most likely first; only one if the other would compute other values.
    """

    kind: ModelKind
    keras_version: str
    config: Any
    flavours: tuple[Flavour, ...]


def model_kind(path: Path) -> ModelKind:
    """Recognises a model by its first bytes, whatever it is called.

    Raises:
        ExportError: it does not exist, or is neither an archive of Keras nor an HDF5 file nor a SavedModel folder.
    """
    is_saved_model = (path / SAVED_MODEL_FILE).is_file()
    if not is_saved_model and checkpoint_prefix(path) is not None:
        raise ExportError(
            f"{path} is a checkpoint, which only holds weights: name the function that builds the model with "
            f"--code model.py:build_decoder"
        )
    if not path.exists():
        raise ExportError(f"{path} does not exist")
    if path.is_dir():
        if (path / "config.json").is_file() and (path / _WEIGHTS).is_file():
            raise ExportError(
                f"{path} is an unpacked .keras file: pack it again, as with cd {path} && zip -r ../model.keras ."
            )
        if not is_saved_model:
            raise ExportError(f"a folder must be a SavedModel, but {path} does not contain {SAVED_MODEL_FILE}")
        return ModelKind.SAVED_MODEL
    if not path.is_file():
        raise ExportError(f"a model must be a file or a folder, but {path} is a device or a pipe")
    try:
        with path.open("rb") as file:
            start = file.read(16)
    except OSError as e:
        raise ExportError(f"{path} cannot be read: {e.strerror or e}") from e
    is_pytorch = path.suffix.lower() in _PYTORCH
    for kind, signature in _SIGNATURES.items():
        # PyTorch's files are zip archives, too.
        if start.startswith(signature) and not (is_pytorch and kind is ModelKind.ARCHIVE):
            return kind
    if is_pytorch:
        raise ExportError(
            f"{path} is a file of PyTorch's weights, which pocketvae does not read: export the decoder with "
            f"torch.onnx.export(decoder.eval(), (z,), 'decoder.onnx') and pass --decoder decoder.onnx"
        )
    if path.suffix.lower() == ModelKind.ONNX:
        return ModelKind.ONNX
    if start[4:8] == b"TFL3":
        raise ExportError(
            f"a model must be a .keras or .h5 file or a SavedModel folder, or .onnx, but {path} is a TFLite file"
        )
    if path.name == SAVED_MODEL_FILE:
        raise ExportError(f"a SavedModel is named by its folder: pass {path.parent}")
    if path.suffix.lower() == ".json":
        raise ExportError(
            f"{path} is an architecture without weights: save the whole model with model.save(), or pass the file of "
            f"weights with --decoder and a function that builds the model with --code model.py:build_decoder"
        )
    if path.suffix.lower() in _ENDINGS:
        raise ExportError(
            f"{path} is not a Keras model or is damaged: it is neither a zip archive (.keras) nor an HDF5 file (.h5)"
        )
    raise ExportError(f"a model must be a .keras or .h5 file or a SavedModel folder, or an .onnx file, got {path}")


def read_header(path: Path) -> ModelHeader:
    """Reads the header of a model.

    Raises:
        ExportError: see `model_kind`; or it is damaged, holds only weights, or refers to other files.
        TargetError: h5py is not installed.
    """
    kind = model_kind(path)
    if kind is ModelKind.SAVED_MODEL:
        return ModelHeader(kind=kind, keras_version="", config={}, flavours=(Flavour.SAVED_MODEL,))
    if kind is ModelKind.ONNX:
        return ModelHeader(kind=kind, keras_version="", config={}, flavours=(Flavour.ONNX,))
    h5py = _import_h5py()
    try:
        read = _read_archive if kind is ModelKind.ARCHIVE else _read_hdf5
        version, config = read(h5py, path)
    except _WeightsAloneError as e:
        raise ExportError(f"{path} only holds weights: {e}") from e
    except Exception as e:  # zipfile, zlib, json and h5py raise a dozen unrelated types for damaged files
        reason = shortened(str(e) or type(e).__name__)
        raise ExportError(f"{path} is not a Keras model or is damaged: {reason}") from e
    order = _order(version, kind)
    flavours = order[:1] if differs_between_flavours(config) else order
    return ModelHeader(kind=kind, keras_version=version, config=config, flavours=flavours)


class _WeightsAloneError(ValueError):
    """The file is right, but holds no architecture; the message says what helps."""


@contextlib.contextmanager
def under_its_ending(path: Path, kind: ModelKind) -> Iterator[Path]:
    """Yields a path of the same content with the ending by which Keras chooses its reader.

    Keras goes by a file's name, so a file is never given to another reader than the one it was examined for.
    """
    if path.suffix == kind.value:
        yield path
        return
    with temporary_directory() as folder:
        named = folder / f"model{kind.value}"
        shutil.copyfile(path, named)
        yield named


def _order(version: str, kind: ModelKind) -> tuple[Flavour, ...]:
    old_first = (Flavour.KERAS2, Flavour.KERAS3)
    if version:
        return old_first if version.split(".")[0] in ("0", "1", "2") else old_first[::-1]
    return old_first if kind is ModelKind.HDF5 else old_first[::-1]


def _read_archive(h5py: Any, path: Path) -> tuple[str, Any]:
    with zipfile.ZipFile(path) as archive:
        claimed = sum(entry.file_size for entry in archive.infolist())
        if claimed > _GROWTH * path.stat().st_size + _ALWAYS_BYTES:
            raise ValueError(f"its entries claim {claimed} bytes")
        missing = [name for name in _DOCUMENTS if name not in archive.namelist()]
        if missing:
            raise ValueError(f"it is a zip archive without {' and '.join(missing)}, which a .keras file has")
        metadata, config = (parse_json(archive.read(name)) for name in _DOCUMENTS)
        if not isinstance(metadata, dict) or not isinstance(config, dict):
            raise ValueError("metadata.json and config.json must hold objects")
        if _WEIGHTS in archive.namelist():
            with h5py.File(io.BytesIO(archive.read(_WEIGHTS)), "r") as file:
                _check_references(h5py, file)
        return str(metadata.get("keras_version", "")), config


def _read_hdf5(h5py: Any, path: Path) -> tuple[str, Any]:
    with h5py.File(path, "r") as file:
        config = _text(file.attrs.get("model_config", ""))
        if not config:
            raise _WeightsAloneError(
                "save the whole model with model.save(), or name the function that builds it with --code "
                "model.py:build_decoder"
            )
        _check_references(h5py, file)
        return _text(file.attrs.get("keras_version", "")), parse_json(config)


def _check_references(h5py: Any, file: Any) -> None:
    """Refuses weights that lie in other files: they could be any file of this machine."""
    seen, waiting = set(), [file]
    while waiting:
        group = waiting.pop()
        for name in group:
            if isinstance(group.get(name, getlink=True), h5py.ExternalLink):
                raise ValueError(f"its entry {shortened(name, 60)} refers to another file")
            item = group[name]
            address = h5py.h5o.get_info(item.id).addr
            if isinstance(item, h5py.Dataset) and (item.external or item.is_virtual):
                raise ValueError(f"its weights {shortened(name, 60)} refer to another file")
            # Groups may contain themselves.
            if isinstance(item, h5py.Group) and address not in seen:
                seen.add(address)
                waiting.append(item)


def _import_h5py() -> Any:
    try:
        import h5py
    except ImportError as e:
        raise missing_package("h5py", "export") from e
    return h5py


def _text(value: Any) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)
