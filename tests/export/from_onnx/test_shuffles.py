"""Filters in front of a pixel shuffle are reordered, which changes no value."""

import copy

import numpy as np
import pytest

from pocketvae.export.from_onnx.shuffles import reorder_filters
from pocketvae.runtimes.onnxruntime import open_session
from tests.onnx_files import model, node, values


def shuffled(**more):
    rng = np.random.default_rng(0)
    own = {"w": values(rng, 12, 4 // more.get("group", 1), 3, 3), "b": values(rng, 12)}
    nodes = [
        node("Conv", "x w b", "c", kernel_shape=[3, 3], **more),
        node("DepthToSpace", "c", "y", blocksize=2, mode="CRD"),
    ]
    return model(nodes, {"x": [1, 4, 6, 6]}, {"y": [1, 3, 8, 8]}, own)


@pytest.mark.parametrize(("more", "count"), [({}, 1), ({"group": 2}, 0)])
def test_the_values_stay_the_same(more, count):
    made = shuffled(**more)
    x = values(np.random.default_rng(1), 1, 4, 6, 6)
    (expected,) = open_session(copy.deepcopy(made).SerializeToString()).run(None, {"x": x})
    assert reorder_filters(made.graph) == count
    (found,) = open_session(made.SerializeToString()).run(None, {"x": x})
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_filters_that_something_else_reads_stay():
    made = shuffled()
    made.graph.output.extend([type(made.graph.output[0])(name="c")])
    assert reorder_filters(made.graph) == 0
