"""Operators of ONNX that work value by value, in TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np

from pocketvae.keras.io import import_tensorflow
from pocketvae.keras.onnx.nodes import Node, Operator
from pocketvae.keras.onnx.tensors import Value, together, value

_CELU_ALPHA, _ELU_ALPHA, _LEAKY_ALPHA = 1.0, 1.0, 0.01


def _unary(function: Callable[[Any, Node], Any]) -> Operator:
    def apply(node: Node) -> Value:
        given = node.input()
        return value(function(given.stored, node), given.order)

    return apply


def _many(function: Callable[..., Any]) -> Operator:
    def apply(node: Node) -> Value:
        tensors, order = together([node.input(place) for place in range(len(node.inputs))])
        return value(function(*tensors), order)

    return apply


def _plain(name: str) -> Operator:
    """Returns an operator that TensorFlow has under a name of `tf.math` or `tf.nn`."""
    return _unary(lambda tensor, _: _function(name)(tensor))


def _binary(name: str) -> Operator:
    return _many(lambda *tensors: reduce(_function(name), tensors))


def _function(name: str) -> Callable[..., Any]:
    tf = import_tensorflow()
    found: Callable[..., Any] = getattr(tf.math, name, None) or getattr(tf.nn, name)
    return found


def _elu(tensor: Any, node: Node) -> Any:
    alpha = node.get("alpha", _ELU_ALPHA)
    tf = import_tensorflow()
    return tf.nn.elu(tensor) if alpha == 1 else tf.where(tensor > 0, tensor, alpha * tf.math.expm1(tensor))


def _selu(tensor: Any, node: Node) -> Any:
    tf = import_tensorflow()
    alpha, gamma = node.get("alpha", 1.6732632), node.get("gamma", 1.050701)
    return gamma * (tf.nn.relu(tensor) + alpha * (tf.exp(tf.minimum(tensor, 0.0)) - 1.0))


def _celu(tensor: Any, node: Node) -> Any:
    tf = import_tensorflow()
    alpha = node.get("alpha", _CELU_ALPHA)
    return tf.nn.relu(tensor) + tf.minimum(alpha * (tf.exp(tensor / alpha) - 1.0), 0.0)


def _leaky(tensor: Any, node: Node) -> Any:
    return import_tensorflow().nn.leaky_relu(tensor, float(node.get("alpha", _LEAKY_ALPHA)))


def _hard_sigmoid(tensor: Any, node: Node) -> Any:
    tf = import_tensorflow()
    return tf.clip_by_value(tensor * node.get("alpha", 0.2) + node.get("beta", 0.5), 0.0, 1.0)


def _hard_swish(tensor: Any, _: Node) -> Any:
    tf = import_tensorflow()
    return tensor * tf.nn.relu6(tensor + 3.0) * np.float32(1 / 6)


def _clip(tensor: Any, node: Node) -> Any:
    tf = import_tensorflow()
    low, high = node.constant(1), node.constant(2)
    if low is not None and high is not None:
        if (float(low), float(high)) == (0.0, 6.0):
            return tf.nn.relu6(tensor)
        return tf.clip_by_value(tensor, low, high)
    if low is not None:
        return tf.nn.relu(tensor) if float(low) == 0 else tf.maximum(tensor, low)
    return tensor if high is None else tf.minimum(tensor, high)


def _cast(tensor: Any, node: Node) -> Any:
    from onnx import helper

    return import_tensorflow().cast(tensor, helper.tensor_dtype_to_np_dtype(node.get("to")).name)


def _prelu(node: Node) -> Value:
    tf = import_tensorflow()
    given, slope = node.input(0), node.input(1)
    # The slopes broadcast to the input's axes from the last one on, as in every operator.
    (tensor, slopes), order = together([given, slope])
    return value(tf.nn.relu(tensor) - slopes * tf.nn.relu(-tensor), order)


def _power(left: Any, right: Any) -> Any:
    tf = import_tensorflow()
    if isinstance(right, np.ndarray) and right.size == 1:
        exponent = float(right.reshape(-1)[0])
        # Converters have kernels for these, and a power of a negative number is one of a logarithm to some.
        if exponent in (2.0, 3.0):
            return tf.square(left) if exponent == 2 else left * tf.square(left)
        if exponent == 0.5:
            return tf.sqrt(left)
        return tf.pow(left, np.asarray(right, left.dtype.as_numpy_dtype))
    return tf.pow(left, right)


def _random(node: Node) -> Value:
    tf = import_tensorflow()
    given = node.given(0)
    shape = tf.shape(given.plain()) if given is not None else node.get("shape")
    mean, scale = node.get("mean", 0.0), node.get("scale", 1.0)
    return value(tf.random.normal(shape, mean, scale))


def _mean(*tensors: Any) -> Any:
    return reduce(import_tensorflow().add, tensors) / float(len(tensors))


OPERATORS: dict[str, Operator] = {
    "Abs": _plain("abs"),
    "Add": _binary("add"),
    "And": _binary("logical_and"),
    "Cast": _unary(_cast),
    "Ceil": _plain("ceil"),
    "Celu": _unary(_celu),
    "Clip": _unary(_clip),
    "Cos": _plain("cos"),
    "Div": _many(lambda left, right: import_tensorflow().divide(left, right)),
    "Elu": _unary(_elu),
    "Equal": _binary("equal"),
    "Erf": _plain("erf"),
    "Exp": _plain("exp"),
    "Floor": _plain("floor"),
    "Greater": _binary("greater"),
    "GreaterOrEqual": _binary("greater_equal"),
    "HardSigmoid": _unary(_hard_sigmoid),
    "HardSwish": _unary(_hard_swish),
    "Identity": lambda node: node.input(),
    "LeakyRelu": _unary(_leaky),
    "Less": _binary("less"),
    "LessOrEqual": _binary("less_equal"),
    "Log": _plain("log"),
    "Max": _binary("maximum"),
    "Mean": _many(_mean),
    "Min": _binary("minimum"),
    "Mul": _binary("multiply"),
    "Neg": _plain("negative"),
    "Not": _plain("logical_not"),
    "Or": _binary("logical_or"),
    "PRelu": _prelu,
    "Pow": _many(_power),
    "RandomNormal": _random,
    "RandomNormalLike": _random,
    "Reciprocal": _unary(lambda tensor, _: 1.0 / tensor),
    "Relu": _plain("relu"),
    "Round": _unary(lambda tensor, _: import_tensorflow().round(tensor)),
    "Selu": _unary(_selu),
    "Sigmoid": _plain("sigmoid"),
    "Sign": _plain("sign"),
    "Sin": _plain("sin"),
    "Softplus": _plain("softplus"),
    "Softsign": _plain("softsign"),
    "Sqrt": _plain("sqrt"),
    "Sub": _binary("subtract"),
    "Sum": _binary("add"),
    "Tanh": _plain("tanh"),
    "Where": _many(lambda *tensors: import_tensorflow().where(*tensors)),
}
