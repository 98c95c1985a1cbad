import numpy as np
import pytest

from pocketvae.runtimes.opening import open_runner
from pocketvae.spec import Format, TensorSpec

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("integer_interface", [False, True])
def test_a_one_hot_label_counts_as_much_in_integers(tmp_path, integer_interface):
    """The quantizer's own choice of scales makes 1 count for 0.16 here."""
    import tensorflow as tf

    from pocketvae.export.convert.graphs import Graph
    from pocketvae.export.quantize import tflite as tflite_quantize
    from pocketvae.export.quantize.search import QuantizationPlan

    inputs = (TensorSpec(name="z", dtype="float32", shape=(1, 3)), TensorSpec(name="label", dtype="int32", shape=(1,)))
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(8, 16)).astype(np.float32)

    def decode(z, label):
        return {"image": tf.concat([z, tf.one_hot(label, 5)], axis=1) @ weight}

    signature = [tf.TensorSpec(spec.shape, spec.dtype, name=spec.name) for spec in inputs]
    function = tf.function(decode, input_signature=signature, autograph=False)
    graph = Graph(function=function, model=tf.Module(), inputs=inputs, fused_shuffles=0)
    samples = {"z": rng.normal(size=(100, 3)).astype(np.float32), "label": (np.arange(100) % 5).astype(np.int32)}
    content = tflite_quantize.quantize(
        tflite_quantize.calibrate(graph, samples), QuantizationPlan(), integer_interface=integer_interface
    )
    (tmp_path / "d.tflite").write_bytes(content)
    with open_runner(tmp_path / "d.tflite", Format.TFLITE) as runner:
        found = runner.run_samples(samples)["image"]
    expected = np.concatenate([samples["z"], np.eye(5, dtype=np.float32)[samples["label"]]], axis=1) @ weight
    assert np.abs(found - expected).max() < 0.1
