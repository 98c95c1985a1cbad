from dataclasses import replace

import numpy as np
import pytest

from pocketvae.errors import DataError, SpecError

pytestmark = pytest.mark.slow


def quiet(_):
    pass


def teacher_of(bundle):
    from pocketvae.bundle.bundle import open_bundle
    from pocketvae.distil.teacher import Teacher

    return Teacher(open_bundle(bundle))


@pytest.fixture(scope="module")
def teacher(tiny_bundle):
    with teacher_of(tiny_bundle) as teacher:
        yield teacher


@pytest.fixture(scope="module")
def examples(tiny_run, mnist_npz):
    return loaded(tiny_run, mnist_npz)


def loaded(source, data):
    from pocketvae.distil.examples import load_examples
    from pocketvae.distil.source import open_source

    return load_examples(open_source(source), str(data), quiet)


def drawn(teacher, items, count=64, **changed):
    from pocketvae.distil.examples import draw_items

    return draw_items(teacher, items, count, **{"seed": 1, "stream": 0, "number": 5} | changed)


def test_an_item_is_what_a_student_has_to_return_for_a_latent_of_its_posterior(teacher, examples):
    latents, (x,) = drawn(teacher, examples.learned)
    assert x.shape == (64, 28, 28, 1)
    assert set(np.unique(x)) == {0.0, 1.0}
    posterior = teacher.encode(x, latents.labels)
    eps = (latents.z - posterior.z_mean) / np.exp(0.5 * posterior.z_log_var)
    assert np.std(eps) == pytest.approx(1, abs=0.2)
    grey = examples.learned.items[:] / 255.0
    for item in x[:10]:
        # Of one of the images: no pixel is white where that is black, or black where it is white.
        assert ((item <= np.ceil(grey)) & (item >= np.floor(grey))).all(axis=(1, 2, 3)).any()


def test_seed_stream_and_number_determine_them(teacher, examples):
    first, (x,) = drawn(teacher, examples.learned)
    again, (same,) = drawn(teacher, examples.learned)
    np.testing.assert_array_equal(again.z, first.z)
    np.testing.assert_array_equal(same, x)
    for changed in ({"seed": 2}, {"stream": 1}, {"number": 6}):
        _, (other,) = drawn(teacher, examples.learned, **changed)
        assert (other != x).any(axis=(1, 2, 3)).sum() > 32


def test_of_a_run_they_are_those_that_it_was_trained_with(examples, tiny_run, mnist_npz):
    from pocketvae.bundle.run import open_run

    assert len(examples.learned) == open_run(tiny_run).record.metrics["training_images"]
    assert 0 < len(examples.unseen) < len(examples.learned)
    assert examples.source == str(mnist_npz)
    assert len(examples.sha256) == 64


def test_other_items_have_another_identity(examples, tiny_run, mnist_npz, tmp_path):
    with np.load(mnist_npz) as file:
        arrays = dict(file)
    changed = next(iter(arrays))
    arrays[changed] = arrays[changed].copy()
    arrays[changed].flat[400] ^= 1
    np.savez(tmp_path / "other.npz", **arrays)
    assert loaded(tiny_run, tmp_path / "other.npz").sha256 != examples.sha256


def test_where_the_likelihood_is_unknown_the_teacher_says_what_to_return(teacher, examples, monkeypatch):
    from pocketvae.vae_spec import Likelihood

    monkeypatch.setattr(teacher, "vae", replace(teacher.vae, likelihood=Likelihood.UNKNOWN))
    latents, (x,) = drawn(teacher, examples.learned)
    np.testing.assert_array_equal(x, teacher.decode(latents))


def test_of_a_bundle_they_are_read_as_export_reads_them(tiny_bundle, teacher, mnist_npz):
    found = loaded(tiny_bundle, mnist_npz)
    latents, (x,) = drawn(teacher, found.learned)
    assert latents.z.shape == (64, teacher.vae.latent_dim)
    assert x.shape == (64, 28, 28, 1)


def test_what_cannot_be_learned_from_is_refused(tiny_run, tiny_bundle, tmp_path, command):
    for source in (tiny_run, tiny_bundle):
        with pytest.raises(DataError, match=r"nowhere"):
            loaded(source, tmp_path / "nowhere")
        np.savez(tmp_path / "small.npz", images=np.zeros((300, 8, 8, 1), np.uint8))
        with pytest.raises(DataError, match=r"images must be \(28, 28, 1\) as .*, got \(8, 8, 1\)"):
            loaded(source, tmp_path / "small.npz")
    words = ("--components", "decoder", "--precisions", "float32", "--formats", "tflite")
    assert command("export", tiny_run, "--out", tmp_path / "bundle", *words, "--quiet").code == 0
    with pytest.raises(SpecError, match="--data needs the teacher's encoder, .* the bundle has none"):
        loaded(tmp_path / "bundle", "mnist")
