import sys

import pytest

from pocketvae.keras.custom_code import CustomCode, custom_parts


def part(name, config=None, **more):
    return {"class_name": name, "config": config or {}, **more}


def model(*layers, name="Functional", **more):
    return part(name, {"name": "m", "layers": list(layers)}, **more)


LAMBDA = part("Lambda", {"function": ["AAAA", None, None]})
NESTINGS = {
    "in a model": lambda layer: model(layer),
    "in a model in a model": lambda layer: model(part("Dense"), model(model(layer, name="Sequential"))),
    "in a wrapper": lambda layer: model(part("TimeDistributed", {"layer": layer})),
    "in a wrapper in a wrapper": lambda layer: model(
        part("Bidirectional", {"layer": part("RNN", {"cell": part("StackedRNNCells", {"cells": [layer]})})})
    ),
    "as a value of a layer": lambda layer: model(part("Dense", {"kernel_initializer": layer})),
    "as an argument of a call": lambda layer: model(
        {**part("Add"), "inbound_nodes": [{"args": [], "kwargs": {"a": layer}}]}
    ),
    "in what a nested model was trained with": lambda layer: model(model(compile_config={"loss": layer})),
}


@pytest.mark.parametrize("nest", NESTINGS.values(), ids=NESTINGS)
def test_code_is_found_in_every_nesting(nest):
    for layer, found in (
        (LAMBDA, "Lambda"),
        (part("__lambda__", {"value": "AAAA"}), "Lambda"),
        (part("Sampling"), "Sampling"),
        (part("TFOpLambda", {"function": "io.write_file"}), "TFOpLambda of io.write_file"),
        (part("TensorFlowOpLayer", {"node_def": {"op": "WriteFile"}}), "TensorFlowOpLayer of WriteFile"),
    ):
        assert custom_parts(nest(layer)) == (found,)


@pytest.mark.parametrize("name", ["math.exp", "__operators__.add", "nn.relu", "compat.v1.transpose", "random.normal"])
def test_functions_that_only_compute_need_no_permission(name):
    assert custom_parts(model(part("TFOpLambda", {"name": "x", "function": name}))) == ()


@pytest.mark.parametrize(
    "name",
    ["io.read_file", "py_function", "numpy_function", "compat.v1.py_func", "raw_ops.WriteFile", "load_library",
     "saved_model.load", "data.TextLineDataset", "math.io.x", "math.", "", None, ["math.exp"]],
)  # fmt: skip
def test_other_functions_of_tensorflow_need_permission(name):
    assert len(custom_parts(model(part("TFOpLambda", {"name": "x", "function": name})))) == 1


@pytest.mark.parametrize(
    "layer",
    [
        part("Dense", module="keras.layers", registered_name=None, build_config={"input_shape": [None, 3]}),
        part("Functional", module="tf_keras.src.engine.functional", registered_name="Functional"),
        part("GetItem", module="keras.src.ops.numpy", registered_name="GetItem"),
        part("DTypePolicy", {"name": "float32"}, module="keras"),
        part("function", "relu", module="builtins", registered_name="function"),
        part("GlorotUniform", {"seed": None}, module="keras.initializers"),
        part("__tuple__", items=[1, 2]),
    ],
)
def test_what_keras_writes_itself_needs_no_permission(layer):
    assert custom_parts(model(layer, part("Dense", {"activation": layer}))) == ()


@pytest.mark.parametrize(
    "layer",
    [
        part("Dense", module="shop.layers"),
        part("Dense", module="keras.utils"),
        part("Dense", module=["keras.layers"]),
        part("Dense", registered_name="shop>Dense"),
        part("get_file", module="keras.utils"),
        part("load_model", module="keras.models"),
        part("TFSMLayer", module="keras.layers"),
        part("StringLookup", {"vocabulary": "words.txt"}),
        part("function", "system", module="os", registered_name="system"),
        part("function", "relu", module="shop", registered_name="relu"),
        part("__typespec__"),
        {"class_name": ["Dense"], "config": {}},
        {"class_name": None, "config": {}},
    ],
)
def test_everything_else_needs_permission(layer):
    assert len(custom_parts(model(layer))) == 1


def test_what_the_outermost_model_was_trained_with_is_not_loaded():
    assert custom_parts(model(compile_config={"loss": part("MyLoss")})) == ()


def test_a_deep_model_is_no_problem():
    config = LAMBDA
    for _ in range(5000):
        config = model(config)
    assert custom_parts(config) == ("Lambda",)


def test_custom_code_may_import_what_lies_beside_it(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "widths_beside.py").write_text("WIDTH = 3\n", "utf-8")
    (tmp_path / "code.py").write_text("from widths_beside import WIDTH\n\ndef build():\n    return WIDTH\n", "utf-8")
    assert CustomCode(file=str(tmp_path / "code.py")).objects()["build"]() == 3
    # At the end: files there are not taken in the place of Python's.
    assert sys.path[-1] == str(tmp_path)
