import json
import zipfile

import h5py
import pytest

from pocketvae.errors import ExportError
from pocketvae.keras.files import ModelKind, model_kind, read_header, under_its_ending
from pocketvae.keras.io import load_model
from pocketvae.keras.loading import open_model
from pocketvae.keras.model_form import Flavour

OLD_FIRST, NEW_FIRST = (Flavour.KERAS2, Flavour.KERAS3), (Flavour.KERAS3, Flavour.KERAS2)


def archive(path, version, config='{"class_name": "Functional"}'):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("metadata.json", json.dumps({"keras_version": version} if version else {}))
        file.writestr("config.json", config)
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
    (tmp_path / "m.pt").write_bytes(b"PK\x03\x04 weights")
    zipfile.ZipFile(tmp_path / "empty.keras", "w").writestr("notes.txt", "x")
    (tmp_path / "folder").mkdir()
    hdf5(tmp_path / "weights.h5", keras_version="2.4.0")
    for name, message in (
        ("none.keras", "does not exist"),
        ("empty.keras", "a zip archive without metadata.json and config.json, which a .keras file has"),
        ("m.keras", "is not a Keras model or is damaged"),
        ("m.h5", "is not a Keras model or is damaged"),
        ("m.pkl", "must be a .keras or .h5 file or a SavedModel folder"),
        ("m.pt", "PyTorch's weights, .*torch.onnx.export"),
        ("folder", "a folder must be a SavedModel"),
        ("weights.h5", "only holds weights: save the whole model"),
    ):
        with pytest.raises(ExportError, match=message):
            read_header(tmp_path / name)


LAMBDA = json.dumps({"class_name": "Model", "config": {"layers": [{"class_name": "Lambda", "config": {}}]}})


@pytest.mark.parametrize("name", ["m.keras", "m.h5", "m.bin", "m"])
@pytest.mark.parametrize("kind", ["archive", "hdf5"])
def test_a_model_is_recognised_by_content_and_not_by_name(tmp_path, monkeypatch, name, kind):
    if kind == "archive":
        path = archive(tmp_path / name, "3.0.0", LAMBDA)
    else:
        path = hdf5(tmp_path / name, model_config=LAMBDA, keras_version="2.15.0")
    assert read_header(path).flavours == (NEW_FIRST if kind == "archive" else OLD_FIRST)
    assert model_kind(path) is (ModelKind.ARCHIVE if kind == "archive" else ModelKind.HDF5)
    monkeypatch.setattr("pocketvae.keras.io.import_flavour", lambda _: pytest.fail("Keras was imported"))
    for flavour in Flavour:
        with pytest.raises(ExportError, match=r"it needs custom code \(Lambda\)"):
            load_model(path, flavour)
    with pytest.raises(ExportError, match=r"needs custom code \(Lambda\): pass --allow-custom-code"):
        open_model(path)


def test_keras_sees_a_file_under_the_ending_of_its_content(tmp_path):
    path = hdf5(tmp_path / "m.keras", model_config="{}")
    with under_its_ending(path, ModelKind.HDF5) as named:
        assert named.suffix == ".h5"
        assert named.read_bytes() == path.read_bytes()
    assert not named.exists()
    with under_its_ending(path, ModelKind.ARCHIVE) as named:
        assert named == path


def test_weights_in_other_files_are_refused(tmp_path):
    secret = tmp_path / "secret.bin"
    secret.write_bytes(b"0123")
    with h5py.File(tmp_path / "link.h5", "w") as file:
        file.attrs["model_config"] = "{}"
        file.create_group("a")["b"] = h5py.ExternalLink("other.h5", "x")
    with h5py.File(tmp_path / "storage.h5", "w") as file:
        file.attrs["model_config"] = "{}"
        file.create_dataset("w", (1,), "f4", external=[(str(secret), 0, 4)])
    with zipfile.ZipFile(archive(tmp_path / "m.keras", "3.0.0"), "a") as file:
        file.write(tmp_path / "storage.h5", "model.weights.h5")
    for name in ("link.h5", "storage.h5", "m.keras"):
        with pytest.raises(ExportError, match=r"refers? to another file"):
            read_header(tmp_path / name)


def test_an_archive_that_claims_more_than_it_has_is_refused(tmp_path):
    with zipfile.ZipFile(archive(tmp_path / "m.keras", "3.0.0"), "a", zipfile.ZIP_DEFLATED) as file:
        file.writestr("model.weights.h5", bytes(100 << 20))
    with pytest.raises(ExportError, match=r"its entries claim \d+ bytes"):
        read_header(tmp_path / "m.keras")


@pytest.mark.parametrize("config", ["[" * 200_000, "{", "[]", "\xff"])
def test_a_damaged_architecture_is_refused(tmp_path, config):
    with pytest.raises(ExportError, match="is not a Keras model or is damaged"):
        read_header(archive(tmp_path / "m.keras", "3.0.0", config))


def test_other_formats_are_named(tmp_path):
    (tmp_path / "m.keras").write_bytes(b"\x1c\0\0\0TFL3" + bytes(8))
    (tmp_path / "saved_model.pb").write_bytes(b"\x08\x01\x12\0")
    for name, message in (("m.keras", "is a TFLite file"), ("saved_model.pb", "is named by its folder: pass ")):
        with pytest.raises(ExportError, match=message):
            read_header(tmp_path / name)
