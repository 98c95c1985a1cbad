"""Which file becomes firmware."""

from dataclasses import replace

import pytest

from pocketvae.bundle.bundle import open_bundle
from pocketvae.errors import SpecError
from pocketvae.export.firmware.choice import choose_artifact
from pocketvae.spec import Component, ImageDtype, Precision


def test_a_decoder_where_there_is_no_scorer(bundle):
    assert choose_artifact(open_bundle(bundle).manifest).name == "decoder.float32.tflite"


def test_the_smallest_precision_is_the_default(bundle, recorded):
    recorded(bundle, b"other", precision=Precision.INT8)
    recorded(bundle, b"another", precision=Precision.INT8_IO)
    manifest = open_bundle(bundle).manifest
    assert choose_artifact(manifest).precision is Precision.INT8_IO
    assert choose_artifact(manifest, "decoder", "int8").precision is Precision.INT8


def test_what_does_not_fit_is_named(bundle, bundles, tmp_path):
    manifest = open_bundle(bundle).manifest
    with pytest.raises(SpecError, match=r"unknown component 'decodr': did you mean 'decoder'"):
        choose_artifact(manifest, "decodr")
    with pytest.raises(SpecError, match=r"unknown precision 'int9'"):
        choose_artifact(manifest, "", "int9")
    with pytest.raises(SpecError, match=r"no TFLite file of a encoder for firmware: it has decoder\.float32\.tflite$"):
        choose_artifact(manifest, "encoder")
    pixels = tuple(
        replace(
            item,
            image_dtype=ImageDtype.UINT8,
            file=replace(item.file, path=f"{item.component}.{item.precision}.uint8.{item.format}"),
        )
        for item in manifest.artifacts
        if item.component is Component.DECODER
    )
    with pytest.raises(
        SpecError, match=r"decoder\.float32\.uint8\.tflite takes or returns pixels: export with --image-dtype float32"
    ):
        choose_artifact(replace(manifest, artifacts=pixels), "decoder")
    with pytest.raises(SpecError, match=r"scorer or decoder in int8 for firmware"):
        choose_artifact(manifest, "", "int8")
    only_onnx = open_bundle(bundles.make_bundle(tmp_path / "onnx")).manifest
    with pytest.raises(SpecError, match=r"it has none$"):
        choose_artifact(replace(only_onnx))
