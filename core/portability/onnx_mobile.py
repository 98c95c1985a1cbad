"""The operators of an ONNX file that NNAPI and CoreML support, from onnxruntime's usability checker."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from pocketvae.errors import ManifestError, missing_package
from pocketvae.formats.damage import refusing_damage
from pocketvae.formats.onnx.model import load_model
from pocketvae.portability.records import Backend, Portability
from pocketvae.portability.tally import tally

_COREML_TABLES = {
    Backend.COREML: "coreml_supported_neuralnetwork_ops.md",
    Backend.COREML_ML_PROGRAM: "coreml_supported_mlprogram_ops.md",
}
_COREML_LARGEST_RANK = 5


def check_mobile(content: bytes) -> tuple[Portability, ...]:
    """Runs onnxruntime's checker for NNAPI and both kinds of CoreML model.

    Args:
        content: The ONNX file.

    Raises:
        ManifestError: the file is damaged.
        TargetError: onnx or onnxruntime is not installed.
    """
    try:
        import onnx
        from onnxruntime.tools.mobile_helpers import usability_checker
    except ImportError as e:
        raise missing_package("onnx", "export") from e
    with refusing_damage("the ONNX file", "shapes"):
        model = onnx.shape_inference.infer_shapes(load_model(content))
    if not model.graph.node:
        raise ManifestError("the ONNX file has no operators")
    if not model.graph.value_info:
        # Where no operator reads what another returns, nothing lies between them.
        # The checker takes that for shapes that nobody inferred.
        model.graph.value_info.add().CopyFrom(model.graph.output[0])
    source = f"usability checker of onnxruntime {version('onnxruntime')}"
    with refusing_damage("the ONNX file", "operators"):
        found = [(Backend.NNAPI, usability_checker.check_nnapi_partitions(model, True))]
        for backend, table in _COREML_TABLES.items():
            found.append((backend, usability_checker.check_coreml_partitions(model, True, table)))
        return tuple(tally(backend, info.num_nodes, _left(model, info), source) for backend, info in found)


def _left(model: Any, info: Any) -> list[tuple[str, str]]:
    """Returns operator and reason of every node outside the parts that the provider supports."""
    taken = {tuple(node.output) for group in info.supported_groups for node in group}
    return [
        (node.op_type, _reason(f"{node.domain or 'ai.onnx'}:{node.op_type}", info))
        for node in model.graph.node
        if tuple(node.output) not in taken
    ]


def _reason(name: str, info: Any) -> str:
    if name in info.unsupported_ops:
        return "no kernel for it"
    if name in info.ops_with_unsupported_rank:
        return f"more than {_COREML_LARGEST_RANK} dimensions"
    return "an input without a fixed shape"
