import numpy as np
import pytest

from pocketvae.export.original.goldens import Original
from pocketvae.export.original.inside import Inside, Magnitude, layer_name
from pocketvae.keras.io import import_keras, import_tensorflow
from pocketvae.spec import Component
from pocketvae.vae_spec import Likelihood, VaeSpec, vector_latent

Z = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
VAE = VaeSpec(data_shape=(2, 2, 1), latents=vector_latent(3), likelihood=Likelihood.UNKNOWN)


def test_a_layer_is_named_without_the_model_and_the_operator():
    assert layer_name("model/bn/FusedBatchNormV3") == "bn"
    assert layer_name("StatefulPartitionedCall/model/block/bn/mul_1") == "block/bn"
    assert layer_name("Tanh") == "Tanh"


def test_a_layer_that_couples_samples_is_named():
    tf = import_tensorflow()

    def divided(inputs):
        with tf.name_scope("model/first"):
            hidden = tf.tanh(inputs["z"])
        with tf.name_scope("model/second"):
            return {"image": hidden / tf.reduce_max(hidden)}

    assert Inside(divided, {"z": Z}).first_coupling({"z": Z}) == "the layer 'second' (RealDiv)"
    assert Inside(lambda inputs: {"image": tf.tanh(inputs["z"])}, {"z": Z}).first_coupling({"z": Z}) == ""


def test_a_random_layer_is_named_as_such():
    tf = import_tensorflow()

    def noisy(inputs):
        with tf.name_scope("model/noise"):
            return {"image": inputs["z"] + tf.random.uniform(tf.shape(inputs["z"]))}

    assert (
        Inside(noisy, {"z": Z})
        .first_coupling({"z": Z})
        .startswith("the layer 'noise/random_uniform' (RandomUniform), which is random")
    )


@pytest.fixture
def large():
    """A decoder whose weights and values are beyond half precision, and whose images are ordinary."""
    layers = import_keras().layers
    model = import_keras().Sequential(
        [
            layers.Input((3,)),
            layers.Dense(4, name="large", kernel_initializer="ones"),
            layers.Rescaling(1e-6),
            layers.Dense(4, "sigmoid"),
            layers.Reshape((2, 2, 1)),
        ]
    )
    model.get_layer("large").set_weights([np.eye(3, 4, dtype=np.float32) * 4e5, np.zeros(4, np.float32)])
    return Original(Component.DECODER, model, VAE)


def test_values_that_half_precision_cannot_hold_are_noted_with_their_layer(large):
    found = large.inside({"z": Z}).magnitude({"z": Z})
    assert found == Magnitude(largest=pytest.approx(4e5 * np.abs(Z).max(), rel=1e-5), layer="large")
    assert "in the layer 'large' exceed 65504: a GPU that computes in half precision makes them infinite" in found.note
    assert Magnitude(largest=65504.0, layer="large").note == ""


def test_weights_that_overflow_in_half_precision_are_named_and_leave_the_other_figures_finite(large):
    golden = large.golden_outputs({"z": Z})
    floor = large.noise_floor({"z": Z}, golden)
    assert floor.overflow == "the layer 'large' (MatMul)"
    assert floor.float16 == {"image": float("inf")}
    assert floor.ranges == {"image": 1.0}
    assert floor.float32["image"] < 1e-5


def test_one_by_one_an_original_does_not_differ_from_itself():
    tf = import_tensorflow()

    class Coupled:
        def __call__(self, z, training=False):
            return tf.reshape(tf.tile(z, (1, 2))[:, :4] / tf.reduce_max(tf.abs(z)), (-1, 2, 2, 1))

        def get_weights(self):
            return []

        def set_weights(self, weights):
            pass

    together, alone = (Original(Component.DECODER, Coupled(), VAE, one_by_one=each) for each in (False, True))
    floors = [each.noise_floor({"z": Z}, each.golden_outputs({"z": Z})) for each in (together, alone)]
    assert floors[0].excess()["image"] > 0.1
    assert floors[1].excess() == {}
