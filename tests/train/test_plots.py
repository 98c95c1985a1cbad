import io
import re
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from pocketvae.errors import TargetError
from pocketvae.installation import install_command
from pocketvae.train.loop import EpochMetrics

pytestmark = pytest.mark.slow


def figures(epoch, loss):
    return EpochMetrics(
        epoch=epoch,
        step=10 * epoch,
        train_loss_nats=loss + epoch,
        validation_negative_elbo_nats=92.0,
        validation_reconstruction_nats=70.0,
        validation_kl_nats=22.0,
        validation_active_units=5,
        learning_rate=0.001,
        elapsed_s=12.5,
    )


def pixels(png):
    with Image.open(io.BytesIO(png)) as picture:
        return np.asarray(picture)


@pytest.mark.parametrize(
    "changes", [{}, {"conditional": True}, {"prior": "mixture", "components": 3}, {"likelihood": "gaussian"}]
)
def test_samples_are_ten_rows_of_ten_and_the_seed_decides_them(make_parts, changes):
    from pocketvae.train.plots import samples_png

    model = make_parts(**changes).model
    one, same, other = (samples_png(model, seed) for seed in (0, 0, 1))
    assert one == same != other
    height, width = pixels(one).shape[:2]
    assert height == width >= 80


def test_reconstructions_are_below_their_originals(make_parts, small_data):
    from pocketvae.data.pictures import grid, pixel_scale, png_bytes
    from pocketvae.train.plots import reconstructions_png

    model = make_parts().model
    originals = small_data.test.take(slice(10))
    decoded = model.means(model.encode(originals.images.astype(np.float32) / 255, None)[0], None)
    rows = [originals.images, np.round(np.asarray(decoded) * 255).astype(np.uint8)]
    expected = png_bytes(grid(np.concatenate(rows), 10), scale=pixel_scale(8))
    np.testing.assert_array_equal(pixels(reconstructions_png(model, originals)), pixels(expected))


def test_three_images_are_enough(make_parts, small_data):
    from pocketvae.train.plots import reconstructions_png

    height, width = pixels(reconstructions_png(make_parts().model, small_data.test.take(slice(3)))).shape[:2]
    assert width > height


def test_curves_are_the_same_file_for_the_same_figures():
    from pocketvae.train.plots import curves_png

    one, same, other = (curves_png([figures(epoch, loss) for epoch in (1, 2, 3)]) for loss in (90.0, 90.0, 80.0))
    assert one == same != other
    assert pixels(one).shape[1] > 800


def test_the_bound_of_the_epochs_that_have_one_is_drawn():
    from pocketvae.train.plots import curves_png

    epochs = [figures(epoch, 90.0) for epoch in (1, 2, 3)]
    bounded = [*epochs[:1], *(replace(epoch, validation_bound_nats=80.0) for epoch in epochs[1:])]
    assert curves_png(bounded) != curves_png(epochs)


def test_a_missing_matplotlib_is_named_before_training_and_after(monkeypatch):
    from pocketvae.train.plots import check_plots, curves_png

    check_plots()
    said = re.escape(f"matplotlib is not installed: run {install_command('train')}")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(TargetError, match=said):
        curves_png([])
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(TargetError, match=said):
        check_plots()
