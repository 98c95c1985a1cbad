from onnx import helper

from pocketvae.export.onnx_convert import _name_nodes


def named(*names):
    nodes = [helper.make_node("Gemm", [], [], name=name) for name in names]
    _name_nodes(nodes)
    return [node.name for node in nodes]


def test_names_do_not_depend_on_what_was_converted_before():
    assert named("hidden/MatMul_Gemm__5", "Conv__81") == named("hidden/MatMul_Gemm__19", "Conv__7")
    assert named("hidden/MatMul_Gemm__5", "Conv__81") == ["hidden/MatMul_Gemm", "Conv"]


def test_nodes_that_are_called_alike_are_numbered_in_order():
    assert named("Conv__8", "Conv__3", "", "Conv__1") == ["Conv", "Conv_2", "Gemm", "Conv_3"]
