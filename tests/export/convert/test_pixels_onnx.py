"""Numbers half a step between two pixels: an ONNX file rounds as `to_pixels` does."""

import numpy as np
import pytest
from onnx import TensorProto, helper

from pocketvae.export.convert.pixels_onnx import with_pixels
from pocketvae.numerics.pixels import to_pixels
from pocketvae.runtimes.opening import open_runner
from pocketvae.spec import Component, Format


def one_operator() -> bytes:
    z, image = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 255]) for name in ("z", "image"))
    graph = helper.make_graph([helper.make_node("Abs", ["z"], ["image"])], "absolute", [z], [image])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


@pytest.mark.parametrize("high", [1.0, 255.0, 7.3])
def test_a_file_rounds_half_a_step_like_the_function(high):
    halves = (np.arange(255, dtype=np.float32)[None] + np.float32(0.5)) * np.float32(high) / np.float32(255)
    content = with_pixels(one_operator(), Component.DECODER, (0.0, high))
    with open_runner(content, Format.ONNX) as runner:
        found = runner.run({"z": halves})["image"]
    np.testing.assert_array_equal(found, to_pixels(halves, (0.0, high)))
    if high != 7.3:
        np.testing.assert_array_equal(found[0], np.arange(1, 256))
