"""What an app is made of: the generator that suits it, and what its view cannot draw."""

import base64
import json
from dataclasses import replace

import numpy as np
import pytest

from pocketvae.errors import SpecError
from pocketvae.export.app.plan import METRICS, plan_app
from pocketvae.fields import Condition, ConditionKind
from pocketvae.spec import Component, Format, ImageDtype
from pocketvae.vae_spec import DataKind, Output, VaeSpec

BOTH = (Format.TFLITE, Format.ONNX)


def with_vae(bundle, **changes):
    manifest = bundle.manifest
    return replace(bundle, manifest=replace(manifest, vae=replace(manifest.vae, **changes)))


def test_each_format_has_the_file_that_embed_md_recommends(demo):
    plan = plan_app(demo, BOTH, "Digits")
    assert {format: part.path for format, part in plan.parts.items()} == {
        Format.TFLITE: "generator.int8.tflite",
        Format.ONNX: "generator.int8.onnx",
    }
    assert plan.small_name == "digits"
    assert plan.label_count == 0


def test_a_precision_can_be_asked_for(demo):
    plan = plan_app(demo, BOTH, "Digits", "float32")
    assert {part.path for part in plan.parts.values()} == {"generator.float32.tflite", "generator.float32.onnx"}
    with pytest.raises(SpecError, match="unknown precision 'flot32'.*float32"):
        plan_app(demo, BOTH, "Digits", "flot32")
    with pytest.raises(SpecError, match="a file of int16x8 in .tflite, and the bundle has generator.float32.tflite"):
        plan_app(demo, (Format.TFLITE,), "Digits", "int16x8")


def test_a_file_that_misses_its_budget_comes_last(demo):
    manifest = demo.manifest
    found = manifest.artifact("decoder.int8.tflite").search
    missed = replace(found, chosen=replace(found.chosen, error_ratio=1.2))
    artifacts = tuple(
        replace(item, search=missed) if item.name == "decoder.int8.tflite" else item for item in manifest.artifacts
    )
    bundle = replace(demo, manifest=replace(manifest, artifacts=artifacts))
    names = {format: part.path for format, part in plan_app(bundle, BOTH, "Digits").parts.items()}
    assert names == {Format.TFLITE: "generator.float32.tflite", Format.ONNX: "generator.int8.onnx"}


def test_goldens_are_those_of_the_bundle(demo):
    plan = plan_app(demo, BOTH, "Digits")
    content = json.loads(plan.goldens())
    expected = demo.goldens(Component.GENERATOR)
    image = np.frombuffer(base64.b64decode(content["image"]), "<f4").reshape(expected.outputs["image"].shape)
    np.testing.assert_array_equal(image, expected.outputs["image"])
    assert content["inputs"] == {name: values.tolist() for name, values in expected.inputs.items()}
    limits = content["limits"]["generator.int8.tflite"]
    assert limits
    assert {item["metric"] for item in limits} <= set(METRICS)


def test_the_option_that_is_missing_is_named(demo):
    pixels = tuple(
        replace(
            item,
            image_dtype=ImageDtype.UINT8,
            outputs=tuple(replace(output, dtype="uint8") for output in item.outputs),
            file=replace(item.file, path=f"generator.{item.precision}.uint8.{item.format}"),
        )
        for item in demo.manifest.artifacts
        if item.component is Component.GENERATOR
    )
    bundle = replace(demo, manifest=replace(demo.manifest, artifacts=pixels))
    with pytest.raises(SpecError, match="export it with --image-dtype float32,uint8$"):
        plan_app(bundle, BOTH, "Digits")
    with pytest.raises(SpecError, match="export it with --precisions int16x8$"):
        plan_app(demo, BOTH, "Digits", "int16x8")
    onnx = tuple(item for item in demo.manifest.artifacts if item.format is Format.ONNX)
    bundle = replace(demo, manifest=replace(demo.manifest, artifacts=onnx))
    with pytest.raises(SpecError, match="export it with --formats tflite$"):
        plan_app(bundle, (Format.TFLITE,), "Digits")


def test_a_bundle_without_a_generator_is_refused(demo):
    artifacts = tuple(item for item in demo.manifest.artifacts if item.component is not Component.GENERATOR)
    bundle = replace(demo, manifest=replace(demo.manifest, artifacts=artifacts))
    with pytest.raises(SpecError, match="and the bundle has none: export it with --components"):
        plan_app(bundle, BOTH, "Digits")


def test_data_that_are_no_images_are_refused(demo):
    vae = replace(demo.manifest.vae, data=DataKind.VECTOR, data_shape=(12,))
    assert isinstance(vae, VaeSpec)
    with pytest.raises(SpecError, match="draws images, and this model makes a vector"):
        plan_app(replace(demo, manifest=replace(demo.manifest, vae=vae)), BOTH, "Digits")


def test_conditions_that_the_view_cannot_ask_for_are_refused(demo):
    pose = Condition(name="pose", kind=ConditionKind.CONTINUOUS, shape=(3,))
    with pytest.raises(SpecError, match="a seed and one class, and this model takes pose"):
        plan_app(with_vae(demo, conditions=(pose,)), BOTH, "Digits")
    assert plan_app(with_vae(demo, conditions=(Condition(count=10),)), BOTH, "Digits").label_count == 10


def test_several_outputs_are_refused(demo):
    scales = Output(name="log_scale", data=DataKind.IMAGE, shape=(28, 28, 1))
    with pytest.raises(SpecError, match="what a generator returns alone, and this one returns image and log_scale"):
        plan_app(with_vae(demo, more_outputs=(scales,)), BOTH, "Digits")
