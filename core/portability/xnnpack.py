"""The operators that XNNPACK supports, as LiteRT decides when it loads a file.

The result holds for the installed version and for this machine's kind of processor.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from pocketvae.errors import ParityError, missing_package
from pocketvae.formats.tflite.operators import Operator
from pocketvae.portability.records import Backend, Portability
from pocketvae.portability.tally import tally
from pocketvae.system.quiet import quiet_stderr

_REASON = "left to LiteRT's built-in kernels"


def check_xnnpack(content: bytes, operators: Sequence[Operator]) -> Portability:
    """Loads a file in LiteRT with its default delegate and returns which operators it replaced.

    Args:
        content: The TFLite file.
        operators: Operators of its main subgraph.

    Raises:
        ParityError: LiteRT cannot load the file.
        TargetError: ai-edge-litert is not installed.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as e:
        raise missing_package("ai-edge-litert", "run") from e
    try:
        with quiet_stderr():
            interpreter = Interpreter(model_content=content, num_threads=1)
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as e:
        raise ParityError(f"LiteRT cannot load the file: {str(e).strip().splitlines()[0][:200]}") from e
    # The interpreter lists the file's operators and behind them one node for each delegated part.
    nodes = interpreter._get_ops_details()[len(operators) :]
    taken = set().union(*(_replaced(node, operators) for node in nodes))
    left = [(operator.name, _REASON) for index, operator in enumerate(operators) if index not in taken]
    return tally(Backend.XNNPACK, len(operators), left, f"ai-edge-litert {version('ai-edge-litert')}")


def _replaced(node: Any, operators: Sequence[Operator]) -> set[int]:
    """Returns the operators between a delegated part's outputs and its inputs."""
    producers = {tensor: index for index, operator in enumerate(operators) for tensor in operator.output_indices}
    inputs = {int(tensor) for tensor in node["inputs"]}
    waiting = [int(tensor) for tensor in node["outputs"]]
    found: set[int] = set()
    while waiting:
        index = producers.get(waiting.pop())
        if index is not None and index not in found:
            found.add(index)
            waiting += [tensor for tensor in operators[index].input_indices if tensor not in inputs]
    return found
