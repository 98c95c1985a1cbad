import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pocketvae.data import image_process
from pocketvae.data.image_folder import read_images
from pocketvae.data.image_process import ImageProcess
from pocketvae.errors import DataError, ImageWarning

pytestmark = pytest.mark.usefixtures("cold_workers")


def grey(path, value, size=(6, 4)):
    Image.new("L", size, value).save(path)
    return path


@pytest.mark.skipif(sys.platform == "win32", reason="pipes with a name are a matter of POSIX")
def test_a_file_that_keeps_its_decoder_busy_is_given_up_and_costs_only_itself(tmp_path, monkeypatch):
    # A pipe that nobody writes to is never read to its end.
    os.mkfifo(tmp_path / "pipe.png")
    monkeypatch.setattr(image_process, "_EACH_S", 0.0)
    files = [grey(tmp_path / "a.png", 1), tmp_path / "pipe.png", grey(tmp_path / "b.png", 2)]
    with ImageProcess(file_limit_s=1.0) as process:
        found = list(process.images(files, 24))
    assert [report.problem for _, report, _ in found] == [
        "",
        "cannot be read as an image: its decoder took longer than 1 s and was ended",
        "",
    ]
    assert [pixels[0, 0, 0] for _, _, pixels in found if pixels is not None] == [1, 2]


def test_images_of_any_size_come_in_order_in_messages_of_bounded_size(tmp_path):
    name = "b\udcff.png" if sys.platform == "linux" else "b.png"
    files = [grey(tmp_path / f"{index}.png", index, (900 + index, 1000)) for index in range(5)]
    files.append(grey(tmp_path / os.fsdecode(name), 5))
    for index, pixels in enumerate(read_images(files)):
        assert pixels[0, 0, 0] == index
        assert pixels.shape == ((1000, 900 + index, 1) if index < 5 else (4, 6, 1))
    with ImageProcess() as process:
        assert [file for file, _ in process.headers(files)] == files
        # Several at once do not fit a message, so the rest is asked for again.
        assert [pixels[0, 0, 0] for _, _, pixels in process.images(files, 24)] == [0, 1, 2, 3, 4, 5]


def test_notes_are_said_once_and_name_the_first_file(tmp_path):
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x1a\0\x05\0\0\0\x01\0\0\x27\x0f"
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        Image.new("L", (6, 4)).save(tmp_path / name, exif=exif)
    with pytest.warns(ImageWarning, match=r"a\.jpg: .* \(and 2 more files\); the pixels are not affected") as told:
        assert len(list(read_images(sorted(tmp_path.iterdir())))) == 3
    assert [warning.category for warning in told].count(ImageWarning) == 1


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"none\.png cannot be read as an image: .*No such file"):
        list(read_images([Path(tmp_path / "none.png")]))
    assert np.array(list(read_images([]))).size == 0
