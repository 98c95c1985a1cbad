import json

import numpy as np
import pytest

from pocketvae.errors import ParityError
from pocketvae.runtimes.base import Optimizations
from pocketvae.runtimes.onnxruntime import open_session, tensor_spec
from pocketvae.spec import TensorSpec


@pytest.fixture(scope="module")
def content(bundles):
    return bundles.decoder_model(bundles.right_weight()).SerializeToString()


def test_a_file_that_cannot_be_loaded_is_named_in_one_line():
    with pytest.raises(ParityError, match=r"^a\.onnx: the file is not an ONNX file"):
        open_session(b"nothing", name="a.onnx")


def test_what_onnxruntime_cannot_run_is_told_in_its_words(bundles):
    model = bundles.decoder_model(bundles.right_weight())
    model.graph.node[0].op_type = "Nonsense"
    with pytest.raises(ParityError, match=r"^onnxruntime cannot load a\.onnx: .*Nonsense"):
        open_session(model.SerializeToString(), name="a.onnx")


@pytest.mark.parametrize("optimizations", Optimizations)
def test_a_profile_is_written_where_it_was_asked_for(content, tmp_path, optimizations):
    session = open_session(content, optimizations=optimizations, profile=tmp_path / "p")
    session.run(None, {"z": np.zeros((1, 3), np.float32)})
    session.end_profiling()
    (file,) = tmp_path.glob("p*.json")
    events = json.loads(file.read_text())
    assert any(event.get("cat") == "Node" for event in events)


def test_an_interface_is_told_for_a_batch(content):
    (node,) = open_session(content).get_inputs()
    assert tensor_spec(node) == TensorSpec(name="z", dtype="float32", shape=(1, 3))


def test_an_open_shape_is_refused_with_the_file_s_name():
    class Node:
        name, type, shape = "x", "tensor(float)", ["batch", "height"]

    with pytest.raises(ParityError, match=r"a\.onnx: tensor 'x' must have a fixed shape, got \[4, 'height'\]"):
        tensor_spec(Node(), 4, "a.onnx")
