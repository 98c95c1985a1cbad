"""Files and folders that hold a Keras model: their headers, read without loading the model."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pocketvae.errors import ExportError, missing_package
from pocketvae.keras.model_form import Flavour

_KERAS, _HDF5 = (".keras",), (".h5", ".hdf5")


@dataclass(frozen=True, kw_only=True)
class ModelHeader:
    """The header of a model file.

    Attributes:
        keras_version: Version of the Keras that wrote it; empty if unknown.
        config: The architecture as Keras' JSON; empty for a SavedModel.
        flavours: Flavours to try when loading it, most likely first.
    """

    keras_version: str
    config: Any
    flavours: tuple[Flavour, ...]


def read_header(path: Path) -> ModelHeader:
    """Reads the header of a model.

    Raises:
        ExportError: it does not exist, is not a `.keras` or `.h5` file or a SavedModel folder, or holds only weights.
        TargetError: h5py is not installed.
    """
    if not path.exists():
        raise ExportError(f"{path} does not exist")
    if path.is_dir():
        if not (path / "saved_model.pb").is_file():
            raise ExportError(f"a folder must be a SavedModel, but {path} does not contain saved_model.pb")
        return ModelHeader(keras_version="", config={}, flavours=(Flavour.SAVED_MODEL,))
    suffix = path.suffix.lower()
    if suffix not in _KERAS + _HDF5:
        raise ExportError(f"a model must be a .keras or .h5 file or a SavedModel folder, got {path}")
    try:
        version, config = _read_archive(path) if suffix in _KERAS else _read_hdf5(path)
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as e:
        raise ExportError(f"{path} is not a Keras model or is damaged: {str(e).strip() or type(e).__name__}") from e
    return ModelHeader(keras_version=version, config=config, flavours=_order(version, suffix))


def _order(version: str, suffix: str) -> tuple[Flavour, ...]:
    old_first = (Flavour.KERAS2, Flavour.KERAS3)
    if version:
        return old_first if version.split(".")[0] in ("0", "1", "2") else old_first[::-1]
    return old_first if suffix in _HDF5 else old_first[::-1]


def _read_archive(path: Path) -> tuple[str, Any]:
    with zipfile.ZipFile(path) as archive:
        metadata = json.loads(archive.read("metadata.json"))
        return str(metadata.get("keras_version", "")), json.loads(archive.read("config.json"))


def _read_hdf5(path: Path) -> tuple[str, Any]:
    try:
        import h5py
    except ImportError as e:
        raise missing_package("h5py", "export") from e
    with h5py.File(path, "r") as file:
        config = _text(file.attrs.get("model_config", ""))
        if not config:
            raise ValueError("it only holds weights; save the whole model with model.save()")
        return _text(file.attrs.get("keras_version", "")), json.loads(config)


def _text(value: Any) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)
