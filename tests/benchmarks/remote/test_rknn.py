import importlib.util

import pytest

from pocketvae.benchmarks.remote.rknn import _NoTorch, _reason

SAID = """\x1b[1;33mW\x1b[0m \x1b[1;33mSet temperate env rknn_compute_order=WidthFirst\x1b[0m
E RKNN: [08:37:59.294] Unkown op target: 0
\x1b[31mE\x1b[0m \x1b[31mload_onnx: Traceback (most recent call last):\x1b[0m
ValueError: Unsupport onnx opset 21, need <= 19!
"""


def test_the_error_is_named_without_colours_and_warnings():
    assert _reason(SAID.replace("load_onnx: T", "T")) == "Unsupport onnx opset 21, need <= 19!"
    assert _reason("E RKNN: [08:39:39.249] Meet unsupported conv") == "Meet unsupported conv"
    assert _reason("I done") == "it does not say why"


def test_pytorch_is_stood_in_for_by_modules_without_content():
    stand_in = _NoTorch()
    assert stand_in.find_spec("numpy", None) is None
    module = importlib.util.module_from_spec(stand_in.find_spec("torch.nn", None))
    assert module.__version__ == "2.4.0"
    assert type("Layer", (module.Module,), {}).__name__ == "Layer"
    assert module.no_grad()(len) is len
    with pytest.raises(AttributeError):
        module.__wrapped__  # noqa: B018
