"""Arrays as text, and what is refused when it comes back."""

import numpy as np
import pytest

from pocketvae.benchmarks.remote.messages import Tensor, pack, unpack
from pocketvae.errors import TargetError


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


@pytest.mark.parametrize(
    ("tensor", "words"),
    [
        (Tensor(dtype="object", shape=(1,), data="AAAA"), "unknown type 'object'"),
        (Tensor(dtype="float32", shape=(2,), data="AAAAAA=="), r"does not hold \[2\] float32"),
        (Tensor(dtype="float32", shape=(1,), data="not base64"), r"does not hold \[1\] float32"),
    ],
)
def test_what_is_no_array_is_refused(tensor, words):
    with pytest.raises(TargetError, match=words):
        unpack({"x": tensor})
