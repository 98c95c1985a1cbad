import numpy as np
import pytest

from pocketvae.distil.students import Family, Student
from pocketvae.train.config import Architecture
from pocketvae.vae_spec import Likelihood, VaeSpec, class_label, vector_latent

pytestmark = pytest.mark.slow

LABELS = 3


def vae(labels=0):
    return VaeSpec(
        data_shape=(16, 16, 1),
        latents=vector_latent(4),
        likelihood=Likelihood.BERNOULLI,
        conditions=class_label(labels),
    )


def network(labels=0, **changed):
    """A decoder of 20 hidden units and 4x4 cells of 8 channels, with biases."""
    from pocketvae.train.config import TrainConfig
    from pocketvae.train.networks import build_decoder

    config = TrainConfig(**{"latent_dim": 4, "channels": (4, 8), "hidden_units": 20, "seed": 7} | changed)
    model = build_decoder(config, vae(labels))
    rng = np.random.default_rng(0)
    weights = model.get_weights()
    model.set_weights([rng.normal(0, 0.1, values.shape) if values.ndim == 1 else values for values in weights])
    return model


def started(teacher, labels=0, **changed):
    """A student after `start_from_teacher`, what it returned, and inputs of both."""
    from pocketvae.distil.networks import build_student
    from pocketvae.distil.warm_start import start_from_teacher

    student = Student(
        **{"family": Family.SHUFFLE, "width": 4, "cells": 8, "hidden": 20, "block": 4, "depth": 1} | changed
    )
    model = build_student(student, vae(labels), 1)
    rng = np.random.default_rng(1)
    z = rng.normal(size=(300, 4)).astype(np.float32)
    inputs = [z, rng.integers(0, LABELS, 300).astype(np.int32)] if labels else z
    return model, start_from_teacher(model, student, teacher, inputs), inputs


def cells(model, name, inputs):
    from pocketvae.keras.io import import_keras

    return np.maximum(import_keras().Model(model.inputs, model.get_layer(name).output)(inputs), 0)


@pytest.mark.parametrize("labels", [0, LABELS])
@pytest.mark.parametrize("hidden", [80, 96])
def test_a_waist_that_is_wide_enough_makes_the_teacher_s_cells(labels, hidden):
    teacher = network(labels)
    model, done, inputs = started(teacher, labels, hidden=hidden)
    assert done
    np.testing.assert_allclose(cells(model, "cells", inputs), cells(teacher, "unflatten", inputs), atol=1e-4)


def test_a_narrow_waist_makes_them_nearly():
    teacher = network(hidden_units=60)
    model, done, inputs = started(teacher, hidden=64)
    assert done
    wanted, found = cells(teacher, "unflatten", inputs), cells(model, "cells", inputs)
    assert 1e-6 < np.mean((found - wanted) ** 2) < 0.05 * np.var(wanted)


def test_fewer_channels_are_those_of_the_teacher_that_vary_most():
    teacher = network()
    model, done, inputs = started(teacher, hidden=80, width=3, cells=0, depth=0)
    assert done
    wanted = cells(teacher, "unflatten", inputs)
    most = np.sort(np.argsort(-wanted.std(axis=0).mean(axis=(0, 1)))[:3])
    np.testing.assert_allclose(cells(model, "cells", inputs), wanted[..., most], atol=1e-4)


def test_more_channels_keep_their_first_weights():
    from pocketvae.distil.networks import build_student

    model, done, _ = started(network(), hidden=80, cells=16)
    assert done
    student = Student(family=Family.SHUFFLE, width=4, cells=16, hidden=80, block=4, depth=1)
    before, after = (
        m.get_layer("unflatten").get_weights()[0].reshape(20, 16, 16) for m in (build_student(student, vae(), 1), model)
    )
    np.testing.assert_array_equal(before[:, :, 8:], after[:, :, 8:])
    assert (before[:, :, :8] != after[:, :, :8]).all()


@pytest.mark.parametrize(
    ("teacher", "student"),
    [
        ({}, {"hidden": 16}),
        ({}, {"block": 2}),
        ({}, {"family": Family.DENSE, "depth": 2, "width": 32}),
        ({"architecture": Architecture.DENSE, "channels": ()}, {}),
    ],
)
def test_where_the_dense_layers_are_others_a_student_stays_as_it_is(teacher, student):
    from pocketvae.distil.networks import build_student

    model, done, _ = started(network(**teacher), **student)
    shape = {"family": Family.SHUFFLE, "width": 4, "cells": 8, "hidden": 20, "block": 4, "depth": 1} | student
    assert not done
    for a, b in zip(model.get_weights(), build_student(Student(**shape), vae(), 1).get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
