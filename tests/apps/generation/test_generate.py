"""Images from the prior, by seed, as pictures, arrays and folders."""

import errno
import importlib
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

import pocketvae
from pocketvae.apps import Choice, GenerateRequest, generate_to, image_output
from pocketvae.apps.generation.generate import _folder_request, generate
from pocketvae.bundle.manifest import ArtifactRecord, CalibrationRecord, FileRecord, Manifest
from pocketvae.documents import encode
from pocketvae.errors import DataError, ManifestError, OutputExistsError, SpecError
from pocketvae.spec import Component, Format, Precision, TensorSpec
from pocketvae.vae_spec import VaeSpec, class_label, vector_latent

# The package exports a function of the same name.
generate_module = importlib.import_module("pocketvae.apps.generation.generate")


@pytest.fixture(scope="module")
def path(tmp_path_factory, bundles):
    return bundles.make_bundle(tmp_path_factory.mktemp("generate") / "b")


def all_images(path, request):
    with pocketvae.open(path) as bundle:
        return np.concatenate(list(generate(bundle, request)))


def test_an_image_depends_on_its_seed_and_index_alone(path):
    images = all_images(path, GenerateRequest(seed=4, count=150))
    assert images.shape == (150, 6, 6, 1)
    assert np.array_equal(all_images(path, GenerateRequest(seed=4, start=70, count=3)), images[70:73])
    assert not np.array_equal(all_images(path, GenerateRequest(seed=5, count=3)), images[:3])


def test_no_temperature_gives_one_image(path):
    images = all_images(path, GenerateRequest(count=3, temperature=0))
    assert (images == 128).all()  # the decoder of a latent of zeros is a sigmoid of 0


def test_a_folder_and_an_array_hold_the_same_images(path, tmp_path):
    request = GenerateRequest(seed=1, count=70)
    generate_to(path, request, tmp_path / "images.npz")
    generate_to(path, request, tmp_path / "folder")
    with np.load(tmp_path / "images.npz", allow_pickle=False) as archive:
        images = archive["images"]
    assert np.array_equal(images, all_images(path, request))
    assert sorted(file.name for file in (tmp_path / "folder").glob("*.png"))[-1] == "000069.png"
    for index in (0, 69):
        assert np.array_equal(np.asarray(Image.open(tmp_path / "folder" / f"{index:06}.png")), images[index, ..., 0])


def test_one_image_is_a_plain_png_and_several_are_a_grid(path, tmp_path):
    generate_to(path, GenerateRequest(), tmp_path / "one.png")
    generate_to(path, GenerateRequest(count=4), tmp_path / "four.png")
    assert Image.open(tmp_path / "one.png").size == (6, 6)
    assert Image.open(tmp_path / "four.png").size == (36, 36)


def stop_after(chunks):
    def progress(_):
        nonlocal chunks
        chunks -= 1
        if chunks == 0:
            raise KeyboardInterrupt

    return progress


def test_an_interrupted_folder_is_gone_on_with(path, tmp_path):
    request, out = GenerateRequest(count=200), tmp_path / "folder"
    with pytest.raises(KeyboardInterrupt) as caught:
        generate_to(path, request, out, progress=stop_after(3))
    assert caught.value.__notes__ == ["folder.unfinished keeps the progress: continue with --resume"]
    assert not out.exists()
    kept = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "folder.unfinished").glob("*.png")}
    assert len(kept) == 192
    with pytest.raises(OutputExistsError, match="holds images of another request"):
        generate_to(path, GenerateRequest(count=201), out, resume=True)
    generate_to(path, request, out, resume=True)
    files = {file.name: file.stat().st_mtime_ns for file in out.glob("*.png")}
    assert len(files) == 200
    assert {name: files[name] for name in kept} == kept
    last = all_images(path, request)[-1, ..., 0]
    assert np.array_equal(np.asarray(Image.open(out / "000199.png")), last)
    assert json.loads((out / "request.json").read_text())["count"] == 200


