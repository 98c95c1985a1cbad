"""The project for iOS: Swift takes the types of every file in both modes of the language."""

from dataclasses import replace

import pytest

from pocketvae.export.app.ios import ios_files
from pocketvae.export.app.plan import plan_app
from pocketvae.spec import Format


def coloured(bundle):
    """The bundle as if it made colours."""
    height, width, _ = bundle.manifest.vae.image_shape
    vae = replace(bundle.manifest.vae, data_shape=(height, width, 3))
    return replace(bundle, manifest=replace(bundle.manifest, vae=vae))


@pytest.mark.slow
def test_swift_takes_the_package(demo, labelled, tmp_path, write_files, check_swift_package):
    digits = write_files(ios_files(plan_app(demo, (Format.ONNX,), "Digits")), tmp_path / "digits")
    check_swift_package(digits, "Digits")
    faces = write_files(ios_files(plan_app(coloured(labelled), (Format.ONNX,), "Faces")), tmp_path / "faces")
    view = (faces / "Sources/Faces/FacesView.swift").read_text("utf-8")
    assert 'Stepper("Class \\(label)", value: $label, in: 0...9)' in view
    assert "all.append(pixels[first + 2])" in view
    check_swift_package(faces, "Faces")


def renamed(bundle, name):
    """The bundle as if its class had another name."""
    manifest = bundle.manifest
    (label,) = manifest.vae.conditions
    artifacts = tuple(
        replace(item, inputs=tuple(replace(each, name=name) if each.name == "label" else each for each in item.inputs))
        for item in manifest.artifacts
    )
    goldens = tuple(
        replace(item, inputs={name if key == "label" else key: file for key, file in item.inputs.items()})
        for item in manifest.goldens
    )
    vae = replace(manifest.vae, conditions=(replace(label, name=name),))
    return replace(bundle, manifest=replace(manifest, vae=vae, artifacts=artifacts, goldens=goldens))


@pytest.mark.slow
def test_a_class_may_be_called_as_a_variable_of_the_project(labelled, tmp_path, write_files, check_swift_package):
    files = ios_files(plan_app(renamed(labelled, "size"), (Format.ONNX,), "Faces"))
    assert "model.generate(seed: seed, index: $0, size: label)" in files["Sources/Faces/FacesView.swift"]
    check_swift_package(write_files(files, tmp_path / "faces"), "Faces")


@pytest.mark.slow
def test_what_would_not_compile_is_noticed(demo, tmp_path, write_files, check_swift_package):
    folder = write_files(ios_files(plan_app(demo, (Format.ONNX,), "Digits")), tmp_path / "digits")
    view = folder / "Sources/Digits/DigitsView.swift"
    view.write_text(view.read_text("utf-8").replace("seed: seed, count", "seed: 1.5, count"), "utf-8")
    with pytest.raises(AssertionError, match="cannot convert value of type 'Double'"):
        check_swift_package(folder, "Digits")


def test_the_package_holds_model_goldens_and_runtime(demo):
    files = ios_files(plan_app(demo, (Format.ONNX,), "Digits"))
    package = files["Package.swift"]
    assert '.copy("Resources/generator.int8.onnx"), .copy("Resources/goldens.json")' in package
    assert {"Sources/Digits/Resources/generator.int8.onnx", "Sources/Digits/Resources/goldens.json"} <= set(files)
    assert "import OnnxRuntimeBindings" in files["Sources/Digits/Models.swift"]
    assert "Bundle.module.path(" in files["Sources/Digits/Models.swift"]
