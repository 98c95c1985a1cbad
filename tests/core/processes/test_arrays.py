"""Arrays as a block, and what is refused when it comes back."""

import numpy as np
import pytest
from safetensors.numpy import save

from pocketvae.errors import DataError
from pocketvae.processes.arrays import pack, unpack


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8", "uint8", "int16", "int32", "int64"])
def test_arrays_come_back_as_they_were(dtype):
    array = np.arange(24).reshape(2, 3, 4).astype(dtype).transpose(0, 2, 1)
    (back,) = unpack(pack({"x": array})).values()
    assert back.dtype == array.dtype
    assert np.array_equal(back, array)


def test_what_is_not_finite_comes_back_too():
    array = np.array([np.nan, np.inf, -np.inf, -0.0], np.float32)
    back = unpack(pack({"x": array}))["x"]
    assert back.tobytes() == array.tobytes()


@pytest.mark.parametrize("shape", [(), (0,), (0, 4), (3, 0, 2)])
def test_arrays_without_values_or_without_axes_come_back(shape):
    array = np.ones(shape, np.int32)
    back = unpack(pack({"x": array, "y": np.zeros(3, np.int8)}))
    assert back["x"].shape == shape
    assert np.array_equal(back["x"], array)
    assert back["y"].tolist() == [0, 0, 0]


def test_the_other_order_of_bytes_is_turned_round():
    assert unpack(pack({"x": np.array([1, 2], ">i4")}))["x"].tolist() == [1, 2]


def test_no_arrays_are_no_block():
    assert pack({}) == b""
    assert unpack(b"") == {}


def test_names_come_in_their_order():
    arrays = {name: np.zeros(1, dtype) for name, dtype in (("z", np.int8), ("a", np.float32), ("m", np.int64))}
    assert list(unpack(pack(arrays))) == ["a", "m", "z"]


def test_a_type_that_no_artifact_has_is_not_sent():
    with pytest.raises(DataError, match="the array 'x' has the unknown type 'object'"):
        pack({"x": np.array([None])})


# Two values are announced, and the bytes of one are there.
_HEADER = b'{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}  '
DOES_NOT_FIT = len(_HEADER).to_bytes(8, "little") + _HEADER + b"abcd"


@pytest.mark.parametrize(
    ("block", "words"),
    [
        (save({"x": np.zeros(2)}), "the array 'x' has the unknown type 'F64'"),
        (save({"x": np.zeros(2, np.float32)})[:-4], "the block of arrays is damaged"),
        (b"nothing", "the block of arrays is damaged"),
        (b"\xff" * 8 + b"{}", "the block of arrays is damaged"),
        (DOES_NOT_FIT, "the block of arrays is damaged"),
    ],
)
def test_what_is_no_block_is_refused(block, words):
    with pytest.raises(DataError, match=words):
        unpack(block)
