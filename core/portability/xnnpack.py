"""The operators that XNNPACK supports, as LiteRT decides when it loads a file.

The result holds for the installed version and for this machine's kind of processor.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version

from pocketvae.formats.tflite.operators import Operator
from pocketvae.portability.records import Backend, Portability
from pocketvae.portability.tally import tally
from pocketvae.runtimes.delegation import loaded_graph
from pocketvae.runtimes.litert import open_interpreter

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
    taken = loaded_graph(open_interpreter(content)).delegated
    left = [(operator.name, _REASON) for index, operator in enumerate(operators) if index not in taken]
    return tally(Backend.XNNPACK, len(operators), left, f"ai-edge-litert {version('ai-edge-litert')}")
