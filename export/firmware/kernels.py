"""The operators of a TFLite file as TensorFlow Lite Micro names them: how a resolver adds each, and nothing else.

Names from tensorflow/lite/micro/micro_mutable_op_resolver.h of tensorflow/tflite-micro, commit 90b983c2b.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pocketvae.errors import SpecError
from pocketvae.formats.tflite.operators import Operator
from pocketvae.portability.microcontroller import check_microcontroller

# Vela's name of what runs on the NPU.
ETHOS_U = "ethos-u"
_TITLES = {
    "BATCH_MATMUL": "BatchMatMul",
    "CUMSUM": "CumSum",
    "PADV2": "PadV2",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "UnidirectionalSequenceLSTM",
    ETHOS_U: "EthosU",
}
# How options are read, where several operators share a reader.
_PARSERS = {
    "AVERAGE_POOL_2D": "Pool",
    "CUMSUM": "Cumsum",
    "L2_POOL_2D": "Pool",
    "MAX_POOL_2D": "Pool",
    "MEAN": "Reducer",
    "REDUCE_MAX": "Reducer",
    "SUM": "Reducer",
}


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """One operator as a resolver has it.

    Attributes:
        operator: Name in the TFLite schema, such as `CONV_2D`.
        title: As in `AddConv2D`.
        parser: As in `ParseConv2D`.
        count: How often the file has it.
    """

    operator: str
    title: str
    parser: str
    count: int


def kernels_of(operators: Sequence[Operator], name: str) -> tuple[Kernel, ...]:
    """Returns the kernels that a file needs, by name.

    Args:
        operators: Of its main graph, and of those that it runs.
        name: Of the file, for errors.

    Raises:
        SpecError: TensorFlow Lite Micro does not have one of them, or not with these types.
    """
    own = [item for item in operators if item.name != ETHOS_U]
    record = check_microcontroller(own)
    if not record.is_whole:
        parts = [f"{item.operator} ({item.reason})" for item in record.falls_off]
        raise SpecError(f"TensorFlow Lite Micro cannot run {name}: {', '.join(parts)}")
    names = [item.name for item in operators]
    return tuple(
        Kernel(operator=each, title=_title(each), parser=_PARSERS.get(each, _title(each)), count=names.count(each))
        for each in sorted(set(names))
    )


def _title(operator: str) -> str:
    """Returns an operator's name as the resolver's functions have it: `CONV_2D` as `Conv2D`."""
    words = [word if word[0].isdigit() else word.capitalize() for word in operator.split("_")]
    return _TITLES.get(operator, "".join(words))
