import struct
import warnings

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
