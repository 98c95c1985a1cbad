"""`pocketvae.open`: a bundle's models as objects to call."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import pocketvae
from pocketvae.benchmarks import verify_bundle
from pocketvae.errors import DataError, ManifestError, NotFiniteValuesError, SpecError
from pocketvae.models.model_bundle import find_artifact
from pocketvae.models.scorers import Reconstructor, Scorer
from pocketvae.spec import TensorSpec
from pocketvae.vae_spec import DataKind, PriorKind, VaeSpec, vector_latent


@pytest.fixture(scope="module")
def path(tmp_path_factory, bundles):
    return bundles.make_bundle(tmp_path_factory.mktemp("open") / "b")


@pytest.fixture
def bundle(path):
    with pocketvae.open(path) as opened:
        yield opened


def test_paths_may_be_text(path):
    assert pocketvae.open_bundle(str(path)).path == path
    assert verify_bundle(str(path)).passed


def test_a_standard_normal_prior_needs_no_file(bundle):
    with pytest.raises(ManifestError, match=r"the bundle's prior is N\(0, I\), which needs no file"):
        bundle.prior()


def test_a_learned_prior_that_was_not_exported_is_not_called_standard(bundle):
    manifest = replace(bundle.manifest, vae=replace(bundle.vae, prior=PriorKind.REALNVP))
    with pytest.raises(ManifestError, match="the bundle has no prior: export it with --components prior"):
        find_artifact(manifest, pocketvae.Component.PRIOR, "float32", None)


def test_a_decoder_decodes_like_the_original(bundle):
    goldens = bundle.bundle.goldens(pocketvae.Component.DECODER)
    images = bundle.decoder().decode(goldens.inputs["z"])
    np.testing.assert_allclose(images, goldens.outputs["image"], atol=1e-6)
    one = bundle.decoder().decode(goldens.inputs["z"][0])
    assert np.array_equal(one[0], images[0])


def test_an_encoder_takes_pixels_and_intensities(bundle):
    pixels = np.arange(36, dtype=np.uint8).reshape(1, 6, 6, 1) * 7
    from_pixels = bundle.encoder().encode(pixels)
    from_floats = bundle.encoder().encode(pixels / np.float32(255))
    assert from_pixels.z_mean.shape == from_pixels.z_log_var.shape == (1, 3)
    assert np.array_equal(from_pixels.z_mean, from_floats.z_mean)


def test_pixels_are_the_image_rounded(bundle):
    z = bundle.sample_latents(3, np.arange(4))
    assert np.array_equal(
        bundle.decoder().decode_pixels(z), np.round(bundle.decoder().decode(z) * 255).astype(np.uint8)
    )


def test_latents_are_the_noise_scaled_by_the_temperature(bundle):
    noise = pocketvae.normal_noise(3, [5, 6], 3)
    assert np.array_equal(bundle.sample_latents(3, [5, 6]), noise)
    assert np.array_equal(bundle.sample_latents(3, [5, 6], temperature=0.5), noise * np.float32(0.5))
    assert not bundle.sample_latents(3, [5, 6], temperature=0).any()


def test_a_model_is_loaded_once_and_freed_with_the_bundle(path):
    with pocketvae.open(str(path)) as bundle:
        decoder = bundle.decoder()
        assert bundle.decoder(precision="float32", format="onnx") is decoder
    with pytest.raises(SpecError, match=r"decoder.float32.onnx is closed: open the bundle again"):
        decoder.decode(np.zeros((1, 3), np.float32))


def test_a_model_that_its_own_block_closed_is_loaded_again(bundle):
    with bundle.decoder() as decoder:
        first = decoder.decode(np.zeros((1, 3)))
    again = bundle.decoder()
    assert again is not decoder
    assert np.array_equal(again.decode(np.zeros((1, 3))), first)


@pytest.fixture
def demo():
    with pocketvae.open("demo") as opened:
        yield opened


def test_seeds_and_indices_are_as_many_or_one_for_all(demo):
    pair = demo.sampler().sample([1, 2], [3, 4])
    assert np.array_equal(demo.sampler().sample([1, 2], 3)[0], pair[0])
    for call in (demo.sampler().sample, demo.generator().generate):
        with pytest.raises(SpecError, match="seed and index must be as many, or one for all, got 3 and 2"):
            call([1, 2, 3], [1, 2])


class Integers:
    """A runner of a file that takes integers, which hold no number that is none."""

    def run_samples(self, inputs, image_range):
        x = np.nan_to_num(inputs["x"], nan=0.0)
        sums = x.sum(axis=1)
        return {"score": sums.sum(axis=1), "alarm": np.zeros(len(x), np.float32), "contributions": sums}

    def close(self):
        pass


def of_integers(kind, *before):
    """Returns a model of sequences without its file, which takes these inputs before its data."""
    model = kind.__new__(kind)
    model.vae = VaeSpec(data=DataKind.SEQUENCE, data_shape=(4, 2), latents=vector_latent(2))
    model.artifact = SimpleNamespace(
        name="x.int8_io.tflite", inputs=(*before, TensorSpec(name="x", dtype="float32", shape=(1, 4, 2)))
    )
    model._runner = Integers()
    return model


def test_an_item_that_is_not_finite_is_an_alarm_also_where_a_file_takes_integers():
    items = np.ones((3, 4, 2))
    items[1, 0, 1] = np.nan
    found = of_integers(Scorer).score(items)
    assert np.array_equal(found.score, np.array([8, np.nan, 8], np.float32), equal_nan=True)
    assert found.alarm.tolist() == [False, True, False]
    assert np.isnan(found.contributions[1]).all()
    assert np.isfinite(found.contributions[[0, 2]]).all()
    assert np.isnan(items).sum() == 1
    with pytest.raises(NotFiniteValuesError, match="sequences must be finite, got 1 values that are not"):
        of_integers(Reconstructor).reconstruct(items)


def test_a_label_may_stand_before_the_data_that_is_scored():
    scorer = of_integers(Scorer, TensorSpec(name="label", dtype="int32", shape=(1,)))
    assert scorer.score(np.ones((3, 4, 2))).score.tolist() == [8, 8, 8]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda b: b.decoder("int9"), SpecError, "unknown precision 'int9': did you mean 'int8'"),
        (lambda b: b.decoder("int8"), ManifestError, "has no int8 decoder: it has decoder.float32.onnx"),
        (lambda b: b.decoder(format="tflite"), ManifestError, "no float32 decoder as tflite"),
        (lambda b: b.decoder("int8_io", "onnx"), SpecError, "onnx does not support int8_io for a decoder: an ONNX QDQ"),
        (lambda b: b.generator(), ManifestError, "no generator: export it with --components generator"),
        (lambda b: b.decoder().decode(np.zeros((1, 4))), DataError, r"z must be \[N, 3\], got \[1, 4\]"),
        (lambda b: b.decoder().decode(np.full((1, 3), np.nan)), DataError, "z must be finite, got 3 values"),
        (lambda b: b.decoder().decode(np.zeros((1, 3)), label=1), SpecError, "does not take a label"),
        (lambda b: b.encoder().encode(np.zeros((1, 5, 6, 1), np.uint8)), DataError, r"must be \[N, 6, 6, 1\]"),
        (lambda b: b.encoder().encode(np.zeros((0, 6, 6, 1), np.uint8)), DataError, r"got \[0, 6, 6, 1\]"),
        (lambda b: b.encoder().encode(np.zeros((1, 6, 6, 1), int)), DataError, "must be uint8 or float, got int64"),
        (lambda b: b.encoder().encode(np.full((1, 6, 6, 1), 2.0)), DataError, r"must be in \[0, 1\], got 2 to 2"),
        (lambda b: b.encoder().encode(np.full((1, 6, 6, 1), np.nan)), DataError, r"must be in \[0, 1\], got nan"),
        (lambda b: b.sample_latents(0, [1], temperature=-1), SpecError, "temperature must be finite and at least 0"),
        (lambda b: b.sample_latents(2**31, [1]), SpecError, "seed must be an integer"),
    ],
)
def test_what_does_not_fit_is_refused(bundle, call, error, message):
    with pytest.raises(error, match=message):
        call(bundle)


def test_a_decoder_that_returns_nan_is_not_believed(tmp_path, bundles):
    weight = bundles.right_weight().copy()
    weight[0, 0] = np.nan
    path = bundles.make_bundle(tmp_path / "b", decoder=bundles.decoder_model(weight))
    with pocketvae.open(path) as bundle, pytest.raises(DataError, match="not finite in 'image': verify the bundle"):
        bundle.decoder().decode(np.ones((1, 3)))


@pytest.mark.slow
def test_every_artifact_of_a_real_bundle_can_be_called(tiny_bundle):
    with pocketvae.open(tiny_bundle) as bundle:
        z = bundle.sample_latents(1, np.arange(3))
        assert np.array_equal(bundle.sampler().sample(1, np.arange(3)), z)
        pixels = bundle.decoder().decode_pixels(z)
        for artifact in bundle.manifest.artifacts:
            if artifact.component is pocketvae.Component.DECODER:
                images = bundle.decoder(artifact.precision, artifact.format).decode(z)
                assert images.shape == (3, 28, 28, 1)
            elif artifact.component is pocketvae.Component.GENERATOR:
                bundle.generator(artifact.precision, artifact.format).generate(1, [0, 1])
            elif artifact.component is pocketvae.Component.ENCODER:
                bundle.encoder(artifact.precision, artifact.format).encode(pixels)


def test_threads_share_a_bundle_and_its_models(bundle):
    z = np.random.default_rng(0).normal(size=(64, bundle.vae.latent_dim)).astype(np.float32)
    with ThreadPoolExecutor(8) as pool:
        models = list(pool.map(lambda _: bundle.decoder(), range(64)))
        images = list(pool.map(lambda latent: models[0].decode(latent)[0], z))
    assert len(set(map(id, models))) == 1
    assert np.array_equal(np.stack(images), np.concatenate([models[0].decode(latent) for latent in z]))
