import subprocess
import sys
import tempfile

import numpy as np
import pytest
from PIL import Image

from pocketvae.data.image_folder import decode_folder, list_folder
from pocketvae.errors import DataError
from pocketvae.progress import ignore_progress


@pytest.fixture
def folder(tmp_path):
    """Ten grey images of 4 rows and 6 columns; image i has the grey value i everywhere."""
    for index in range(10):
        Image.new("L", (6, 4), index).save(tmp_path / f"{index}.png")
    return tmp_path


def decode(folder, order=None, *, skip_corrupt=False, progress=ignore_progress):
    listing = list_folder(folder)
    order = np.arange(len(listing.files)) if order is None else np.array(order)
    return decode_folder(listing, order, skip_corrupt=skip_corrupt, progress=progress)


def greys(decoded):
    return decoded.images[:, 0, 0, 0].tolist()


def test_images_lie_in_the_order_asked_for(folder):
    decoded = decode(folder, [3, 1, 2, 0, 9, 8, 7, 6, 5, 4])
    assert decoded.images.shape == (10, 4, 6, 1)
    assert greys(decoded) == [3, 1, 2, 0, 9, 8, 7, 6, 5, 4]
    assert decoded.labels is None


def test_pixels_lie_in_a_file_that_has_no_name(folder, tmp_path, monkeypatch):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    images = decode(folder).images
    assert isinstance(images, np.memmap)
    assert list(scratch.iterdir()) == []


def test_subfolders_are_classes_in_alphabetical_order(tmp_path):
    for name, grey in (("zebra", 9), ("ant", 1), ("bee", 2)):
        (tmp_path / name / "deeper").mkdir(parents=True)
        Image.new("L", (4, 4), grey).save(tmp_path / name / "deeper" / "x.png")
    listing = list_folder(tmp_path)
    assert listing.classes == {"ant": 0, "bee": 1, "zebra": 2}
    decoded = decode(tmp_path, [2, 0, 1])
    assert greys(decoded) == [9, 1, 2]
    assert decoded.labels.tolist() == [2, 0, 1]


def test_an_image_outside_of_the_subfolders_leaves_all_without_labels(tmp_path):
    (tmp_path / "ant").mkdir()
    for file in (tmp_path / "ant" / "x.png", tmp_path / "stray.png"):
        Image.new("L", (4, 4)).save(file)
    assert list_folder(tmp_path).labels is None


def test_known_classes_are_kept(tmp_path):
    (tmp_path / "bee").mkdir()
    Image.new("L", (4, 4)).save(tmp_path / "bee" / "x.png")
    assert list_folder(tmp_path, {"ant": 0, "bee": 1}).labels.tolist() == [1]
    with pytest.raises(DataError, match="has the subfolder 'bee', which the training images do not have"):
        list_folder(tmp_path, {"ant": 0})


def test_one_colour_image_makes_all_have_three_channels(folder):
    Image.new("RGB", (6, 4), (10, 20, 30)).save(folder / "5.png")
    images = decode(folder).images
    assert images.shape == (10, 4, 6, 3)
    assert images[5, 0, 0].tolist() == [10, 20, 30]
    assert images[6, 0, 0].tolist() == [6, 6, 6]


@pytest.mark.parametrize("mode", ["P", "CMYK", "RGBA", "LA"])
def test_other_modes_of_8_bits_are_read_as_colours(tmp_path, mode):
    name = "x.tif" if mode == "CMYK" else "x.png"
    Image.new("RGB", (2, 2), (200, 200, 200)).convert(mode).save(tmp_path / name)
    # A palette may have the nearest colour alone.
    np.testing.assert_allclose(decode(tmp_path).images, np.full((1, 2, 2, 3), 200), atol=6)


def test_a_mode_of_more_bits_is_refused(folder):
    Image.new("I;16", (6, 4)).save(folder / "5.png")
    with pytest.raises(DataError, match=r"5\.png must have 8 bits per channel, got the mode I;16"):
        decode(folder)


