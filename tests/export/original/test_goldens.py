import numpy as np
import pytest

from pocketvae.export.original.goldens import NoiseFloor, compared
from pocketvae.vae_spec import VaeSpec, vector_latent


def test_the_floor_is_that_of_the_way_that_differs_most_and_says_which():
    floor = NoiseFloor(float32={"a": 1e-6, "b": 3e-6}, float16={})
    floor = floor.widened({"a": 2e-6, "b": 2e-6}, "with batch size 1").widened({"a": 1.5e-6, "b": 2e-6}, "as a graph")
    assert floor.float32 == {"a": 2e-6, "b": 3e-6}
    assert floor.cause == {"a": "with batch size 1"}


def test_more_than_rounding_explains_is_told_as_a_part_of_the_range():
    floor = NoiseFloor(float32={"a": 0.02, "b": 0.02, "c": float("inf")}, float16={}, ranges={"a": 10.0, "b": 100.0})
    assert floor.excess() == {"a": 0.002, "c": float("inf")}


@pytest.mark.parametrize(("side", "count"), [(28, 64), (64, 64), (128, 46), (256, 10), (512, 8)])
def test_fewer_samples_of_large_images_are_compared(side, count):
    vae = VaeSpec(data_shape=(side, side, 3), latents=vector_latent(2))
    some = compared({"z": np.arange(320)[:, None]}, vae, 1_000_000)["z"]
    assert len(some) == count
    assert some[0] == 0
