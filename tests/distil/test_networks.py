from dataclasses import replace

import numpy as np
import pytest

from pocketvae.distil.students import Family, Student
from pocketvae.vae_spec import DataKind, Likelihood, VaeSpec, class_label, vector_latent

pytestmark = pytest.mark.slow

SHUFFLE = Student(family=Family.SHUFFLE, width=8, hidden=16, block=4, depth=1)
STAGES = Student(family=Family.STAGES, width=8, hidden=16, depth=2)
DENSE = Student(family=Family.DENSE, width=16, depth=2)


def vae(shape=(28, 28, 1), kind=DataKind.IMAGE, likelihood=Likelihood.BERNOULLI, labels=0, **more):
    return VaeSpec(
        data=kind,
        data_shape=shape,
        latents=vector_latent(3),
        likelihood=likelihood,
        conditions=class_label(labels),
        **more,
    )


def latents(count=5):
    return np.random.default_rng(0).normal(size=(count, 3)).astype(np.float32)


@pytest.mark.parametrize("student", [SHUFFLE, STAGES, DENSE])
@pytest.mark.parametrize("shape", [(28, 28, 1), (30, 17, 3)])
def test_every_kind_returns_images_of_the_teacher_s_shape(student, shape):
    from pocketvae.distil.networks import build_student

    assert build_student(student, vae(shape), 0)(latents()).shape == (5, *shape)


@pytest.mark.parametrize(
    ("student", "spec"),
    [
        (STAGES, vae((32, 3), DataKind.SEQUENCE, Likelihood.GAUSSIAN)),
        (DENSE, vae((9,), DataKind.VECTOR, Likelihood.GAUSSIAN)),
    ],
)
def test_sequences_and_vectors(student, spec):
    from pocketvae.distil.networks import build_student

    assert build_student(student, spec, 0)(latents()).shape == (5, *spec.data_shape)


@pytest.mark.parametrize("student", [SHUFFLE, STAGES, DENSE])
def test_a_label_changes_what_is_decoded(student):
    from pocketvae.distil.networks import build_student

    model = build_student(student, vae(labels=4), 0)
    z = latents()
    first, other = (np.asarray(model([z, np.full(5, label, np.int32)])) for label in (0, 3))
    assert np.abs(first - other).max() > 1e-3


def test_a_likelihood_with_two_outputs_has_two():
    from pocketvae.distil.networks import build_student

    outputs = build_student(SHUFFLE, vae((16, 16, 3), likelihood=Likelihood.DISCRETIZED_LOGISTIC), 0)(latents())
    assert [tuple(output.shape) for output in outputs] == [(5, 16, 16, 3)] * 2


def test_a_wide_student_has_a_narrow_layer_that_is_linear():
    from pocketvae.distil.networks import build_student

    student = Student(family=Family.SHUFFLE, width=8, hidden=256, block=4)
    waist = build_student(student, vae(), 0).get_layer("waist")
    assert (waist.units, waist.activation.__name__) == (student.waist, "linear") == (64, "linear")


def test_cells_of_more_channels_are_narrowed_for_the_convolutions():
    from pocketvae.distil.networks import build_student

    student = Student(family=Family.SHUFFLE, width=8, cells=16, hidden=16, block=4, depth=1)
    layers = build_student(student, vae(), 0).layers
    shapes = {layer.name: layer.get_weights()[0].shape for layer in layers if layer.weights}
    assert shapes["unflatten"] == (16, 7 * 7 * 16)
    assert shapes["narrowed"] == (1, 1, 16, 8)
    assert shapes["conv_0"] == (3, 3, 8, 8)


def test_convolutions_before_the_shuffle_are_residual():
    from pocketvae.distil.networks import build_student

    student = Student(family=Family.SHUFFLE, width=8, hidden=16, block=4, depth=2)
    deep, shallow = (build_student(replace(student, depth=depth), vae(), 0) for depth in (2, 0))
    for layer in (layer for layer in shallow.layers if layer.weights):
        layer.set_weights(deep.get_layer(layer.name).get_weights())
    for name in ("conv_0", "conv_1"):
        layer = deep.get_layer(name)
        layer.set_weights([np.zeros_like(values) for values in layer.get_weights()])
    np.testing.assert_array_equal(deep(latents()), shallow(latents()))


