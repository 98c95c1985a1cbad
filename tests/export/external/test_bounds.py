from types import SimpleNamespace

import pytest

from pocketvae.export.external.bounds import bounds


def graph(**nodes):
    """Nodes by name: a constant as (low, high), others as their operator and what they read."""
    numbers = {name: node for name, node in nodes.items() if isinstance(node[0], float)}
    operators = {name: ("Const", ()) if name in numbers else (node[0], node[1:]) for name, node in nodes.items()}
    return SimpleNamespace(operators={"x": ("Conv2D", ("y",)), "y": ("Placeholder", ()), **operators}, numbers=numbers)


@pytest.mark.parametrize(
    ("expected", "nodes"),
    [
        ((0.0, 1.0), {"s": ("Sigmoid", "x"), "out": ("StridedSlice", "s")}),
        ((0.0, 1.0), {"s": ("Sigmoid", "x"), "axis": (3.0, 3.0), "out": ("ConcatV2", "s", "s", "axis")}),
        ((-1.0, 1.0), {"s": ("Sigmoid", "x"), "t": ("Tanh", "x"), "n": (3.0, 3.0), "out": ("ConcatV2", "s", "t", "n")}),
        ((0.0, 1.0), {"t": ("Tanh", "x"), "h": (0.5, 0.5), "m": ("Mul", "t", "h"), "out": ("AddV2", "m", "h")}),
        ((0.0, 255.0), {"s": ("Sigmoid", "x"), "c": (255.0, 255.0), "out": ("Mul", "s", "c")}),
        ((-1.0, 1.0), {"s": ("Sigmoid", "x"), "h": (0.5, 0.5), "d": ("Sub", "s", "h"), "out": ("RealDiv", "d", "h")}),
        ((0.0, 1.0), {"a": (0.0, 0.0), "b": (1.0, 1.0), "out": ("ClipByValue", "x", "a", "b")}),
        ((0.0, 1.0), {"a": (0.0, 0.0), "b": (1.0, 1.0), "m": ("Maximum", "x", "a"), "out": ("Minimum", "m", "b")}),
        ((0.0, 1.0), {"r": ("Relu6", "x"), "six": (6.0, 6.0), "out": ("RealDiv", "r", "six")}),
        ((-1.0, 0.0), {"s": ("Sigmoid", "x"), "out": ("Neg", "s")}),
        ((0.0, 255.0), {"s": ("Sigmoid", "x"), "c": (254.5, 254.5), "m": ("Mul", "s", "c"), "out": ("Round", "m")}),
        (None, {"out": ("Round", "x")}),
        ((0.0, 1.0), {"s": ("Sigmoid", "x"), "out": ("Pad", "s")}),
        (None, {"out": ("Relu", "x")}),
        (None, {"s": ("Sigmoid", "x"), "out": ("AddV2", "s", "x")}),
        (None, {"s": ("Sigmoid", "x"), "out": ("RealDiv", "s", "s")}),
        (None, {"s": ("Sigmoid", "x"), "out": ("Conv2D", "s")}),
    ],
)
def test_the_range_follows_what_comes_after_the_squashing(expected, nodes):
    assert bounds(graph(**nodes), "out") == expected
