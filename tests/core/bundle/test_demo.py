"""The bundle inside the package, by its name."""

from pathlib import Path

import pytest

import pocketvae
from pocketvae.bundle.bundle import open_bundle
from pocketvae.bundle.demo import check_writable, demo_folder, located, named
from pocketvae.errors import SpecError


def test_the_name_is_the_packages_own_bundle(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert located("demo") == demo_folder()
    assert located(Path("demo/decoder.int8.tflite")) == demo_folder() / "decoder.int8.tflite"
    assert located("demos") == Path("demos")
    assert located("a/demo") == Path("a/demo")
    assert located("") == Path()


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch])
def test_a_file_or_folder_of_the_name_comes_first(tmp_path, monkeypatch, make):
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "demo")
    assert located("demo") == Path("demo")


def test_it_is_whole_and_has_what_an_app_needs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bundle = open_bundle("demo")
    assert bundle.path == demo_folder()
    names = {item.name for item in bundle.manifest.artifacts}
    kinds = [f"{precision}.{format}" for precision in ("float32", "int8") for format in ("tflite", "onnx")]
    assert {f"{part}.{kind}" for part in ("encoder", "decoder", "generator") for kind in kinds} <= names
    assert bundle.manifest.failures == ()
    # bench would load TensorFlow for it.
    assert bundle.manifest.original == {}
    assert bundle.manifest.licence == "Apache-2.0"


def test_python_opens_it_by_its_name(tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    monkeypatch.chdir(tmp_path)
    with pocketvae.open("demo") as models:
        image = models.generator("int8", "onnx").generate(7, 0)
    assert image.shape[-3:] == (28, 28, 1)
    assert image.max() > 0.5


def test_nothing_is_written_into_it(tmp_path):
    check_writable(tmp_path / "codec.npz", "--tables")
    with pytest.raises(SpecError, match=r"read-only: name a file of yours with --tables, or copy the folder .*demo"):
        check_writable(demo_folder() / "codec.npz", "--tables")


def test_it_is_named_as_the_user_writes_it():
    assert named(demo_folder()) == "demo"
    assert named(demo_folder() / "decoder.int8.tflite") == str(Path("demo/decoder.int8.tflite"))
    assert named(Path("bundle")) == "bundle"
    assert named("bench") == "bench"
