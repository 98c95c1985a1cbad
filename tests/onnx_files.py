"""ONNX files in the forms that torch.onnx.export writes, built with onnx alone."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def node(kind, inputs, outputs, domain="", **attributes):
    names = [name.split() for name in (inputs, outputs)]
    return helper.make_node(
        kind, *([*("" if item == "-" else item for item in names[0])], names[1]), domain=domain, **attributes
    )


def model(nodes, inputs, outputs, weights=None, opset=17, dtype=TensorProto.FLOAT, producer="pytorch", functions=()):
    """Returns a model; `inputs` and `outputs` are shapes by name, whose open sizes are text."""
    stored = [numpy_helper.from_array(np.asarray(values), name) for name, values in (weights or {}).items()]
    graph = helper.make_graph(
        nodes,
        "main_graph",
        [helper.make_tensor_value_info(name, dtype, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, dtype, shape) for name, shape in outputs.items()],
        stored,
    )
    domains = {item.domain for item in nodes} - {""}
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8, producer_name=producer, functions=functions)


def save(made, path):
    onnx.save(made, path)
    return path


def values(rng, *shape, dtype=np.float32):
    return (0.3 * rng.standard_normal(shape)).astype(dtype)


def conv_decoder(batch="batch", opset=17, dtype=np.float32, seed=0):
    """z [N, 6] -> image [N, 3, 8, 8]: Gemm, Reshape by sizes, ConvTranspose, BatchNormalization, Sigmoid."""
    rng = np.random.default_rng(seed)
    own = {
        "w": values(rng, 64, 6, dtype=dtype),
        "b": values(rng, 64, dtype=dtype),
        "zero": np.array(0),
        "axis": np.array([0]),
        "rest": np.array([4, 4, 4]),
        "up": values(rng, 4, 5, 3, 3, dtype=dtype),
        "scale": values(rng, 5, dtype=dtype),
        "bias": values(rng, 5, dtype=dtype),
        "mean": values(rng, 5, dtype=dtype),
        "var": (np.abs(values(rng, 5)) + 0.5).astype(dtype),
        "out": values(rng, 3, 5, 3, 3, dtype=dtype),
    }
    nodes = [
        node("Gemm", "z w b", "h", transB=1),
        node("Shape", "z", "s"),
        node("Gather", "s zero", "n", axis=0),
        node("Unsqueeze", "n axis", "n1") if opset >= 13 else node("Unsqueeze", "n", "n1", axes=[0]),
        node("Concat", "n1 rest", "shape", axis=0),
        node("Reshape", "h shape", "r"),
        node("ConvTranspose", "r up", "u", kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4, output_padding=[1, 1]),
        node("BatchNormalization", "u scale bias mean var", "k"),
        node("LeakyRelu", "k", "l", alpha=0.1),
        node("Conv", "l out", "logits", kernel_shape=[3, 3], pads=[1] * 4),
        node("Sigmoid", "logits", "image"),
    ]
    kind = TensorProto.FLOAT16 if dtype == np.float16 else TensorProto.FLOAT
    return model(nodes, {"z": [batch, 6]}, {"image": [batch, 3, 8, 8]}, own, opset, kind)


def sampling_nodes(scale="half"):
    """Returns nodes that draw z from mu and logvar."""
    return [
        node("Mul", f"logvar {scale}", "hv"),
        node("Exp", "hv", "std"),
        node("RandomNormalLike", "std", "eps"),
        node("Mul", "eps std", "noise"),
        node("Add", "mu noise", "z"),
    ]


def two_levels(outputs=("y", "mu", "logvar", "mu_2", "logvar_2")):
    """x [N, 12] -> y [N, 12] and the moments of two latents [N, 4]; the second depends on a sample of the first."""
    rng = np.random.default_rng(3)
    own = {name: values(rng, 12, 4) for name in ("m", "v")} | {name: values(rng, 16, 4) for name in ("m_2", "v_2")}
    own |= {"d": values(rng, 8, 12), "half": np.float32(0.5)}
    again = [
        node(
            item.op_type,
            " ".join(f"{name}_2" if name != "half" else name for name in item.input),
            f"{item.output[0]}_2",
        )
        for item in sampling_nodes()
    ]
    nodes = [
        node("MatMul", "x m", "mu"),
        node("MatMul", "x v", "logvar"),
        *sampling_nodes(),
        node("Concat", "x z", "both", axis=1),
        node("MatMul", "both m_2", "mu_2"),
        node("MatMul", "both v_2", "logvar_2"),
        *again,
        node("Concat", "z z_2", "latents", axis=1),
        node("MatMul", "latents d", "y"),
    ]
    return model(nodes, {"x": ["b", 12]}, {name: ["b", 12 if name == "y" else 4] for name in outputs}, own)


def conv_encoder(batch="batch", seed=1, draws=False, outputs=("mu", "logvar")):
    """x [N, 3, 8, 8] -> mu, logvar [N, 6]."""
    rng = np.random.default_rng(seed)
    own = {"c": values(rng, 4, 3, 3, 3), "m": values(rng, 6, 64), "v": values(rng, 6, 64), "half": np.float32(0.5)}
    nodes = [
        node("Conv", "x c", "h", kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4),
        node("Relu", "h", "a"),
        node("Flatten", "a", "f", axis=1),
        node("Gemm", "f m", "mu", transB=1),
        node("Gemm", "f v", "logvar", transB=1),
        *(sampling_nodes() if draws else []),
    ]
    return model(nodes, {"x": [batch, 3, 8, 8]}, {name: [batch, 6] for name in outputs}, own)


def whole_vae(scale=0.5, dtype=np.float32):
    """x [N, 12] -> reconstruction [N, 12], mu, logvar [N, 4]."""
    rng = np.random.default_rng(2)
    own = {name: values(rng, *shape, dtype=dtype) for name, shape in (("m", (12, 4)), ("v", (12, 4)), ("d", (4, 12)))}
    own["half"] = np.asarray(scale, dtype)
    nodes = [
        node("MatMul", "x m", "mu"),
        node("MatMul", "x v", "logvar"),
        *sampling_nodes(),
        node("MatMul", "z d", "y"),
        node("Tanh", "y", "reconstruction"),
    ]
    shapes = {"reconstruction": ["b", 12], "mu": ["b", 4], "logvar": ["b", 4]}
    return model(nodes, {"x": ["b", 12]}, shapes, own, dtype=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


def conditional_vae(read="z c"):
    """c [N, 3], x [N, 12] -> reconstruction [N, 12]; the decoder reads the latent [N, 4] and what else is named."""
    rng = np.random.default_rng(2)
    own = {"m": values(rng, 15, 4), "v": values(rng, 15, 4), "half": np.float32(0.5)}
    own["d"] = values(rng, sum({"z": 4, "c": 3, "x": 12}[name] for name in read.split()), 12)
    nodes = [
        node("Concat", "x c", "both", axis=1),
        node("MatMul", "both m", "mu"),
        node("MatMul", "both v", "logvar"),
        *sampling_nodes(),
        node("Concat", read, "taken", axis=1),
        node("MatMul", "taken d", "y"),
        node("Tanh", "y", "reconstruction"),
    ]
    return model(nodes, {"c": ["b", 3], "x": ["b", 12]}, {"reconstruction": ["b", 12]}, own)


def codes_of_vectors(batch="batch"):
    """x [N, 1, 12, 12] -> codes [N, 3, 3] int64: the nearest of 8 vectors, all places of all images in one matrix."""
    rng = np.random.default_rng(4)
    book = values(rng, 8, 4)
    own = {"w": values(rng, 4, 1, 4, 4), "e": book.T.copy(), "ee": np.sum(book**2, axis=1), "two": np.float32(-2)}
    own |= {"rows": np.array([-1, 4]), "grid": np.array([-1, 3, 3]), "last": np.array([-1])}
    nodes = [
        node("Conv", "x w", "f", strides=[4, 4], kernel_shape=[4, 4]),
        node("Transpose", "f", "t", perm=[0, 2, 3, 1]),
        node("Reshape", "t rows", "r"),
        node("MatMul", "r e", "m"),
        node("Mul", "m two", "mm"),
        node("Mul", "r r", "rr"),
        node("ReduceSum", "rr last", "s", keepdims=1),
        node("Add", "s ee", "a"),
        node("Add", "a mm", "distances"),
        node("ArgMin", "distances", "nearest", axis=1, keepdims=0),
        node("Reshape", "nearest grid", "codes"),
    ]
    made = model(nodes, {"x": [batch, 1, 12, 12]}, {"codes": [batch, 3, 3]}, own)
    made.graph.output[0].type.tensor_type.elem_type = TensorProto.INT64
    return made


def decoder_of_codes(batch="batch"):
    """codes [N, 3, 3] int64 -> image [N, 1, 12, 12]: a table of 8 vectors, ConvTranspose, Sigmoid."""
    rng = np.random.default_rng(4)
    own = {"book": values(rng, 8, 4), "w": values(rng, 4, 1, 4, 4)}
    nodes = [
        node("Gather", "book codes", "g", axis=0),
        node("Transpose", "g", "t", perm=[0, 3, 1, 2]),
        node("ConvTranspose", "t w", "logits", strides=[4, 4], kernel_shape=[4, 4]),
        node("Sigmoid", "logits", "image"),
    ]
    made = model(nodes, {"codes": [batch, 3, 3]}, {"image": [batch, 1, 12, 12]}, own)
    made.graph.input[0].type.tensor_type.elem_type = TensorProto.INT64
    return made
