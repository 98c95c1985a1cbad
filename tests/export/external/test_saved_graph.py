"""Functions of SavedModels as graphs: where they draw, with which mean and spread, and parts of them."""

import numpy as np
import pytest
import tensorflow as tf

from pocketvae.errors import ExportError
from pocketvae.export.external.saved_graph import saved_graph
from pocketvae.keras.loading import open_model
from pocketvae.keras.model_form import Role
from tests.export.external.saved_vaes import Whole, X


def graph_of(function, inputs=("x",), outputs=("image",)):
    return saved_graph(function.get_concrete_function(), list(inputs), list(outputs))


@pytest.mark.parametrize(
    ("step", "role"),
    [
        ("log_var", Role.LOG_VAR),
        ("halved", Role.LOG_VAR),
        ("sqrt_exp", Role.LOG_VAR),
        ("log_std", Role.LOG_STD),
        ("var", Role.VAR),
        ("std", Role.STD),
    ],
)
def test_it_finds_mean_and_spread_of_what_is_drawn(step, role):
    model = Whole(step=step)
    graph = graph_of(model.whole)
    (drawn,) = graph.samplings()
    assert drawn.role is role
    mean, spread = graph.run({graph.inputs["x"]: X}, [drawn.mean, drawn.spread])
    own_mean, own_spread = (value.numpy() for value in model.moments(X))
    np.testing.assert_allclose(mean, own_mean, atol=1e-6)
    wanted = {
        Role.VAR: np.exp(own_spread) + 0.1,
        Role.STD: np.log1p(np.exp(own_spread)),
    }.get(role, own_spread)
    np.testing.assert_allclose(spread, wanted, rtol=1e-5, atol=1e-6)


def test_noise_of_another_kind_or_size_is_not_taken_for_a_sampling():
    model = Whole(noise="uniform")
    assert graph_of(model.whole).samplings() == []

    @tf.function(input_signature=[tf.TensorSpec((None, 3))])
    def scaled(x):
        return x + tf.exp(x) * tf.random.normal(tf.shape(x), stddev=0.1)

    assert graph_of(scaled).samplings() == []


def test_a_variable_that_the_model_writes_is_no_constant():
    counter = tf.Variable(0)

    @tf.function(input_signature=[tf.TensorSpec((None, 3))])
    def counting(x):
        counter.assign_add(1)
        return x * 2.0

    graph = graph_of(counting)
    np.testing.assert_array_equal(graph.run({graph.inputs["x"]: np.ones((2, 3))}, [graph.outputs["image"]])[0], 2.0)


def test_a_part_that_needs_more_than_it_takes_is_refused(tmp_path):
    model = Whole()
    graph = graph_of(model.whole)
    (drawn,) = graph.samplings()
    graph.write_part(tmp_path / "decoder", {"z": drawn.latent}, graph.outputs)
    assert [tensor.name for tensor in open_model(tmp_path / "decoder").inputs] == ["z"]
    with pytest.raises(ExportError, match="the encoder also depends on 'x'"):
        graph.write_part(tmp_path / "encoder", {}, {"z_mean": drawn.mean})


def test_the_weights_of_a_part_are_variables_that_can_be_rounded(tmp_path):
    model = Whole()
    graph = graph_of(model.whole)
    (drawn,) = graph.samplings()
    graph.write_part(tmp_path / "decoder", {"z": drawn.latent}, graph.outputs)
    opened = open_model(tmp_path / "decoder")
    (weight,) = opened.model.variables
    np.testing.assert_array_equal(weight, model.outside)
