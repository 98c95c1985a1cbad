"""The functions of a SavedModel: what they take outside of training, and what they return."""

import numpy as np
import tensorflow as tf

from pocketvae.export.external.saved_functions import alike, functions_of, signature_of
from tests.export.external.saved_vaes import X, write


def test_an_object_is_called_outside_of_training(tmp_path):
    class Layer(tf.Module):
        @tf.function
        def __call__(self, x, training=False):
            return (x + 1.0, x * 2.0) if training else (x - 1.0, x * 2.0)

    layer = Layer()
    spec = tf.TensorSpec((None, 3))
    for training in (True, False):
        layer.__call__.get_concrete_function(spec, training=training)
    tf.saved_model.save(layer, str(tmp_path / "saved"))
    (found,) = functions_of("layer", tf.saved_model.load(str(tmp_path / "saved")))
    assert found.taken == (3,)
    assert found.returned == ((3,), (3,))
    made = found.call([tf.ones((2, 3))])
    assert list(made) == ["output_0", "output_1"]
    np.testing.assert_array_equal(made["output_0"], 0.0)


def test_a_signature_has_the_names_of_its_inputs_and_outputs(tmp_path):
    write(tmp_path / "vae", "conditional")
    found = signature_of(tf.saved_model.load(str(tmp_path / "vae")).signatures["serving_default"])
    assert [spec.name for spec in found.inputs] == ["label", "x"]
    assert found.taken == (4, 4, 1)
    assert list(found.call([tf.constant([1, 2]), X])) == ["image"]


def test_values_that_differ_by_more_than_rounding_are_not_alike():
    a = np.array([1.0, 100.0])
    assert alike(a, a * (1 + 1e-6))
    assert not alike(a, a + 0.1)
    assert not alike(a, a[:1])
