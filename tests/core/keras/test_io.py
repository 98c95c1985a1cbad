import importlib
import sys
import types
import zipfile

import pytest

from pocketvae.errors import ExportError, TrainingError
from pocketvae.keras import io
from pocketvae.keras.io import load_model, save_model

pytestmark = pytest.mark.slow


def test_a_saved_model_comes_back_equal(tmp_path):
    import numpy as np

    from pocketvae.keras.io import import_keras

    layers = import_keras().layers
    x = layers.Input((3,))
    model = import_keras().Model(x, layers.Dense(2)(x))
    save_model(model, tmp_path / "m.keras")
    loaded = load_model(tmp_path / "m.keras")
    z = np.ones((1, 3), np.float32)
    assert np.array_equal(model(z), loaded(z))


def test_a_second_model_that_another_thread_saves_is_no_hdf5(tmp_path):
    import threading

    from pocketvae.keras.io import import_keras

    layers = import_keras().layers
    x = layers.Input((3,))
    model = import_keras().Model(x, layers.Dense(2)(x))
    paths = [tmp_path / "first.keras", tmp_path / "second.keras"]
    thread = threading.Thread(target=lambda: [save_model(model, path) for path in paths])
    thread.start()
    thread.join()
    assert all(zipfile.is_zipfile(path) for path in paths)


def test_scipy_is_hidden_for_a_while_and_never_taken_away(monkeypatch):
    monkeypatch.delitem(sys.modules, "scipy", raising=False)
    with io._without_scipy(), pytest.raises(ImportError):
        importlib.import_module("scipy")
    assert "scipy" not in sys.modules
    imported = types.ModuleType("scipy")
    monkeypatch.setitem(sys.modules, "scipy", imported)
    with io._without_scipy():
        assert importlib.import_module("scipy") is imported
    assert sys.modules["scipy"] is imported


def test_a_missing_file(tmp_path):
    with pytest.raises(ExportError, match="does not exist"):
        load_model(tmp_path / "m.keras")


def test_a_file_that_is_no_model(tmp_path):
    (tmp_path / "m.keras").write_bytes(b"x" * 100)
    with pytest.raises(ExportError, match="cannot be loaded as a Keras model"):
        load_model(tmp_path / "m.keras")


def test_a_lambda_layer_is_not_executed(tmp_path):
    # A lambda is code inside a model file; loading one from elsewhere must not run it.
    from pocketvae.keras.io import import_keras

    keras = import_keras()
    x = keras.layers.Input((3,))
    model = keras.Model(x, keras.layers.Lambda(lambda value: value * 2)(x))
    save_model(model, tmp_path / "m.keras")
    assert zipfile.is_zipfile(tmp_path / "m.keras")
    with pytest.raises(ExportError, match="cannot be loaded as a Keras model"):
        load_model(tmp_path / "m.keras")


def test_a_model_that_cannot_be_written_names_its_file(tmp_path):
    from pocketvae.keras.io import import_keras

    layers = import_keras().layers
    x = layers.Input((3,))
    with pytest.raises(OSError, match="No such file") as caught:
        save_model(import_keras().Model(x, layers.Dense(2)(x)), tmp_path / "no" / "m.keras")
    assert caught.value.filename == str(tmp_path / "no" / "m.keras")


@pytest.mark.parametrize("words", ["No space left on device [Op:SaveV2] name: ", "No space left on device\n\tmore"])
def test_what_tensorflow_cannot_write_is_told_in_the_system_s_words(tmp_path, words):
    from pocketvae.keras.io import import_tensorflow, tensorflow_writes

    def write():
        with tensorflow_writes(tmp_path / "step-1"):
            message = f"{{{{function_node a; b}}}} {tmp_path}/step-1_temp/part; {words}"
            raise import_tensorflow().errors.ResourceExhaustedError(None, None, message)

    with pytest.raises(TrainingError) as caught:
        write()
    assert str(caught.value) == f"{tmp_path / 'step-1'} cannot be written: No space left on device"


def test_a_saved_model_that_writes_a_file_needs_permission(tmp_path):
    from pocketvae.keras.custom_code import CustomCode
    from pocketvae.keras.io import import_tensorflow
    from pocketvae.keras.loading import open_model

    tf, marker = import_tensorflow(), tmp_path / "marker"
    module = tf.Module()
    module.scale = tf.Variable(2.0)

    def call(z):
        with tf.control_dependencies([tf.io.write_file(str(marker), "written")]):
            return {"image": z * module.scale}

    specification = tf.TensorSpec((None, 3), tf.float32)
    for name, function in (("writes", call), ("plain", lambda z: {"image": z * module.scale})):
        module.call = tf.function(function, input_signature=[specification])
        tf.saved_model.save(module, str(tmp_path / name), signatures=module.call)
    assert not open_model(tmp_path / "plain").custom_code
    with pytest.raises(ExportError, match=r"reach files or run Python \(WriteFile\): pass --allow-custom-code"):
        open_model(tmp_path / "writes")
    opened = open_model(tmp_path / "writes", CustomCode(allowed=True))
    assert opened.custom_code
    assert not marker.exists()
    opened.call([tf.ones((1, 3))])
    assert marker.exists()


@pytest.mark.parametrize("groups", [1, 4])
def test_a_graph_runs_with_a_bias_and_an_activation_behind_a_convolution_of_groups(groups):
    import numpy as np

    tf = io.import_tensorflow()
    kernel = np.random.default_rng(0).normal(size=(3, 3, 8 // groups, 8)).astype(np.float32)
    x = np.random.default_rng(1).normal(size=(1, 6, 6, 8)).astype(np.float32)
    with tf.Graph().as_default() as graph:
        data = tf.compat.v1.placeholder(tf.float32, (1, 6, 6, 8), "x")
        tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(data, kernel, 1, "SAME"), np.ones(8, np.float32)), name="y")
    with io.open_graph(graph) as session:
        found = session.run("y:0", {"x:0": x})
    np.testing.assert_allclose(found, tf.nn.relu(tf.nn.conv2d(x, kernel, 1, "SAME") + 1), atol=1e-4)
