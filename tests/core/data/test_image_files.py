import gzip
import struct

import numpy as np
import pytest

from pocketvae.data.image_files import check_whole_numbers, parse_idx, read_source
from pocketvae.errors import DataError

IMAGES = np.zeros((3, 2, 2), np.uint8)


def idx(*sizes, rank=None, kind=8, content=b""):
    head = bytes([0, 0, kind, len(sizes) if rank is None else rank])
    return head + b"".join(struct.pack(">I", size) for size in sizes) + content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (idx(*[2**32 - 1] * 255), r"must hold images \(rank 3\) or labels \(rank 1\), got rank 255"),
        (b"\0\0\x08", "is not an image file|begin with two zero bytes"),
        (idx(rank=0), "got rank 0"),
        (idx(2**32 - 1, 2**32 - 1, 2**32 - 1), r"must hold 79228162458924105385300197375 bytes"),
        (idx(2**31, 2**31, 4), r"must hold 18446744073709551616 bytes for the shape"),
        (idx(2, 2, rank=3), "is truncated inside its header"),
        (idx(2, 2, 2, content=bytes(9)), "must hold 8 bytes"),
    ],
)
def test_absurd_idx_headers_are_refused(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        parse_idx(content, "x")
    for name, data in (("images", content), ("images.gz", gzip.compress(content))):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DataError, match=message.replace("must hold 8 bytes", "must hold 8")):
            read_source(tmp_path / name)


def test_an_idx_file_is_unpacked_as_far_as_its_header_says(tmp_path):
    (tmp_path / "images.gz").write_bytes(gzip.compress(idx(1, 2, 2, content=bytes(4)) + bytes(50 << 20)))
    with pytest.raises(DataError, match=r"must hold 4 bytes for the shape \(1, 2, 2\), got 5"):
        read_source(tmp_path / "images.gz")


def test_the_labels_of_an_idx_file_have_rank_1(tmp_path):
    for name in ("images-idx3-ubyte", "labels-idx1-ubyte"):
        (tmp_path / name).write_bytes(idx(1, 2, 2, content=bytes(4)))
    with pytest.raises(DataError, match=r"labels-idx1-ubyte must be an idx file of labels \(rank 1\), got rank 3"):
        read_source(tmp_path / "images-idx3-ubyte")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1, np.nan], "holds 1 labels that are NaN or infinite"),
        ([0, np.inf, 2], "holds 1 labels that are NaN or infinite"),
        ([0, 0.5, 1], "labels must be whole numbers, got 0.5"),
        ([0, 2**40, 1], "labels must be 0 to 65535, got 0 to 1099511627776"),
        ([0, -1, 1], "labels must be 0 to 65535, got -1 to 1"),
        (["a", "b", "c"], "its values must be numbers"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_labels_that_are_no_class_indices_are_refused(tmp_path, labels, message):
    np.savez(tmp_path / "a.npz", images=IMAGES, labels=np.array(labels))
    with pytest.raises(DataError, match=message):
        read_source(tmp_path / "a.npz")


@pytest.mark.parametrize("dtype", ["float32", "int64", "uint8", "bool"])
def test_labels_of_any_type_are_taken_if_they_are_whole(tmp_path, dtype):
    np.savez(tmp_path / "a.npz", images=IMAGES, labels=np.array([[0], [1], [1]], dtype))
    (_, labels), _ = read_source(tmp_path / "a.npz")
    assert labels.dtype == np.int32
    assert labels.tolist() == [0, 1, 1]


def test_images_that_would_be_rounded_are_refused_by_their_header(tmp_path):
    np.save(tmp_path / "real.npy", IMAGES.astype("<f4"))
    np.savez(tmp_path / "real.npz", x_test=IMAGES, x_train=IMAGES.astype("<f8"))
    for name, kind in (("real.npy", "float32"), ("real.npz", "float64")):
        with pytest.raises(DataError, match=f"{name} holds {kind}, which would be rounded to 8 bits: leave out --los"):
            check_whole_numbers(tmp_path / name)
    np.save(tmp_path / "whole.npy", IMAGES)
    np.savez(tmp_path / "whole.npz", x_test=IMAGES.astype("<f4"), x_train=IMAGES)
    np.savez(tmp_path / "none.npz", other=IMAGES.astype("<f4"))
    (tmp_path / "damaged.npz").write_bytes(b"PK")
    (tmp_path / "damaged.npy").write_bytes(b"")
    for name in ("whole.npy", "whole.npz", "none.npz", "damaged.npz", "damaged.npy", "missing.npy", "mnist"):
        check_whole_numbers(tmp_path / name)
