import itertools

import pytest

from pocketvae.distil.students import Family, Student, families, is_supported
from pocketvae.vae_spec import DataKind, Likelihood, VaeSpec, vector_latent


def vae(shape, kind=DataKind.IMAGE):
    likelihood = Likelihood.BERNOULLI if kind is DataKind.IMAGE else Likelihood.GAUSSIAN
    return VaeSpec(data=kind, data_shape=shape, latents=vector_latent(4), likelihood=likelihood)


def shapes(of):
    groups = families(of, bounded=False)
    return {(group[0][0].family, group[0][0].block, group[0][0].depth) for group in groups}


def test_images_have_all_kinds_down_to_a_lowest_resolution_of_4():
    found = shapes(vae((28, 28, 1)))
    assert {family for family, _, _ in found} == set(Family)
    assert {block for family, block, _ in found if family is Family.SHUFFLE} == {2, 4, 8}
    assert {depth for family, _, depth in found if family is Family.STAGES} == {1, 2}


def test_a_small_image_has_no_block_that_leaves_few_cells():
    found = shapes(vae((8, 12, 1)))
    assert {block for family, block, _ in found if family is Family.SHUFFLE} == {2}


def test_sequences_have_stages_and_vectors_dense_layers_alone():
    assert {family for family, _, _ in shapes(vae((64, 3), DataKind.SEQUENCE))} == {Family.DENSE, Family.STAGES}
    assert {family for family, _, _ in shapes(vae((9,), DataKind.VECTOR))} == {Family.DENSE}
    assert not is_supported(vae((8, 8, 8, 1), DataKind.VOLUME))


def test_a_shuffle_has_twice_the_channels_behind_which_convolutions_are():
    for group in families(vae((28, 28, 1)), bounded=False):
        for student in (member for family in group for member in family if member.family is Family.SHUFFLE):
            assert student.cells == (2 * student.width if student.depth else 0)


def test_each_family_grows():
    for group in families(vae((28, 28, 1)), bounded=True):
        for family in group:
            assert all(a.hidden + a.width < b.hidden + b.width for a, b in itertools.pairwise(family))
            assert all(student.bounded for student in family)
        widths = [family[0].width for family in group]
        assert widths == sorted(set(widths))


@pytest.mark.parametrize(
    ("student", "text"),
    [
        (Student(family=Family.DENSE, width=64, depth=2), "2 hidden layers of 64 units"),
        (Student(family=Family.STAGES, width=8, depth=2, hidden=32), "stages of 8, 16 channels, 32 hidden units"),
        (
            Student(family=Family.SHUFFLE, width=16, block=4, depth=1, hidden=96),
            "shuffle of 4, 16 channels, 1 convolution before it, 96 hidden units, then 24",
        ),
        (
            Student(family=Family.SHUFFLE, width=16, block=4, cells=32, hidden=32),
            "shuffle of 4, 32 to 16 channels, 32 hidden units, then 16",
        ),
    ],
)
def test_a_student_says_what_it_is(student, text):
    assert student.text() == text
