"""Model repositories for Triton, checked against the schema that its client carries."""

import hashlib
import importlib.util
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pocketvae.bundle.bundle import open_bundle
from pocketvae.bundle.manifest import FailureRecord
from pocketvae.cli import export, serving
from pocketvae.errors import OutputExistsError, SpecError
from pocketvae.export import ExportResult, check_triton, write_triton
from pocketvae.export.guide.triton import configuration
from pocketvae.spec import Format, TensorSpec


@pytest.fixture(scope="module")
def schema(tmp_path_factory):
    """The module with `ModelConfig` out of NVIDIA's client, whose pins do not fit those of the project's tools."""
    pytest.importorskip("google.protobuf", reason="protobuf is not installed")
    folder = tmp_path_factory.mktemp("tritonclient")
    words = ["install", "--quiet", "--no-deps", "--target", str(folder), "tritonclient==2.73.0"]
    done = subprocess.run([sys.executable, "-m", "pip", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"tritonclient cannot be had: {done.stderr.splitlines()[-1:]}")
    file = folder / "tritonclient" / "grpc" / "model_config_pb2.py"
    spec = importlib.util.spec_from_file_location("model_config_pb2", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def parsed(schema, text):
    from google.protobuf import text_format

    return text_format.Parse(text, schema.ModelConfig())


@pytest.fixture
def repository(tmp_path):
    folder = tmp_path / "models"
    names = write_triton(open_bundle("demo"), folder)
    return folder, names


def test_every_onnx_file_is_a_model_as_it_is(repository, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder, names = repository
    bundle = open_bundle("demo")
    files = {item.name: bundle.artifact_path(item) for item in bundle.manifest.artifacts if item.format is Format.ONNX}
    assert sorted(names) == sorted(name.removesuffix(".onnx").replace(".", "_") for name in files)
    for name, path in files.items():
        copy = folder / name.removesuffix(".onnx").replace(".", "_") / "1" / "model.onnx"
        assert hashlib.sha256(copy.read_bytes()).digest() == hashlib.sha256(path.read_bytes()).digest()


def test_configurations_are_what_the_server_reads(repository, schema):
    folder, names = repository
    for name in names:
        config = parsed(schema, (folder / name / "config.pbtxt").read_text("utf-8"))
        assert (config.name, config.platform, config.max_batch_size) == (name, "onnxruntime_onnx", 0)
    config = parsed(schema, (folder / "generator_int8" / "config.pbtxt").read_text("utf-8"))
    assert [(item.name, list(item.dims), item.data_type) for item in config.input] == [
        ("seed", [1], schema.TYPE_INT32),
        ("index", [1], schema.TYPE_INT32),
    ]
    assert [(item.name, list(item.dims), item.data_type) for item in config.output] == [
        ("image", [1, 28, 28, 1], schema.TYPE_FP32)
    ]


def test_several_batch_sizes_are_batched_by_the_server(schema):
    artifact = open_bundle("demo").manifest.artifact("decoder.int8.onnx")
    label = TensorSpec(name='a "label"', dtype="int32", shape=(1,))
    several = replace(artifact, batches=(1, 8, 32), inputs=(*artifact.inputs, label))
    config = parsed(schema, configuration(several))
    assert config.max_batch_size == 32
    assert list(config.dynamic_batching.preferred_batch_size) == [8, 32]
    assert [list(item.dims) for item in config.input] == [[16], [1]]
    assert config.input[1].name == 'a "label"'
    # One number an item: the server gives the model no size beside the batch.
    assert config.input[1].HasField("reshape")
    assert not config.input[0].HasField("reshape")


def request_of(page):
    return re.search(r"models/(\w+)/infer --data '(.+)'$", page, re.MULTILINE).groups()


def test_a_request_to_a_model_of_several_batch_sizes_has_the_batch_before_what_is_configured(schema, tmp_path):
    bundle = open_bundle("demo")
    several = tuple(replace(item, batches=(1, 8)) for item in bundle.manifest.artifacts)
    write_triton(replace(bundle, manifest=replace(bundle.manifest, artifacts=several)), tmp_path / "models")
    model, request = request_of((tmp_path / "models" / "README.md").read_text("utf-8"))
    config = parsed(schema, (tmp_path / "models" / model / "config.pbtxt").read_text("utf-8"))
    sent = {item["name"]: item["shape"] for item in json.loads(request)["inputs"]}
    assert sent == {item.name: [1, *item.dims] for item in config.input}


def test_the_request_of_the_readme_fits_the_model(repository):
    onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    import numpy as np

    folder, _ = repository
    page = (folder / "README.md").read_text("utf-8")
    model, request = request_of(page)
    session = onnxruntime.InferenceSession(str(folder / model / "1" / "model.onnx"))
    kinds = {"FP32": np.float32, "INT32": np.int32}
    feed = {
        item["name"]: np.array(item["data"], kinds[item["datatype"]]).reshape(item["shape"])
        for item in json.loads(request)["inputs"]
    }
    [image] = session.run(None, feed)
    assert image.shape == (1, 28, 28, 1)


def test_what_cannot_be_served_is_refused(tmp_path):
    bundle = open_bundle("demo")
    lite = tuple(item for item in bundle.manifest.artifacts if item.format is Format.TFLITE)
    with pytest.raises(SpecError, match="has no ONNX file, which Triton serves"):
        write_triton(replace(bundle, manifest=replace(bundle.manifest, artifacts=lite)), tmp_path / "models")
    failures = (FailureRecord(artifact="decoder.int8.onnx", reason="it has no kernel."),)
    with pytest.raises(SpecError, match="none could be made, decoder.int8.onnx because it has no kernel"):
        write_triton(
            replace(bundle, manifest=replace(bundle.manifest, artifacts=lite, failures=failures)), tmp_path / "models"
        )
    assert not (tmp_path / "models").exists()
    write_triton(bundle, tmp_path / "models")
    with pytest.raises(OutputExistsError, match="exists: choose another output"):
        write_triton(bundle, tmp_path / "models")


def test_what_others_put_into_a_repository_is_not_replaced(tmp_path):
    bundle, folder = open_bundle("demo"), tmp_path / "models"
    folder.mkdir()
    write_triton(bundle, folder, force=True)
    write_triton(bundle, folder, force=True)
    (folder / "theirs" / "1").mkdir(parents=True)
    with pytest.raises(OutputExistsError, match=r"models has files of yours, which --force would delete: theirs; "):
        write_triton(bundle, folder, force=True)
    assert (folder / "theirs" / "1").is_dir()
    project = tmp_path / "project"
    project.mkdir()
    for name in ("README.md", "main.py"):
        (project / name).touch()
    with pytest.raises(OutputExistsError, match=r"would delete: README.md, main.py; choose another folder"):
        write_triton(bundle, project, force=True)


@pytest.mark.parametrize("is_old", [False, True])
def test_a_version_that_others_added_to_a_model_and_an_edited_configuration_stay(tmp_path, is_old):
    bundle, folder = open_bundle("demo"), tmp_path / "models"
    write_triton(bundle, folder)
    record = folder / "pocketvae-models.json"
    if is_old:
        models = {name: value for name, value in json.loads(record.read_text("utf-8")).items() if name != "files"}
        record.write_text(json.dumps(models), "utf-8")
        check_triton(folder, force=True)
    (folder / "decoder_int8" / "2").mkdir()
    with pytest.raises(OutputExistsError, match="would delete: decoder_int8/2; "):
        write_triton(bundle, folder, force=True)
    assert (folder / "decoder_int8" / "2").is_dir()
    (folder / "decoder_int8" / "2").rmdir()
    config = folder / "decoder_int8" / "config.pbtxt"
    config.write_text(f"{config.read_text('utf-8')}instance_group {{ count: 2 }}\n", "utf-8")
    if not is_old:
        with pytest.raises(OutputExistsError, match="would delete: decoder_int8/config.pbtxt; "):
            write_triton(bundle, folder, force=True)
        assert config.read_text("utf-8").endswith("instance_group { count: 2 }\n")


def test_onnx_must_be_among_what_is_made(refused, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("decoder.keras").write_bytes(b"")
    words = ("export", "--decoder", "decoder.keras", "--out", "bundle", "--serving", "triton:models")
    refused("serves ONNX files, and none is to be made: add onnx", *words, "--formats", "tflite")
    refused("--android-test and --serving name the same", *words, "--android-test", "models")
    Path("models").mkdir()
    refused("models exists: choose another output", *words)
    Path("models/mine").touch()
    refused("models has files of yours, which --force would delete: mine; ", *words, "--force")
    assert not Path("bundle").exists()


def test_where_no_onnx_file_could_be_made_the_rest_is_written(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("decoder.keras").write_bytes(b"")
    manifest, written = open_bundle("demo").manifest, []
    lite = tuple(item for item in manifest.artifacts if item.format is Format.TFLITE)
    result = ExportResult(manifest=replace(manifest, artifacts=lite), over_budget={})
    monkeypatch.setattr(export, "_export", lambda *_: result)
    monkeypatch.setattr(serving, "_write_android_test", lambda *_: written.append(True))
    words = ("export", "--decoder", "decoder.keras", "--out", "bundle", "--android-test", "test")
    outcome = command(*words, "--serving", "triton:models")
    assert outcome.code == 1
    assert "no ONNX file could be made, and Triton serves no other: models was not written" in outcome.err
    assert written
    assert not Path("models").exists()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("triton", "--serving takes triton:DIR, such as triton:models, got 'triton'"),
        ("torchserve:models", "--serving takes triton:DIR"),
        ("triton:bundle/models", "--serving must be a folder beside --out"),
    ],
)
def test_where_it_goes_is_checked_before_anything_is_made(value, message, refused, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("decoder.keras").write_bytes(b"")
    refused(re.escape(message), "export", "--decoder", "decoder.keras", "--out", "bundle", "--serving", value)
    assert not Path("bundle").exists()
