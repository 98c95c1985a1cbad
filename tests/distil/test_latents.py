import numpy as np
import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def teacher(tiny_bundle):
    from pocketvae.bundle.bundle import open_bundle
    from pocketvae.distil.teacher import Teacher

    with Teacher(open_bundle(tiny_bundle)) as teacher:
        yield teacher


def drawn(teacher, **changed):
    from pocketvae.distil.latents import draw

    return draw(teacher, **{"count": 64, "seed": 1, "stream": 0, "number": 5} | changed)


def test_half_are_of_the_prior_and_a_quarter_each_of_posteriors_and_tails(teacher):
    assert {kind: len(latents.z) for kind, latents in drawn(teacher).items()} == {
        "prior": 32,
        "posterior": 16,
        "tails": 16,
    }


def test_seed_stream_and_number_determine_them(teacher):
    first = drawn(teacher)
    for kind, latents in drawn(teacher).items():
        np.testing.assert_array_equal(latents.z, first[kind].z)
    for changed in ({"seed": 2}, {"stream": 1}, {"number": 6}):
        for kind, latents in drawn(teacher, **changed).items():
            assert (latents.z != first[kind].z).all(axis=1).any()


def test_each_of_the_tails_has_a_coordinate_far_out(teacher):
    z = drawn(teacher)["tails"].z
    assert (np.abs(z).max(axis=1) >= 3).all()
    assert np.abs(z).max() <= 4


def test_posteriors_are_narrower_than_the_prior_around_other_latents(teacher):
    from pocketvae.distil.latents import draw

    posterior = draw(teacher, 512, seed=0, stream=2, number=0)["posterior"]
    pictures = teacher.decode(posterior)
    again = teacher.encode(pictures, posterior.labels).z_mean
    # What they were drawn for is what they decode to: their latents are found again.
    assert np.mean((again - posterior.z) ** 2) < 0.6 * np.mean((again[::-1] - posterior.z) ** 2)


def test_without_an_encoder_they_are_of_the_prior_and_its_tails(teacher, monkeypatch):
    monkeypatch.setattr(teacher, "_encoder", None)
    assert {kind: len(latents.z) for kind, latents in drawn(teacher).items()} == {"prior": 48, "tails": 16}
