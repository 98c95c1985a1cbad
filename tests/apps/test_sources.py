"""Images in the size and mode that a model takes."""

import numpy as np
import pytest
from PIL import Image

from pocketvae.apps import load_images
from pocketvae.errors import DataError
from pocketvae.spec import VaeSpec

GREY = VaeSpec(image_shape=(6, 6, 1), latent_dim=3)
COLOUR = VaeSpec(image_shape=(6, 6, 3), latent_dim=3)


@pytest.fixture
def folder(tmp_path):
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        for number in range(2):
            Image.new("L", (6, 6), number * 90).save(tmp_path / label / f"{number}.png")
    return tmp_path


def test_a_folder_brings_names_and_labels(folder):
    source = load_images(str(folder), GREY)
    assert source.names == ("a/0.png", "a/1.png", "b/0.png", "b/1.png")
    assert source.labels.tolist() == [0, 0, 1, 1]
    assert source.images[:, 0, 0, 0].tolist() == [0, 90, 0, 90]
    assert len(source.first(3)) == 3


def test_one_file_is_one_image(folder):
    assert load_images(str(folder / "a" / "1.png"), GREY).images.shape == (1, 6, 6, 1)


def test_arrays_are_read_and_numbered(tmp_path):
    np.savez(tmp_path / "x.npz", images=np.zeros((3, 6, 6), np.uint8), labels=[2, 1, 0])
    source = load_images(str(tmp_path / "x.npz"), GREY)
    assert source.names == ("0", "1", "2")
    assert source.labels.tolist() == [2, 1, 0]


def test_mnist_is_its_test_images():
    source = load_images("mnist", VaeSpec(image_shape=(28, 28, 1), latent_dim=2))
    assert source.images.shape == (10000, 28, 28, 1)
    assert source.labels[:4].tolist() == [7, 2, 1, 0]


def test_another_size_or_mode_is_refused_and_converted_on_request(folder):
    with pytest.raises(DataError, match="0.png is 6x6 grey, the model takes 6x6 colour: pass --resize"):
        load_images(str(folder), COLOUR)
    assert load_images(str(folder), COLOUR, resize=True).images.shape == (4, 6, 6, 3)
    large = VaeSpec(image_shape=(9, 12, 1), latent_dim=3)
    with pytest.raises(DataError, match="6x6 grey, the model takes 12x9 grey: pass --resize"):
        load_images(str(folder), large)
    assert load_images(str(folder), large, resize=True).images[1].max() == 90


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("nothing.png", None, "nothing.png is not there"),
        ("broken.png", b"\x89PNG\r\n", "cannot be read as an image"),
        ("text.npy", b"no array", "cannot be read as numpy data"),
        ("empty", "folder", "holds no images"),
    ],
)
def test_what_cannot_be_read_is_refused(tmp_path, name, content, message):
    path = tmp_path / name
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        load_images(str(path), GREY)


def test_no_image_at_all_is_refused(folder):
    with pytest.raises(DataError, match="at least one image is needed, got --count 0"):
        load_images(str(folder), GREY).first(0)