def test_bounded_students_have_bounded_activations():
    from pocketvae.distil.networks import build_student
    from pocketvae.keras.io import import_keras

    layers = build_student(replace(SHUFFLE, bounded=True), vae(), 0).layers
    bounds = [layer.max_value for layer in layers if isinstance(layer, import_keras().layers.ReLU)]
    assert bounds == [6, 6, 6]


def test_seeds_determine_the_weights_and_no_two_layers_begin_alike():
    from pocketvae.distil.networks import build_student

    student = Student(family=Family.SHUFFLE, width=8, hidden=16, block=4, depth=2)
    one, again, other = (build_student(student, vae(), seed) for seed in (1, 1, 2))
    for a, b in zip(one.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert any((a != b).any() for a, b in zip(one.get_weights(), other.get_weights(), strict=True))
    assert (one.get_layer("conv_0").get_weights()[0] != one.get_layer("conv_1").get_weights()[0]).any()


@pytest.mark.parametrize("block", [2, 4, 8])
def test_export_makes_the_shuffle_one_operator_of_the_same_values(block):
    from pocketvae.distil.conversion import convert, multiply_adds
    from pocketvae.distil.networks import build_student
    from pocketvae.formats.tflite.model import operator_name, view_model
    from pocketvae.runtimes.opening import open_runner
    from pocketvae.spec import Format

    student = Student(family=Family.SHUFFLE, width=8, hidden=16, block=block)
    model = build_student(student, vae((28, 28, 1)), 0)
    content = convert(model, vae(), user_supplied=False)
    file = view_model(content)
    operators = [operator_name(file, operator) for operator in file.subgraphs[0].operators]
    assert operators.count("DEPTH_TO_SPACE") == 1
    assert "TRANSPOSE" not in operators
    with open_runner(content, Format.TFLITE) as runner:
        found = runner.run_samples({"z": latents()})["image"]
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-np.asarray(model(latents())))), atol=1e-5)
    cells = -(-28 // block)
    assert multiply_adds(content) == 3 * 16 + 16 * 16 + 16 * cells**2 * 8 + cells**2 * 9 * 8 * block**2


def test_a_file_is_as_large_untrained_as_it_will_be_trained():
    from pocketvae.distil.conversion import convert
    from pocketvae.distil.networks import build_student, with_biases

    def size(model):
        return len(convert(model, vae(), user_supplied=False))

    untrained, trained = (build_student(SHUFFLE, vae(), 0) for _ in range(2))
    rng = np.random.default_rng(1)
    trained.set_weights([rng.normal(size=values.shape) for values in trained.get_weights()])
    assert size(untrained) < size(trained) - 1000
    # Names of layers differ in length.
    assert abs(size(with_biases(untrained, 0)) - size(trained)) < 50


@pytest.mark.parametrize(
    ("more", "inside"),
    [
        ({"likelihood": Likelihood.BERNOULLI}, (0, 1)),
        ({"likelihood": Likelihood.UNKNOWN}, (0, 1)),
        ({"likelihood": Likelihood.UNKNOWN, "data_range": (-1.0, 1.0)}, (-1, 1)),
        ({"likelihood": Likelihood.UNKNOWN, "data_range": (0.0, 255.0)}, (0, 255)),
        ({"likelihood": Likelihood.UNKNOWN, "range_is_strict": False}, None),
    ],
)
def test_a_user_supplied_student_stays_in_its_teacher_s_range(more, inside):
    from pocketvae.distil.networks import build_student, with_head

    spec = vae(**more)
    model = build_student(SHUFFLE, spec, 0)
    values = np.asarray(with_head(model, spec)(1000 * latents()))
    if inside is None:
        np.testing.assert_array_equal(values, model(1000 * latents()))
    else:
        assert inside[0] <= values.min() < values.max() <= inside[1]
        assert values.max() - values.min() > 0.9 * (inside[1] - inside[0])