def test_a_folder_is_only_gone_on_with_by_the_same_prior(path):
    request = GenerateRequest(count=200)
    with pocketvae.open(path) as opened:
        plain = _folder_request(opened, request)
        decoder = next(item for item in opened.manifest.artifacts if item.component is Component.DECODER)
        file = replace(decoder.file, path="prior.float32.onnx", sha256="1" * 64)
        prior = replace(decoder, component=Component.PRIOR, file=file)
        fitted = SimpleNamespace(artifacts=(*opened.manifest.artifacts, prior))
        stand_in = SimpleNamespace(manifest=fitted, vae=opened.vae, decoder=opened.decoder)
        learned = _folder_request(stand_in, request)
    assert plain.priors == {}
    assert learned == replace(plain, priors={prior.name: "1" * 64})


def test_images_that_a_power_cut_has_emptied_are_made_again(path, tmp_path):
    request, out = GenerateRequest(count=200), tmp_path / "folder"
    with pytest.raises(KeyboardInterrupt):
        generate_to(path, request, out, progress=stop_after(3))
    unfinished = tmp_path / "folder.unfinished"
    (unfinished / "000100.png").write_bytes(b"")
    whole = (unfinished / "000150.png").read_bytes()
    (unfinished / "000150.png").write_bytes(whole[: len(whole) // 2])
    generate_to(path, request, out, resume=True)
    for number, image in enumerate(all_images(path, request)):
        assert np.array_equal(np.asarray(Image.open(out / f"{number:06d}.png")), image[..., 0])


def test_an_interrupted_array_leaves_nothing(path, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        generate_to(path, GenerateRequest(count=200), tmp_path / "images.npz", progress=stop_after(2))
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_named_and_leaves_nothing(path, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(image_output, "_append", full)
    with pytest.raises(OSError, match=r"No space left on device.*images\.npz"):
        generate_to(path, GenerateRequest(count=3), tmp_path / "images.npz")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        ({"count": 0}, SpecError, "count must be at least 1"),
        ({"count": 2**31}, None, None),
        ({"count": 2**31, "start": 1}, SpecError, r"their sum at most 2\^31"),
        ({"count": 10**14}, SpecError, "got count 100000000000000 and start 0"),
        ({"seed": 2**31}, SpecError, r"seed must be an integer from -2\^31 to 2\^31 - 1, got 2147483648"),
        ({"seed": -(2**31) - 1}, SpecError, "seed must be"),
        ({"temperature": -1.0}, SpecError, "temperature must be finite and at least 0, got -1"),
        ({"temperature": float("nan")}, SpecError, "temperature must be finite and at least 0, got nan"),
        ({"label": "all"}, SpecError, "label must be the number of a class, from 0 on, or 'each', got 'all'"),
    ],
)
def test_requests_are_checked_when_they_are_made(call, error, message):
    if error is None:
        GenerateRequest(**call)
        return
    with pytest.raises(error, match=message):
        GenerateRequest(**call)


@pytest.mark.parametrize(
    ("request_", "out", "error", "message"),
    [
        (GenerateRequest(label=1), "x.png", SpecError, "does not take a label"),
        (GenerateRequest(label="each"), "x.png", SpecError, "needs a class-conditional VAE"),
        (GenerateRequest(count=10_001), "x.png", DataError, "a grid holds at most 10000 images"),
        (GenerateRequest(label=1), "x", SpecError, "does not take a label"),
        (GenerateRequest(choice=Choice(precision=Precision.INT8)), "x", ManifestError, "has no int8 decoder"),
        (GenerateRequest(count=2), "x.jpg", SpecError, "must end in .png, .npz, .csv or .wav, or name a folder"),
        (GenerateRequest(choice=Choice(num_threads=1)), "no/x.png", DataError, "folder must exist"),
    ],
)
def test_what_cannot_be_written_is_refused_before_any_work(path, tmp_path, request_, out, error, message):
    with pytest.raises(error, match=message):
        generate_to(path, request_, tmp_path / out)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def small_disk(monkeypatch):
    """A disk with room for 100 files, whatever machine the tests run on."""
    usage = SimpleNamespace(total=0, used=0, free=100 * 4096)
    monkeypatch.setattr(image_output.shutil, "disk_usage", lambda _: usage)


def test_a_disk_without_room_is_said_before_any_work(path, tmp_path, small_disk):
    with pytest.raises(DataError, match=r"needs about 0\.000414 GB, but .* has 0\.00041 GB free"):
        generate_to(path, GenerateRequest(count=101), tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


def test_what_is_written_already_needs_no_room(path, tmp_path, monkeypatch):
    request, out = GenerateRequest(count=200), tmp_path / "folder"
    with pytest.raises(KeyboardInterrupt):
        generate_to(path, request, out, progress=stop_after(3))
    monkeypatch.setattr(image_output.shutil, "disk_usage", lambda _: SimpleNamespace(free=8 * 4096))
    generate_to(path, request, out, resume=True)
    assert len(list(out.glob("*.png"))) == 200


@pytest.mark.parametrize(("label", "message"), [(None, "pass --label 0 to 2, or --label each"), (3, "must be 0 to 2")])
def test_a_label_that_does_not_fit_leaves_no_folder(path, tmp_path, monkeypatch, label, message):
    opened = pocketvae.open(path)
    object.__setattr__(opened.manifest.vae, "conditions", class_label(3))
    monkeypatch.setattr(generate_module, "open_models", lambda _: opened)
    with pytest.raises(SpecError, match=message):
        generate_to(path, GenerateRequest(label=label), tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("columns", "out", "message"),
    [
        (0, "x.png", "columns must be at least 1, got 0"),
        (-5, "x.png", "columns must be at least 1, got -5"),
        (3, "x.npz", "only a .png has columns, got 'x.npz'"),
        (3, "x", "only a .png has columns, got 'x'"),
    ],
)
def test_columns_are_of_a_grid(path, tmp_path, columns, out, message):
    with pytest.raises(SpecError, match=message):
        generate_to(path, GenerateRequest(count=4), tmp_path / out, columns=columns)
    assert list(tmp_path.iterdir()) == []
    generate_to(path, GenerateRequest(count=4), tmp_path / "x.png", columns=10**9)
    assert Image.open(tmp_path / "x.png").size == (68, 20)


@pytest.fixture
def generators(tmp_path, bundles):
    """A bundle of a generator alone, whose image is as dark as its index."""
    folder = tmp_path / "g"
    folder.mkdir()
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT32, [1]) for name in ("seed", "index")]
    output = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 6, 6, 1])
    constants = {"scale": np.float32([255]), "shape": np.int64([1, 6, 6, 1])}
    nodes = [
        helper.make_node("Cast", ["index"], ["number"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["number", "scale"], ["grey"]),
        helper.make_node("Expand", ["grey", "shape"], ["image"]),
    ]
    weights = [numpy_helper.from_array(values, name) for name, values in constants.items()]
    graph = helper.make_graph(nodes, "g", inputs, [output], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "generator.float32.onnx")
    content = (folder / "generator.float32.onnx").read_bytes()
    record = ArtifactRecord(
        component=Component.GENERATOR,
        precision=Precision.FLOAT32,
        format=Format.ONNX,
        file=FileRecord.of("generator.float32.onnx", content),
        inputs=tuple(TensorSpec(name=name, dtype="int32", shape=(1,)) for name in ("seed", "index")),
        outputs=(TensorSpec(name="image", dtype="float32", shape=(1, 6, 6, 1)),),
        tolerances=(),
    )
    calibration = CalibrationRecord(seed=0, latents=(), image_count=0, sha256="")
    vae = VaeSpec(data_shape=(6, 6, 1), latents=vector_latent(3))
    manifest = Manifest(name="g", vae=vae, artifacts=(record,), goldens=(), calibration=calibration, original={})
    (folder / "manifest.json").write_text(encode(manifest))
    return folder


def test_a_bundle_of_generators_alone_generates(generators, tmp_path):
    request = GenerateRequest(start=7, count=3)
    assert [int(image[0, 0, 0]) for image in all_images(generators, request)] == [7, 8, 9]
    generate_to(generators, request, tmp_path / "folder")
    assert json.loads((tmp_path / "folder" / "request.json").read_text())["decoder"] == "generator.float32.onnx"
    with pytest.raises(SpecError, match=r"must be 1 for a bundle that has generators but no decoders, got 0\.5"):
        generate_to(generators, GenerateRequest(temperature=0.5), tmp_path / "x.png")
