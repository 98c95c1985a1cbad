import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from pocketvae.data import image_decoder
from pocketvae.data.image_decoder import collected_warnings, examine


def report(path, *, pixels=True):
    with collected_warnings() as caught:
        return examine(path, caught, pixels=pixels)


def picture(path, mode="RGB", **options):
    Image.new(mode, (6, 4), 7 if mode == "L" else None).save(path, **options)
    return path


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "WEBP", "GIF", "TIFF"])
def test_formats_of_the_list_are_read_whatever_the_ending_says(tmp_path, kind):
    found, pixels = report(picture(tmp_path / "a.png", format=kind))
    assert (found.problem, found.note, found.shape) == ("", "", (4, 6, 3))
    assert pixels.shape == (4, 6, 3)
    assert report(tmp_path / "a.png", pixels=False) == (found, None)


@pytest.mark.parametrize("kind", ["PPM", "ICO", "TGA", "PCX", "EPS", "DDS"])
def test_other_formats_are_refused_whatever_the_ending_says(tmp_path, kind):
    found, pixels = report(picture(tmp_path / "a.png", format=kind))
    assert found.problem.startswith("cannot be read as an image: cannot identify image file")
    assert found.is_damaged
    assert pixels is None


def test_a_file_with_too_many_pixels_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    monkeypatch.setattr(image_decoder, "LARGEST_PIXELS", 23)
    found, pixels = report(picture(tmp_path / "a.png"))
    assert found.problem == "must have at most 23 pixels, got 6x4"
    assert pixels is None


@pytest.mark.parametrize("error", [NotImplementedError("mode"), MemoryError(), IndexError("x"), RecursionError("x")])
def test_whatever_a_decoder_raises_is_damage(tmp_path, monkeypatch, error):
    def fail(*_, **__):
        raise error

    picture(tmp_path / "a.png")
    monkeypatch.setattr(Image, "open", fail)
    found, _ = report(tmp_path / "a.png")
    assert found.is_damaged
    assert found.problem == f"cannot be read as an image: {str(error) or type(error).__name__}"


def test_warnings_are_notes_unless_they_are_of_pixels(tmp_path, monkeypatch, recwarn):
    picture(tmp_path / "a.tiff")
    opened = Image.open

    for message, note, problem in (
        ("Corrupt EXIF data. Expecting to read 2 bytes", "Corrupt EXIF data. Expecting to read 2 bytes", ""),
        ("Metadata Warning, tag 305 had too many entries", "Metadata Warning, tag 305 had too many entries", ""),
        ("Metadata Warning, tag 273 had too many entries", "", "cannot be read as an image: Metadata Warning, tag 273"),
        ("Truncated File Read", "", "cannot be read as an image: Truncated File Read"),
        ("Palette images with Transparency expressed in bytes", "", ""),
    ):

        def warn(*given, message=message, **named):
            warnings.warn(message, UserWarning, stacklevel=1)
            return opened(*given, **named)

        monkeypatch.setattr(Image, "open", warn)
        found, _ = report(tmp_path / "a.tiff")
        assert found.note == note
        assert found.problem.startswith(problem)
        assert bool(found.problem) == bool(problem)
    assert not recwarn.list


def test_a_damaged_exif_block_is_a_note_and_the_pixels_are_right(tmp_path):
    exif = b"Exif\0\0MM\0*\0\0\0\x08" + struct.pack(">HHHII", 1, 0x011A, 5, 1, 9999)
    picture(tmp_path / "a.jpg", "L", format="JPEG", exif=exif)
    found, pixels = report(tmp_path / "a.jpg")
    assert found.note
    np.testing.assert_array_equal(pixels, np.full((4, 6, 1), 7))


@pytest.mark.parametrize("kind", ["PNG", "GIF", "WEBP", "TIFF"])
def test_files_of_several_frames_are_refused_with_their_number(tmp_path, kind):
    frames = [Image.new("L", (6, 4), value) for value in (0, 90, 200)]
    frames[0].save(tmp_path / "a", format=kind, save_all=True, append_images=frames[1:])
    problem = (
        f"has 3 {'pages' if kind == 'TIFF' else 'frames'}, but an image must be one: "
        "save each as a file of its own, for instance by ImageMagick"
    )
    for pixels in (False, True):
        found, values = report(tmp_path / "a", pixels=pixels)
        assert (found.problem, found.is_damaged, values) == (problem, False, None)
    frames[1].save(tmp_path / "a", format=kind, save_all=True)
    assert report(tmp_path / "a")[1][0, 0, 0] == 90


@pytest.mark.parametrize(("tag", "value"), [(254, 1), (255, 2)])
def test_a_smaller_copy_in_a_tiff_file_is_no_page(tmp_path, tag, value):
    copy = Image.new("L", (3, 2), 1)
    copy.encoderinfo = {"tiffinfo": {tag: value}}
    Image.new("L", (6, 4), 7).save(tmp_path / "a.tif", save_all=True, append_images=[copy])
    with Image.open(tmp_path / "a.tif") as opened:
        assert opened.n_frames == 2
    found, pixels = report(tmp_path / "a.tif")
    assert (found.problem, found.shape) == ("", (4, 6, 1))
    np.testing.assert_array_equal(pixels, np.full((4, 6, 1), 7))


def test_the_previews_behind_a_photograph_are_no_images(tmp_path):
    photograph, preview = Image.new("RGB", (6, 4), "white"), Image.new("RGB", (3, 2))
    photograph.save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[preview])
    found, pixels = report(tmp_path / "a.jpg")
    assert (found.problem, found.shape) == ("", (4, 6, 3))
    assert pixels.min() == 255


@pytest.mark.parametrize(
    ("kind", "mode", "seen", "unseen"),
    [
        ("PNG", "1", 1, 0),
        ("PNG", "L", 255, 100),
        ("GIF", "L", 255, 100),
        ("PNG", "RGB", (255, 255, 255), (9, 8, 7)),
    ],
)
def test_transparent_pixels_are_refused_in_grey_as_in_colour(tmp_path, kind, mode, seen, unseen):
    image = Image.new("L", (6, 4), 255).convert(mode)
    image.save(tmp_path / "a", format=kind, transparency=seen)
    found, pixels = report(tmp_path / "a")
    assert found.problem == "has transparent pixels: flatten it onto a background first"
    assert pixels is None
    image.save(tmp_path / "a", format=kind, transparency=unseen)
    found, pixels = report(tmp_path / "a")
    assert found.problem == ""
    assert pixels.min() == 255


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_the_transparent_value_of_few_bits_is_scaled_like_the_pixels(tmp_path, bits):
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    def png(value):
        head = struct.pack(">IIBBBBB", 8 // bits, 1, bits, 0, 0, 0, 0)
        row = zlib.compress(b"\0\x80")  # the first pixel is 2^bits / 2, all others are 0
        parts = ((b"IHDR", head), (b"tRNS", struct.pack(">H", value)), (b"IDAT", row), (b"IEND", b""))
        return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)

    highest = 2 ** (bits - 1)
    (tmp_path / "a.png").write_bytes(png(highest))
    assert report(tmp_path / "a.png")[0].problem == "has transparent pixels: flatten it onto a background first"
    if bits > 1:
        (tmp_path / "a.png").write_bytes(png(1))
        found, pixels = report(tmp_path / "a.png")
        assert found.problem == ""
        assert pixels[0, :, 0].tolist() == [highest * 255 // (2**bits - 1), *[0] * (8 // bits - 1)]
