"""Images in the size and mode that a model takes."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from pocketvae.apps import load_images, load_training_images
from pocketvae.data.dataset import load_splits
from pocketvae.errors import DataError, SpecError
from pocketvae.vae_spec import VaeSpec, class_label, vector_latent

GREY = VaeSpec(data_shape=(6, 6, 1), latents=vector_latent(3))
COLOUR = VaeSpec(data_shape=(6, 6, 3), latents=vector_latent(3))


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


def test_a_count_is_cut_before_anything_is_decoded(folder):
    (folder / "b" / "0.png").write_bytes(b"damaged")
    source = load_images(str(folder), GREY, count=2)
    assert source.names == ("a/0.png", "a/1.png")
    assert source.labels.tolist() == [0, 0]
    np.save(folder / "x.npy", np.zeros((5, 6, 6), np.uint8))
    assert load_images(str(folder / "x.npy"), COLOUR, count=3, resize=True).names == ("0", "1", "2")
    with pytest.raises(DataError, match="at least one image is needed, got --count 0"):
        load_images(str(folder), GREY, count=0)


def test_parts_of_a_data_set_are_no_classes(folder):
    (folder / "a").rename(folder / "train")
    (folder / "b").rename(folder / "test")
    with pytest.raises(DataError, match="must be classes, got test and train: name one of them, such as .*test$"):
        load_images(str(folder), GREY)
    assert len(load_images(str(folder / "test"), GREY)) == 2


def test_the_subfolders_must_be_the_classes_of_the_model(folder):
    classes = {
        count: VaeSpec(data_shape=(6, 6, 1), latents=vector_latent(3), conditions=class_label(count))
        for count in (2, 10)
    }
    source = load_images(str(folder), GREY)
    assert source.labels_for(classes[2], None).tolist() == [0, 0, 1, 1]
    assert source.labels_for(GREY, None) is None
    assert source.labels_for(classes[10], 7) == 7
    for images in (source, source.first(1)):
        with pytest.raises(DataError, match="has 2 subfolders but the model 10 classes, .* or pass --label"):
            images.labels_for(classes[10], None)
    named = replace(source, folder_classes=None)
    assert named.labels_for(classes[10], None).tolist() == [0, 0, 1, 1]
    with pytest.raises(DataError, match="labels must be 0 to 1, got 5"):
        replace(named, labels=np.array([0, 5, 7, 1], np.int32)).labels_for(classes[2], None)


def test_a_decoder_needs_a_label_of_every_item_that_its_model_has(folder):
    vae = VaeSpec(data_shape=(6, 6, 1), latents=vector_latent(3), conditions=class_label(2))
    source = load_images(str(folder), GREY)
    assert source.decoder_labels(vae, None).tolist() == [0, 0, 1, 1]
    assert source.decoder_labels(vae, 1).tolist() == [1, 1, 1, 1]
    assert source.decoder_labels(GREY, None) is None
    with pytest.raises(DataError, match="the decoder needs a label of 0 to 1 for every item"):
        replace(source, labels=None, folder_classes=None).decoder_labels(vae, None)
    with pytest.raises(DataError, match="folders that --truth names have no class: pass --label"):
        replace(source, labels=np.array([0, 1, -1, -1], np.int32)).decoder_labels(vae, None)
    for label in (-1, 2):
        with pytest.raises(SpecError, match=f"the label must be 0 to 1, got {label}"):
            source.labels_for(vae, label)


def test_training_images_are_those_of_training(tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "x.npz", images=rng.integers(0, 256, (50, 6, 6), np.uint8), labels=np.arange(50) % 2)
    train, validation = load_training_images(str(tmp_path / "x.npz"), GREY)
    splits = load_splits(str(tmp_path / "x.npz"))
    for source, part in ((train, splits.train), (validation, splits.validation)):
        assert np.array_equal(source.images, part.images)
        assert source.labels.tolist() == part.labels.tolist()
        assert source.folder_classes is None
    # With `validation_images = 2` the model has learned from 43 of 45.
    more, fewer = load_training_images(str(tmp_path / "x.npz"), GREY, trained_on=43)
    assert (len(more), len(fewer)) == (43, 2)
    assert np.array_equal(fewer.images, splits.validation.images[3:])
    with pytest.raises(DataError, match="pass --resize"):
        load_training_images(str(tmp_path / "x.npz"), COLOUR)
    assert load_training_images(str(tmp_path / "x.npz"), COLOUR, resize=True)[0].images.shape == (40, 6, 6, 3)
    for number, image in enumerate(splits.train.images):
        (tmp_path / "set" / str(number % 3)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[..., 0]).save(tmp_path / "set" / str(number % 3) / f"{number}.png")
    assert load_training_images(str(tmp_path / "set"), GREY)[1].folder_classes == 3


@pytest.mark.parametrize(("name", "dtype", "mode"), [("x.png", np.uint16, "I;16"), ("x.tif", np.float32, "F")])
def test_deeper_pixels_are_refused_and_never_clipped(tmp_path, name, dtype, mode):
    Image.fromarray(np.full((6, 6), 700, dtype)).save(tmp_path / name)
    for source in (tmp_path, tmp_path / name):
        with pytest.raises(DataError, match=f"{name} must have 8 bits per channel, got the mode {mode}"):
            load_images(str(source), GREY)


def test_one_file_is_one_image(folder):
    assert load_images(str(folder / "a" / "1.png"), GREY).images.shape == (1, 6, 6, 1)


def test_arrays_are_read_and_numbered(tmp_path):
    np.savez(tmp_path / "x.npz", images=np.zeros((3, 6, 6), np.uint8), labels=[2, 1, 0])
    source = load_images(str(tmp_path / "x.npz"), GREY)
    assert source.names == ("0", "1", "2")
    assert source.labels.tolist() == [2, 1, 0]


def test_mnist_is_its_test_images():
    source = load_images("mnist", VaeSpec(data_shape=(28, 28, 1), latents=vector_latent(2)))
    assert source.images.shape == (10000, 28, 28, 1)
    assert source.labels[:4].tolist() == [7, 2, 1, 0]


def test_another_size_or_mode_is_refused_and_converted_on_request(folder):
    with pytest.raises(DataError, match="0.png is 6x6 grey, but the model takes 6x6 colour: pass --resize"):
        load_images(str(folder), COLOUR)
    assert load_images(str(folder), COLOUR, resize=True).images.shape == (4, 6, 6, 3)
    large = VaeSpec(data_shape=(9, 12, 1), latents=vector_latent(3))
    with pytest.raises(DataError, match="6x6 grey, but the model takes 12x9 grey: pass --resize"):
        load_images(str(folder), large)
    assert load_images(str(folder), large, resize=True).images[1].max() == 90


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("nothing.png", None, "nothing.png does not exist"),
        ("broken.png", b"\x89PNG\r\n", "cannot be read as an image"),
        ("text.npy", b"no array", "cannot be read as numpy data"),
        ("empty", "folder", "does not contain images"),
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
