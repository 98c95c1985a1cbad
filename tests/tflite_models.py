"""Small TFLite files made without TensorFlow: above all a decoder `z` to `image`, as bundles.py has in ONNX."""

from __future__ import annotations

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

_OPTIONS = {
    "FULLY_CONNECTED": (schema.BuiltinOptions.FullyConnectedOptions, schema.FullyConnectedOptionsT),
    "RESHAPE": (schema.BuiltinOptions.ReshapeOptions, schema.ReshapeOptionsT),
    "SPLIT": (schema.BuiltinOptions.SplitOptions, schema.SplitOptionsT),
    "ADD": (schema.BuiltinOptions.AddOptions, schema.AddOptionsT),
    "DEPTH_TO_SPACE": (schema.BuiltinOptions.DepthToSpaceOptions, schema.DepthToSpaceOptionsT),
}


def decoder(weight: np.ndarray, side: int, *, versions: dict[str, int] | None = None, noted: str = "") -> bytes:
    """z -> FULLY_CONNECTED -> LOGISTIC -> RESHAPE -> image.

    Args:
        weight: `[D, side * side]`.
        side: Of the image.
        versions: Operator name to version, 1 by default.
        noted: What the converter noted as the oldest runtime; empty notes nothing.
    """
    latent, pixels = weight.shape
    file = _File(noted)
    z = file.tensor("z", (1, latent))
    flat, image = file.tensor("flat", (1, pixels)), file.tensor("image", (1, side, side, 1))
    probability = file.tensor("p", (1, pixels))
    w = file.tensor("w", (pixels, latent), weight.T.astype("<f4"))
    shape = file.tensor("shape", (4,), np.array([1, side, side, 1], "<i4"))
    for name, inputs, output in (
        ("FULLY_CONNECTED", [z, w, -1], flat),
        ("LOGISTIC", [flat], probability),
        ("RESHAPE", [probability, shape], image),
    ):
        file.operator(name, (versions or {}).get(name, 1), inputs, [output])
    return file.finish({"z": z}, {"image": image})


def one_operator(name: str, version: int = 1, dtype: str = "FLOAT32", shape: tuple[int, ...] = (1, 4)) -> bytes:
    """A file of one operator that reads and writes one tensor; LiteRT need not be able to run it."""
    file = _File("")
    source, target = (file.tensor(part, shape, dtype=dtype) for part in ("z", "image"))
    file.operator(name, version, [source], [target])
    return file.finish({"z": source}, {"image": target})


def integer_dense(scales: list[float], activations: str = "INT8") -> bytes:
    """A dense layer of int8 weights with these scales, one for each of its outputs or one for all."""
    file = _File("")
    source, target = (file.tensor(part, (1, 4), dtype=activations, scales=[0.5]) for part in ("z", "image"))
    weights = file.tensor("w", (4, 4), np.eye(4, dtype="i1"), scales=scales)
    file.operator("FULLY_CONNECTED", 4, [source, weights, -1], [target])
    return file.finish({"z": source}, {"image": target})


def two_dense(first: np.ndarray, second: np.ndarray, scales: tuple[float, ...], activation: str = "NONE") -> bytes:
    """Two dense layers of int8, one behind the other, from `z` in steps of 0.1 by a latent in steps of 0.4.

    Args:
        first: Its weights `[D, inputs]`, small integers; a bias adds 1.
        second: Its weights `[outputs, D]` in steps of 0.01; a bias takes 2 away.
        scales: Of the first's weights: one, or one for each of its outputs.
        activation: Behind the first.
    """
    file = _File("")
    z, latent = (
        file.tensor(name, (1, size), dtype="INT8", scales=[scale])
        for name, size, scale in (("z", first.shape[1], 0.1), ("latent", len(first), 0.4))
    )
    image = file.tensor("image", (1, len(second)), dtype="INT8", scales=[0.2])
    w1 = file.tensor("w1", first.shape, first.astype("i1"), scales=scales)
    units = 0.1 * np.broadcast_to(scales, len(first))
    b1 = file.tensor("b1", (len(first),), np.rint(1 / units).astype("<i4"), scales=[0.1 * scale for scale in scales])
    w2 = file.tensor("w2", second.shape, second.astype("i1"), scales=[0.01])
    b2 = file.tensor("b2", (len(second),), np.full(len(second), -500, "<i4"), scales=[0.004])
    file.operator("FULLY_CONNECTED", 4, [z, w1, b1], [latent])
    file.graph.operators[-1].builtinOptions.fusedActivationFunction = getattr(schema.ActivationFunctionType, activation)
    file.operator("FULLY_CONNECTED", 4, [latent, w2, b2], [image])
    return file.finish({"z": z}, {"image": image})