def test_transparent_pixels_are_refused_even_with_the_flag(folder):
    Image.new("RGBA", (6, 4), (0, 0, 0, 254)).save(folder / "5.png")
    with pytest.raises(DataError, match=r"5\.png has transparent pixels"):
        decode(folder, skip_corrupt=True)


def test_another_size_is_refused_even_with_the_flag(folder):
    Image.new("L", (6, 5)).save(folder / "5.png")
    with pytest.raises(DataError, match=r"the same size: .*0\.png is 6x4, .*5\.png is 6x5"):
        decode(folder, skip_corrupt=True)


def break_header(file):
    file.write_bytes(b"no image at all")


def break_pixels(file):
    # The header is whole: only decoding finds out.
    Image.effect_noise((6, 4), 90).save(file)
    file.write_bytes(file.read_bytes()[:-30])


@pytest.mark.parametrize("damage", [break_header, break_pixels])
def test_a_corrupt_image_in_the_middle_is_named(folder, damage):
    damage(folder / "5.png")
    with pytest.raises(DataError, match=r"5\.png cannot be read as an image"):
        decode(folder)


@pytest.mark.parametrize("damage", [break_header, break_pixels])
def test_a_corrupt_image_is_left_out_with_the_flag_and_named(folder, damage):
    damage(folder / "5.png")
    decoded = decode(folder, [9, 8, 5, 0, 1, 2, 3, 4, 6, 7], skip_corrupt=True)
    assert greys(decoded) == [9, 8, 0, 1, 2, 3, 4, 6, 7]
    (reason,) = decoded.skipped
    assert reason.startswith(f"{folder / '5.png'} cannot be read as an image: ")


def test_a_folder_in_which_nothing_can_be_read(folder):
    for file in folder.iterdir():
        break_header(file)
    with pytest.raises(DataError, match=r"none of the 10 image files can be read; .*0\.png cannot be read"):
        decode(folder, skip_corrupt=True)


def test_progress_ends_with_the_last_image(folder):
    told = []
    decode(folder, progress=told.append)
    assert [(step.stage, step.done, step.total) for step in told] == [("reading images", 10, 10)]


def test_a_disk_without_room_is_an_error_in_words(folder, monkeypatch):
    make = tempfile.TemporaryFile

    def without_room(**given):
        if given:
            raise OSError(28, "No space left")
        return make()

    monkeypatch.setattr(tempfile, "TemporaryFile", without_room)
    with pytest.raises(
        DataError, match=r"not enough space for \(10, 4, 6, 1\) pixels in .*: set TMPDIR .*No space left"
    ):
        decode(folder)


# The process's own memory, without the pages of files that it has mapped.
ANONYMOUS_MEMORY = """
import sys
import numpy as np
from pocketvae.data.image_folder import decode_folder, list_folder
from pocketvae.progress import ignore_progress

def anonymous_kb():
    with open("/proc/self/status") as status:
        return int(next(line for line in status if line.startswith("RssAnon")).split()[1])

listing = list_folder(__import__("pathlib").Path(sys.argv[1]))
warm = decode_folder(listing, np.arange(3), skip_corrupt=False, progress=ignore_progress)
before = anonymous_kb()
decoded = decode_folder(listing, np.arange(len(listing.files)), skip_corrupt=False, progress=ignore_progress)
print(decoded.images.nbytes // 1024, anonymous_kb() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_decoding_a_folder_keeps_its_pixels_out_of_the_process_s_own_memory(tmp_path):
    # The same file under many names: 1,200 images of 48 kB are 56 MB decoded and little to write.
    Image.linear_gradient("L").resize((128, 128)).convert("RGB").save(tmp_path / "0000.png")
    for index in range(1, 1200):
        (tmp_path / f"{index:04d}.png").hardlink_to(tmp_path / "0000.png")
    done = subprocess.run(
        [sys.executable, "-c", ANONYMOUS_MEMORY, str(tmp_path)], capture_output=True, text=True, check=True
    )
    decoded_kb, grown_kb = map(int, done.stdout.split())
    assert decoded_kb == 1200 * 48
    assert grown_kb < decoded_kb / 4
