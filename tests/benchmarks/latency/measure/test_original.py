import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pocketvae.benchmarks.latency.measure.original import onnx_call, original_call
from pocketvae.benchmarks.latency.messages import OriginalCall
from pocketvae.keras.io import import_flavour, import_tensorflow
from pocketvae.keras.model_form import Flavour, ModelForm, Port, Role
from pocketvae.outputs import Output
from pocketvae.spec import Component
from pocketvae.vae_spec import DataKind, Likelihood, VaeSpec, vector_latent


def onnx_form(port, kind):
    outputs = (Port(name="y", role=kind, dtype="float32", shape=port.shape),)
    return ModelForm(flavour=Flavour.ONNX, inputs=(port,), outputs=outputs)


def test_codes_of_an_onnx_file_have_its_own_type(tmp_path):
    book = np.arange(8, dtype=np.float32).reshape(4, 2)
    graph = helper.make_graph(
        [helper.make_node("Gather", ["book", "z"], ["y"])],
        "g",
        [helper.make_tensor_value_info("z", TensorProto.INT64, ("N", 3))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ("N", 3, 2))],
        [numpy_helper.from_array(book, "book")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "m.onnx")
    codes = np.int32([[3, 0, 1]])
    form = onnx_form(Port(name="z", role=Role.CODES, dtype="int64", shape=(3,)), Role.IMAGE)
    assert np.array_equal(onnx_call(tmp_path / "m.onnx", form, [codes], 1)()[0], book[codes])


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (2.0, 0.5)])
def test_images_of_an_onnx_file_have_its_own_shape_and_unit(tmp_path, scale, shift):
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ("N", 2, 3)) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "g", values[:1], values[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "m.onnx")
    x = np.random.default_rng(0).random((4, 2, 3, 1)).astype(np.float32)
    port = Port(name="x", role=Role.PLANE_IN, dtype="float32", shape=(2, 3), scale=scale, shift=shift)
    found = onnx_call(tmp_path / "m.onnx", onnx_form(port, Role.MEAN), [x], 1)()[0]
    np.testing.assert_allclose(found, -(x[..., 0] / scale + shift), atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("how", list(OriginalCall))
def test_the_head_is_for_the_data_and_not_for_further_outputs(tmp_path, how):
    tf, keras = import_tensorflow(), import_flavour(Flavour.KERAS3)
    z = keras.Input((3,), name="z")
    outputs = [keras.layers.Reshape((2, 2, 1), name="a")(keras.layers.Dense(4)(z)), keras.layers.Dense(5, name="b")(z)]
    model = keras.Model(z, outputs)
    model.save(tmp_path / "m.keras")
    vae = VaeSpec(
        data_shape=(2, 2, 1),
        latents=vector_latent(3),
        likelihood=Likelihood.BERNOULLI,
        more_outputs=(Output(name="b", data=DataKind.VECTOR, shape=(5,), range_is_strict=False),),
    )
    form = ModelForm(
        flavour=Flavour.KERAS3,
        inputs=(Port(name="z", role=Role.Z, dtype="float32", shape=(3,)),),
        outputs=(
            Port(name="a", role=Role.IMAGE, dtype="float32", shape=(2, 2, 1)),
            Port(name="b", role=Role.MORE, dtype="float32", shape=(5,), sources=(1,)),
        ),
    )
    given = np.ones((4, 3), np.float32)
    threads = tf.config.threading.get_intra_op_parallelism_threads()
    found = original_call(tmp_path / "m.keras", Component.DECODER, vae, how, {"z": given}, threads, form)()
    logits, more = model(given)
    np.testing.assert_allclose(found[0], tf.sigmoid(logits), atol=1e-5)
    np.testing.assert_allclose(found[1], more, atol=1e-5)