def shuffled_dense(
    weight: np.ndarray, shape: tuple[int, int, int, int], block: int, bias: np.ndarray | None = None
) -> bytes:
    """A dense layer of int8 weights `[outputs, inputs]`, its outputs as small images, and a depth-to-space."""
    outputs, inputs = weight.shape
    count, height, width, depth = shape
    large = (count, height * block, width * block, depth // block**2)
    file = _File("")
    z = file.tensor("z", (1, inputs), dtype="INT8", scales=[0.5])
    flat, small, image = (
        file.tensor(name, size, dtype="INT8", scales=[4.0])
        for name, size in (("flat", (1, outputs)), ("small", shape), ("image", large))
    )
    w = file.tensor("w", weight.shape, weight.astype("i1"), scales=[0.25])
    sizes = file.tensor("sizes", (4,), np.array(shape, "<i4"))
    b = -1 if bias is None else file.tensor("b", bias.shape, bias.astype("<i4"), scales=[0.125])
    file.operator("FULLY_CONNECTED", 4, [z, w, b], [flat])
    file.operator("RESHAPE", 1, [flat, sizes], [small])
    file.operator("DEPTH_TO_SPACE", 2, [small], [image])
    file.graph.operators[-1].builtinOptions.blockSize = block
    return file.finish({"z": z}, {"image": image})


def split_dense(packed: np.ndarray, shape: tuple[int, int], parts: int) -> bytes:
    """A dense layer of weights of 4 bits, two in a byte, whose outputs are split, and added up again.

    Args:
        packed: The weights' bytes.
        shape: Of the weights, `[outputs, inputs]`.
        parts: How many.
    """
    file, size = _File(""), shape[0] // parts
    z = file.tensor("z", (1, shape[1]), dtype="INT8", scales=[0.5])
    flat, image, *split = (
        file.tensor(name, (1, count), dtype="INT8", scales=[2.0])
        for name, count in (("flat", shape[0]), ("image", size), *((f"s{i}", size) for i in range(parts)))
    )
    w = file.tensor("w", shape, packed.view("i1"), scales=[0.25] * shape[0])
    file.graph.tensors[w].type = schema.TensorType.INT4
    axis = file.tensor("axis", (), np.array(1, "<i4"))
    file.operator("FULLY_CONNECTED", 4, [z, w, -1], [flat])
    file.operator("SPLIT", 2, [axis, flat], split)
    file.graph.operators[-1].builtinOptions.numSplits = parts
    file.operator("ADD", 2, split[:2], [image])
    return file.finish({"z": z}, {"image": image})


class _File:
    def __init__(self, noted: str) -> None:
        self.model = schema.ModelT()
        self.model.version, self.model.description = 3, "made by hand"
        self.model.buffers, self.model.operatorCodes, self.model.metadata = [schema.BufferT()], [], []
        self.graph = schema.SubGraphT()
        self.graph.tensors, self.graph.operators = [], []
        if noted:
            entry = schema.MetadataT()
            entry.name, entry.buffer = "min_runtime_version", self._buffer(noted.encode().ljust(16, b"\0"))
            self.model.metadata.append(entry)

    def _buffer(self, data: bytes) -> int:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(data, np.uint8)
        self.model.buffers.append(buffer)
        return len(self.model.buffers) - 1

    def tensor(self, name, shape, values=None, dtype="FLOAT32", scales=()) -> int:
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.buffer = name, list(shape), 0
        tensor.type = getattr(schema.TensorType, dtype)
        if values is not None:
            tensor.buffer = self._buffer(values.tobytes())
            kinds = {"i4": schema.TensorType.INT32, "i1": schema.TensorType.INT8}
            tensor.type = kinds.get(values.dtype.str[1:], schema.TensorType.FLOAT32)
        if scales:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = list(scales)
            tensor.quantization.zeroPoint = [0] * len(scales)
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def operator(self, name, version, inputs, outputs) -> None:
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, name)
        code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), version
        self.model.operatorCodes.append(code)
        operator = schema.OperatorT()
        operator.opcodeIndex = len(self.model.operatorCodes) - 1
        operator.inputs, operator.outputs = inputs, outputs
        if name in _OPTIONS:
            operator.builtinOptionsType, options = _OPTIONS[name]
            operator.builtinOptions = options()
        self.graph.operators.append(operator)

    def finish(self, inputs: dict[str, int], outputs: dict[str, int]) -> bytes:
        self.graph.inputs, self.graph.outputs = list(inputs.values()), list(outputs.values())
        signature = schema.SignatureDefT()
        signature.signatureKey, signature.subgraphIndex = "serving_default", 0
        signature.inputs, signature.outputs = ([_entry(*pair) for pair in side.items()] for side in (inputs, outputs))
        self.model.subgraphs, self.model.signatureDefs = [self.graph], [signature]
        return bytes(flatbuffer_utils.convert_object_to_bytearray(self.model))


def _entry(name: str, index: int) -> schema.TensorMapT:
    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = name, index
    return entry
