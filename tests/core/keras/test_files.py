import json
import zipfile

import h5py
import pytest

from pocketvae.errors import ExportError
from pocketvae.keras.files import read_header
from pocketvae.keras.model_form import Flavour

OLD_FIRST, NEW_FIRST = (Flavour.KERAS2, Flavour.KERAS3), (Flavour.KERAS3, Flavour.KERAS2)


def archive(path, version):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("metadata.json", json.dumps({"keras_version": version} if version else {}))
        file.writestr("config.json", json.dumps({"class_name": "Functional"}))
    return path


def hdf5(path, **attributes):
    with h5py.File(path, "w") as file:
        file.attrs.update(attributes)
    return path


@pytest.mark.parametrize(
    ("version", "order"), [("2.21.0", OLD_FIRST), ("3.15.1", NEW_FIRST), ("4.0.0", NEW_FIRST), ("", NEW_FIRST)]
)
def test_an_archive_names_its_flavour(tmp_path, version, order):
    header = read_header(archive(tmp_path / "m.keras", version))
    assert (header.keras_version, header.flavours) == (version, order)
    assert header.config == {"class_name": "Functional"}


@pytest.mark.parametrize(
    ("attributes", "order"),
    [({"keras_version": "2.4.0"}, OLD_FIRST), ({"keras_version": b"3.0.0"}, NEW_FIRST), ({}, OLD_FIRST)],
)
def test_an_hdf5_file_names_its_flavour(tmp_path, attributes, order):
    assert read_header(hdf5(tmp_path / "m.h5", model_config="{}", **attributes)).flavours == order


def test_a_folder_is_a_saved_model(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"")
    assert read_header(tmp_path).flavours == (Flavour.SAVED_MODEL,)


def test_what_is_no_model_is_refused(tmp_path):
    (tmp_path / "m.keras").write_bytes(b"no zip")
    (tmp_path / "m.h5").write_bytes(b"no hdf5")
    (tmp_path / "m.pkl").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    hdf5(tmp_path / "weights.h5", keras_version="2.4.0")
    for name, message in (
        ("none.keras", "does not exist"),
        ("m.keras", "is not a Keras model or is damaged"),
        ("m.h5", "is not a Keras model or is damaged"),
        ("m.pkl", "must be a .keras or .h5 file or a SavedModel folder"),
        ("folder", "a folder must be a SavedModel"),
        ("weights.h5", "it only holds weights"),
    ):
        with pytest.raises(ExportError, match=message):
            read_header(tmp_path / name)
