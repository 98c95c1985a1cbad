"""Arrays as a block of bytes, in the safetensors format: no text, no pickle, checked before numpy sees them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.errors import DataError

Arrays = dict[str, npt.NDArray[Any]]

# What an artifact's tensors can hold, by safetensors' names; anything else is refused.
_DTYPES = {
    "F32": "float32",
    "F16": "float16",
    "I8": "int8",
    "U8": "uint8",
    "I16": "int16",
    "I32": "int32",
    "I64": "int64",
}


def pack(arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """Returns arrays as a block; nothing for none.

    Raises:
        DataError: an array is of a type that no artifact has.
    """
    if not arrays:
        return b""
    # Imported where it is used: most workers send no arrays, and what they hold is measured.
    from safetensors.numpy import save

    for name, array in arrays.items():
        if array.dtype.name not in _DTYPES.values():
            raise DataError(f"the array {name!r} has the unknown type {array.dtype.name!r}")
    return save({name: np.asarray(array, order="C") for name, array in arrays.items()})


def unpack(block: bytes) -> Arrays:
    """Returns the arrays that `pack` wrote, in the order of their names.

    Raises:
        DataError: the block is damaged, or an array is of a type that no artifact has.
    """
    if not block:
        return {}
    from safetensors import SafetensorError, deserialize

    try:
        found = dict(deserialize(block))  # type: ignore[no-untyped-call]
    except SafetensorError as e:
        raise DataError(f"the block of arrays is damaged: {e}") from e
    return {name: _array(name, found[name]) for name in sorted(found)}


def _array(name: str, tensor: Mapping[str, Any]) -> npt.NDArray[Any]:
    if tensor["dtype"] not in _DTYPES:
        raise DataError(f"the array {name!r} has the unknown type {tensor['dtype']!r}")
    dtype = np.dtype(_DTYPES[tensor["dtype"]])
    # Little-endian on the wire, whatever this machine is.
    return np.frombuffer(tensor["data"], dtype.newbyteorder("<")).reshape(tensor["shape"]).astype(dtype)
