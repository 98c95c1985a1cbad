"""Frozen graphs in operators that the converters know: no calls, no custom gradients, none that a format lacks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from typing import Any

from pocketvae.keras.io import import_tensorflow

_CALLS = frozenset({"StatefulPartitionedCall", "PartitionedCall"})
_GRADIENT = "_gradient_op_type"


def callable_of(definition: Any, inputs: Sequence[str], outputs: Sequence[str]) -> Callable[..., list[Any]]:
    """Returns a frozen graph as a function of its inputs' tensors that adds itself to the graph being traced.

    Args:
        definition: A `GraphDef`.
        inputs: Names of tensors.
        outputs: Names of tensors.
    """
    tf = import_tensorflow()
    fed = {name.split(":")[0] for name in inputs}
    body = tf.compat.v1.GraphDef(versions=definition.versions, library=definition.library)
    body.node.extend(node for node in definition.node if node.name not in fed)

    def call(*values: Any) -> list[Any]:
        feeds = dict(zip(inputs, values, strict=True))
        results: list[Any] = tf.graph_util.import_graph_def(
            body, input_map=feeds, return_elements=list(outputs), name=""
        )
        return results

    return call


def drop_order(definition: Any) -> None:
    """Drops the inputs of nodes that carry no values.

    An inlined call orders its nodes behind its inputs, which matters to none: a frozen graph has no side effects.

    Args:
        definition: A `GraphDef` without variables, which is changed.
    """
    for node in definition.node:
        values = _values(node.input)
        del node.input[:]
        node.input.extend(values)


def is_plain(definition: Any) -> bool:
    """Whether a frozen graph is as `plain` would make it."""
    return not any(node.op in _CALLS or _GRADIENT in node.attr for node in all_nodes(definition))


def plain(definition: Any) -> Any:
    """Returns a frozen graph without calls and custom gradients that computes the same bits.

    Keras compiles grouped convolutions by XLA, and such a call stays in a frozen graph. A custom gradient, as in
    TensorFlow's SiLU, is an `IdentityN` whose gradient function is not part of the frozen graph. Loops and branches
    keep their functions.

    Args:
        definition: A `GraphDef` without variables.
    """
    nodes, library = list(definition.node), {item.signature.name: item for item in definition.library.function}
    while any(node.op in _CALLS for node in nodes):
        nodes = _inlined(nodes, library)
    renamed: dict[str, str] = {}
    for node in nodes:
        if node.op == "IdentityN" and _GRADIENT in node.attr:
            renamed |= {_output(node.name, place): source for place, source in enumerate(_values(node.input))}
    nodes = [node for node in nodes if _output(node.name, 0) not in renamed]
    made = _definition(definition, _redirected(nodes, renamed))
    for node in all_nodes(made):
        if _GRADIENT in node.attr:
            del node.attr[_GRADIENT]
    return made


def _inlined(nodes: list[Any], library: dict[str, Any]) -> list[Any]:
    """Returns the nodes with each call replaced by the nodes of its function, one level deep."""
    from tensorflow.python.framework.function_def_to_graph import function_def_to_graph_def

    made: list[Any] = []
    renamed: dict[str, str] = {}
    for node in nodes:
        if node.op not in _CALLS:
            made.append(node)
            continue
        function = library[node.attr["f"].func.name]
        body, flat_names = function_def_to_graph_def(function)
        feeds = dict(
            zip((argument.name for argument in function.signature.input_arg), _values(node.input), strict=True)
        )
        local = {inner.name: f"{node.name}/{inner.name}" for inner in body.node}

        def outer(source: str, feeds: dict[str, str] = feeds, local: dict[str, str] = local) -> str:
            name, _, place = source.partition(":")
            return feeds.get(name) or _output(local[name], int(place or 0))

        for inner in body.node:
            if inner.name not in feeds:
                sources = [outer(source) for source in _values(inner.input)]
                inner.name = local[inner.name]
                inner.input[:] = sources
                made.append(inner)
        for place, result in enumerate(function.signature.output_arg):
            source = function.ret[result.name]
            renamed[_output(node.name, place)] = outer(flat_names.get(source, source))
    return _redirected(made, renamed)


def operators_of(definition: Any) -> frozenset[str]:
    """Returns the operators of a graph and of its functions."""
    return frozenset(node.op for node in all_nodes(definition))


def expand_for_onnx(definition: Any) -> Any:
    """Returns a frozen graph with other forms of the operators that ONNX lacks, equal to it in float32.

    Forms that would cancel where a value is small keep to the original's relative precision, except that of Erfc: a
    product takes it with an absolute error of 6e-8, half a step of a float32 at 1. Erfc is kept where anything but a
    product reads it.

    Args:
        definition: A `GraphDef` without calls.
    """
    readers: dict[str, set[str]] = {}
    for node in definition.node:
        for source in _values(node.input):
            readers.setdefault(source.removesuffix(":0"), set()).add(node.op)
    kept = {node.name for node in definition.node if node.op == "Erfc" and readers.get(node.name, set()) - {"Mul"}}
    return _expanded(definition, _ONNX_FORMS, kept)


def expand_for_int16(definition: Any) -> Any:
    """Returns a frozen graph with other forms of operators that the converter does not quantize to 16 bits.

    Without its negations a PReLU stays a sum of products, which has 16-bit kernels where the fused operator has none. A
    GELU is fused to one that has them, and only with its negation.

    Args:
        definition: A `GraphDef` without calls.
    """
    has_gelu = any(node.op == "Erfc" for node in definition.node)
    return _expanded(definition, _INT16_FORMS, {node.name for node in definition.node if has_gelu and node.op == "Neg"})


def with_forms(definition: Any, forms: Mapping[str, Callable[[Any], Callable[[], Any] | None]]) -> Any:
    """Returns a frozen graph in which other tensors take the place of the results of some operators.

    Args:
        definition: A `GraphDef` without calls.
        forms: By the name of an operator: returns for a `tf.Operation` what makes the tensor in its graph, None where
            the operator stays.
    """
    tf = import_tensorflow()
    graph = tf.Graph()
    with graph.as_default():
        tf.graph_util.import_graph_def(definition, name="")
    concerned = [operator for operator in graph.get_operations() if operator.type in forms]
    makers = {operator.name: make for operator in concerned if (make := forms[operator.type](operator))}
    made = {}
    with graph.as_default():
        for name, make in makers.items():
            with tf.name_scope(f"{name}/"):
                made[name] = make().op.name
    result = graph.as_graph_def()
    return _definition(result, _redirected([node for node in result.node if node.name not in made], made))


def _expanded(definition: Any, forms: dict[str, Callable[..., str]], kept: Set[str] = frozenset()) -> Any:
    made: list[Any] = []
    renamed: dict[str, str] = {}
    for node in definition.node:
        if node.op not in forms or node.name in kept:
            made.append(node)
            continue
        form = _Form(node)
        renamed[node.name] = forms[node.op](form, *_values(node.input))
        made += form.nodes
    return _definition(definition, _redirected(made, renamed))


class _Form:
    """The nodes that take the place of one, with its type of numbers."""

    def __init__(self, replaced: Any) -> None:
        self.nodes: list[Any] = []
        self._replaced, self._type = replaced, replaced.attr["T"].type

    def add(self, operator: str, *sources: str) -> str:
        """Adds a node and returns its name."""
        node = self._new(operator)
        node.input.extend(sources)
        return str(node.name)

    def number(self, value: float) -> str:
        """Adds a constant and returns its name."""
        tf = import_tensorflow()
        node = self._new("Const")
        dtype = tf.dtypes.as_dtype(self._type)
        del node.attr["T"]
        node.attr["dtype"].type = self._type
        node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value, dtype))
        return str(node.name)

    def _new(self, operator: str) -> Any:
        node = import_tensorflow().compat.v1.NodeDef(
            name=f"{self._replaced.name}/{operator.lower()}_{len(self.nodes)}", op=operator
        )
        node.attr["T"].type = self._type
        self.nodes.append(node)
        return node


def _erfc(form: _Form, x: str) -> str:
    return form.add("Sub", form.number(1.0), form.add("Erf", x))


def _expm1(form: _Form, x: str) -> str:
    """exp(x) - 1 is 2 t / (1 - t) with t = tanh(x / 2), which does not cancel near 0."""
    t = form.add("Tanh", form.add("Mul", x, form.number(0.5)))
    small = form.add("RealDiv", form.add("AddV2", t, t), form.add("Sub", form.number(1.0), t))
    large = form.add("Sub", form.add("Exp", x), form.number(1.0))
    return form.add("SelectV2", form.add("Less", form.add("Abs", x), form.number(1.0)), small, large)


def _log1p(form: _Form, x: str) -> str:
    """log(1 + x) is log(u) x / (u - 1) with the rounded u = 1 + x, since both factors have the same rounding error."""
    one = form.number(1.0)
    u = form.add("AddV2", x, one)
    rounded = form.add("Sub", u, one)
    # Near 0 the sum is 1 and the quotient 0 / 0; at infinity it would be one of infinities.
    is_same = form.add("Equal", rounded, form.number(0.0))
    divisor = form.add("SelectV2", is_same, one, rounded)
    ratio = form.add("SelectV2", form.add("Equal", x, rounded), one, form.add("RealDiv", x, divisor))
    return form.add("SelectV2", is_same, x, form.add("Mul", form.add("Log", u), ratio))


def _where_not_zero(form: _Form, factor: str, result: str) -> str:
    """0 where the factor is 0, whatever it is multiplied with."""
    zero = form.number(0.0)
    return form.add("SelectV2", form.add("Equal", factor, zero), zero, result)


def _xlogy(form: _Form, x: str, y: str) -> str:
    return _where_not_zero(form, x, form.add("Mul", x, form.add("Log", y)))


def _xlog1py(form: _Form, x: str, y: str) -> str:
    return _where_not_zero(form, x, form.add("Mul", x, _log1p(form, y)))


def _xdivy(form: _Form, x: str, y: str) -> str:
    return _where_not_zero(form, x, form.add("RealDiv", x, y))


def _mul_no_nan(form: _Form, x: str, y: str) -> str:
    return _where_not_zero(form, y, form.add("Mul", x, y))


def _inverse(form: _Form, x: str) -> str:
    return form.add("Reciprocal", x)


def _identity(form: _Form, x: str) -> str:
    """What nothing but a gradient tells from the identity."""
    return x


def _negative(form: _Form, x: str) -> str:
    return form.add("Mul", x, form.number(-1.0))


def _square(form: _Form, x: str) -> str:
    return form.add("Mul", x, x)


_INT16_FORMS: dict[str, Callable[..., str]] = {"Neg": _negative, "Square": _square}
_ONNX_FORMS: dict[str, Callable[..., str]] = {
    "Erfc": _erfc,
    "Expm1": _expm1,
    "Inv": _inverse,
    "Log1p": _log1p,
    "MulNoNan": _mul_no_nan,
    "PreventGradient": _identity,
    "Snapshot": _identity,
    "Xdivy": _xdivy,
    "Xlog1py": _xlog1py,
    "Xlogy": _xlogy,
}


ONNX_LACKS, INT16_LACKS = frozenset(_ONNX_FORMS), frozenset(_INT16_FORMS)


def all_nodes(definition: Any) -> Iterator[Any]:
    """Yields the nodes of a graph and of its functions."""
    yield from definition.node
    for function in definition.library.function:
        yield from function.node_def


def _values(sources: Any) -> list[str]:
    """Returns the inputs of a node that carry values; the others order side effects, which a frozen graph lacks."""
    return [source for source in sources if not source.startswith("^")]


def _output(name: str, place: int) -> str:
    # Definitions write the first output of a node without its number.
    return f"{name}:{place}" if place else name


def _redirected(nodes: list[Any], renamed: dict[str, str]) -> list[Any]:
    """Returns the nodes with inputs that follow a chain of new names."""
    for node in nodes:
        sources = []
        for source in _values(node.input):
            current = source.removesuffix(":0")
            while current in renamed:
                current = renamed[current].removesuffix(":0")
            sources.append(current)
        del node.input[:]
        node.input.extend(sources)
    return nodes


def _definition(source: Any, nodes: list[Any]) -> Any:
    made = import_tensorflow().compat.v1.GraphDef(versions=source.versions, library=source.library)
    made.node.extend(nodes)
    return made
