import io
import os
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

from pocketvae.data.array_files import open_npz, read_header, read_npy


def header(descr="'|u1'", shape="(3,)", version=(1, 0)):
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY" + bytes(version) + struct.pack("<H", len(text)) + text


def archive(content, name="a.npy", method=zipfile.ZIP_DEFLATED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as opened:
        opened.writestr(name, content)
    return file.getvalue()


@pytest.mark.parametrize("values", [np.arange(6, dtype="<f4").reshape(2, 3), np.array(5), np.zeros((0, 2), np.int64)])
def test_what_numpy_writes_is_read(tmp_path, values):
    np.save(tmp_path / "a.npy", values)
    np.testing.assert_array_equal(read_npy(tmp_path / "a.npy"), values)
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "a.npz", values=values, other=np.array(["text"]))
        with open_npz(tmp_path / "a.npz") as opened:
            assert opened.names == ("values", "other")
            np.testing.assert_array_equal(opened.read("values"), values)


HUGE = 1 << 40


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (header(shape=f"({HUGE},)"), r"claims \d+ bytes"),
        (header(shape=f"({HUGE}, {HUGE}, {HUGE})"), r"claims \d+ bytes"),
        (header("'<f8'") + bytes(8), r"claims 24 bytes"),
        (header(shape="(-1,)"), "its shape must be of at most 8 sizes"),
        (header(shape=str((1,) * 30)), "its shape must be of at most 8 sizes"),
        (header("'|O'"), "must be numbers, got Python objects, object"),
        (header("'<U3'"), "must be numbers, got text, <U3"),
        (header("('<f4', (99999999,))"), "must be numbers|header is damaged"),
        (header("[('a', '<f4')]"), "must be numbers"),
        (header("'nothing'"), "its header is damaged"),
        (header(shape="(" * 300), "its header is damaged"),
        (header(version=(9, 0)), "its header is damaged"),
        (b"\x93NUMPY\x01\x00\xff\xff", "its header is damaged"),
        (b"", "it is empty"),
        (b"a,b\n1,2\n", "it is not a .npy file"),
    ],
)
def test_what_claims_more_than_it_holds_takes_no_memory(tmp_path, content, message):
    (tmp_path / "a.npy").write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=message):
            read_npy(tmp_path / "a.npy")
        wrong = "is damaged" if "must be numbers" not in message else "cannot be used"
        wrong = "(cannot be used|is damaged: its header)" if "|" in message else wrong
        with open_npz(archive(content)) as opened, pytest.raises(ValueError, match=f"its array 'a' {wrong}"):
            opened.read("a")
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_all_arrays_of_an_archive_stay_below_what_is_allowed():
    content = header(shape="(1000,)") + bytes(1000)
    with open_npz(archive(content), most_bytes=1500) as opened:
        assert opened.read("a").shape == (1000,)
        with pytest.raises(ValueError, match=r"claims 1000 bytes, more than such a file holds"):
            opened.read("a")


def test_other_compressions_missing_arrays_and_damaged_archives_are_refused(tmp_path):
    good = header() + bytes(3)
    with open_npz(archive(good, method=zipfile.ZIP_BZIP2)) as opened, pytest.raises(ValueError, match="than deflate"):
        opened.read("a")
    with open_npz(archive(good)) as opened, pytest.raises(ValueError, match="does not hold the array 'b'"):
        opened.read("b")
    with pytest.raises(ValueError, match="is not an .npz archive"), open_npz(os.urandom(100)):
        pass
    with pytest.raises(ValueError, match="it is empty"), open_npz(b""):
        pass
    with pytest.raises(ValueError, match="its header is damaged"):
        read_header(io.BytesIO(b"\x93NUMPY"))
