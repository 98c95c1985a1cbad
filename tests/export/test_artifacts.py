"""The decoder inside a quantized generator."""

from dataclasses import replace

import numpy as np
import pytest

from pocketvae.bundle.manifest import FileRecord
from pocketvae.export import artifacts
from pocketvae.export.budgets import LimitRules
from pocketvae.export.original.goldens import NoiseFloor
from pocketvae.export.quantize.source import Source
from pocketvae.spec import ArtifactSpec, Component, Format, Precision
from pocketvae.vae_spec import VaeSpec, vector_latent

VAE = VaeSpec(data_shape=(2, 2, 1), latents=vector_latent(3))
DECODER = ArtifactSpec(component=Component.DECODER, precision=Precision.INT8, format=Format.ONNX)
OWN, NEW = (artifacts.Made(content=content, notes=("note",)) for content in (b"own", b"new"))


@pytest.fixture
def source():
    seeds = {name: np.arange(4, dtype=np.int32) for name in ("seed", "index")}

    def make(component, inputs, outputs, parts):
        return Source(
            component=component,
            model=None,
            vae=VAE,
            calibration={},
            golden_inputs=inputs,
            golden_outputs=outputs,
            parts=parts,
        )

    z = {"z": np.full((4, 3), 7, np.float32)}
    decoder = make(Component.DECODER, {"z": np.zeros((9, 3), np.float32)}, {"image": np.zeros((9, 2, 2, 1))}, {})
    sampler = make(Component.SAMPLER, seeds, z, {})
    parts = {Component.SAMPLER: sampler, Component.DECODER: decoder}
    return make(Component.GENERATOR, seeds, {"image": np.ones((4, 2, 2, 1), np.float32)}, parts)


def decoder_of(source, monkeypatch, error_ratio):
    """Returns the generator's decoder and what it was compared on and searched for on."""
    seen = []
    monkeypatch.setattr(artifacts, "_made", lambda spec, source, tolerances: OWN)
    monkeypatch.setattr(
        artifacts, "error_ratio_of", lambda _format, _content, here, _limits: seen.append(here) or error_ratio
    )
    monkeypatch.setattr(artifacts, "_convert", lambda spec, here, tolerances: seen.append(here) or NEW)
    return artifacts._decoder(DECODER, source, ()), seen


def test_a_decoder_that_holds_its_budget_on_the_generator_s_images_is_taken_over(source, monkeypatch):
    made, (compared,) = decoder_of(source, monkeypatch, 0.99)
    assert made == OWN
    np.testing.assert_array_equal(compared.golden_inputs["z"], np.full((4, 3), 7))
    np.testing.assert_array_equal(compared.golden_outputs["image"], np.ones((4, 2, 2, 1)))


@pytest.mark.parametrize("error_ratio", [1.01, float("inf")])
def test_one_that_does_not_is_quantized_anew_for_them(source, monkeypatch, error_ratio):
    made, (_, searched) = decoder_of(source, monkeypatch, error_ratio)
    assert (made.content, made.notes) == (b"new", ("quantized again for the latents of seeds", "note"))
    np.testing.assert_array_equal(searched.golden_inputs["z"], np.full((4, 3), 7))
    assert searched.component is Component.DECODER


def test_an_artifact_is_measured_against_the_limits_that_verify_holds_it_to(bundles, monkeypatch):
    """Optimizations of the runtime that differ widen the limits of a float file, of the error ratio too."""
    weight = bundles.right_weight()
    z = np.random.default_rng(0).normal(size=(4, bundles.LATENT)).astype(np.float32)
    image = (1 / (1 + np.exp(-(z @ weight)))).reshape(4, bundles.SIDE, bundles.SIDE, 1).astype(np.float32)
    source = Source(
        component=Component.DECODER,
        model=None,
        vae=VaeSpec(data_shape=image.shape[1:], latents=vector_latent(bundles.LATENT)),
        calibration={},
        golden_inputs={"z": z},
        golden_outputs={"image": image + np.float32(3e-5)},
    )
    rules = LimitRules(floor=NoiseFloor(float32={"image": 1e-6}, float16={}))
    spec = replace(DECODER, precision=Precision.FLOAT32)
    content = bundles.decoder_model(weight).SerializeToString()
    monkeypatch.setattr(artifacts, "_made", lambda *_: artifacts.Made(content=content, notes=()))
    monkeypatch.setattr(artifacts, "_rewrites", lambda *_: ())
    monkeypatch.setattr(artifacts, "kernel_spread", lambda *_: {"image": 5e-6})
    monkeypatch.setattr(artifacts, "overflow_note", lambda *_: "not finite")
    artifact = artifacts.make_artifact(spec, source, rules)
    (network,), (limit,) = rules.for_network(spec), artifact.record.tolerances
    assert (network.limit, limit.limit) == (pytest.approx(1e-5), pytest.approx(5e-5))
    # Against the limit of the network alone it would be 3: over the budget, and verify would pass it.
    assert artifact.error_ratio == pytest.approx(0.6, rel=0.05)
    assert artifact.record.file == FileRecord.of("decoder.float32.onnx", content)
    assert artifact.record.notes == ("not finite",)
