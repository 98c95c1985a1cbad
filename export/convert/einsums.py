"""Einsums that TFLite's converter refuses, as sums, products by element and the einsums that it knows."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from pocketvae.keras.io import import_tensorflow

EINSUM = "Einsum"


def is_refused(equation: str) -> bool:
    """Whether an einsum of two tensors has a form that the converter takes, where it may not take the einsum itself.

    It takes products that contract something both have, and outer products. Sums over what one tensor alone has, and
    products by element of more than two axes, it refuses; see findings/tensorflow_einsum_by_element.sh. Diagonals and
    ellipses are not looked at.
    """
    if "." in equation:
        return False
    given, result = equation.split("->")
    terms = given.split(",")
    if len(terms) != 2 or any(len(set(labels)) < len(labels) for labels in terms):
        return False
    left, right = terms
    return bool(_lone(left, right, result) or _lone(right, left, result) or _is_by_element(left, right, result))


def expanded(operator: Any) -> Callable[[], Any] | None:
    """Returns what makes the result of a refused einsum, equal to rounding; None where the converter takes it.

    Args:
        operator: A `tf.Operation`.
    """
    equation = equation_of(operator.node_def)
    return partial(_product, equation, *operator.inputs) if is_refused(equation) else None


def equation_of(node: Any) -> str:
    """Returns the equation of an einsum's `NodeDef`, without spaces."""
    return str(node.attr["equation"].s.decode()).replace(" ", "")


def _product(equation: str, a: Any, b: Any) -> Any:
    given, result = equation.split("->")
    left, right = given.split(",")
    a, kept_left = _summed(a, left, _lone(left, right, result))
    b, kept_right = _summed(b, right, _lone(right, left, result))
    if set(kept_left) & set(kept_right) - set(result):
        return import_tensorflow().einsum(f"{kept_left},{kept_right}->{result}", a, b)
    return _aligned(a, kept_left, result) * _aligned(b, kept_right, result)


def _lone(labels: str, others: str, result: str) -> str:
    """Returns the labels that are summed over within one tensor."""
    return "".join(label for label in labels if label not in others and label not in result)


def _is_by_element(left: str, right: str, result: str) -> bool:
    """Whether nothing is contracted, and one tensor has all that the other has."""
    is_contracted = set(left) & set(right) - set(result)
    return not is_contracted and (set(left) <= set(right) or set(right) <= set(left))


def _summed(tensor: Any, labels: str, over: str) -> tuple[Any, str]:
    if not over:
        return tensor, labels
    tf = import_tensorflow()
    kept = "".join(label for label in labels if label not in over)
    return tf.reduce_sum(tensor, [labels.index(label) for label in over]), kept


def _aligned(tensor: Any, labels: str, result: str) -> Any:
    """Returns a tensor with the axes of the result, of length 1 where it has none of that label."""
    tf = import_tensorflow()
    order = [labels.index(label) for label in result if label in labels]
    tensor = tensor if order == sorted(order) else tf.transpose(tensor, order)
    for axis, label in enumerate(result):
        if label not in labels:
            tensor = tf.expand_dims(tensor, axis)
    return tensor
