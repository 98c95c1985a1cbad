import pytest

from pocketvae.export.convert import noise_onnx, noise_tflite, tflite
from pocketvae.spec import Format


def build(format, dim):
    if format is Format.ONNX:
        return noise_onnx.build_noise({"z": (dim,)})
    return tflite.convert_float32(noise_tflite.build_noise({"z": (dim,)}))


@pytest.mark.slow
def test_the_tflite_graph_is_small_and_has_built_in_operators_alone(tmp_path):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=build(Format.TFLITE, 16))
    kinds = [operator["op_name"] for operator in interpreter._get_ops_details()]
    assert len(kinds) < 170
    assert not any("FLEX" in kind.upper() or kind == "CUSTOM" for kind in kinds)
