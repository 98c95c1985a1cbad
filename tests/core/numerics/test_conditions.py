import numpy as np

from pocketvae.numerics.conditions import drawn_conditions
from pocketvae.vae_spec import Condition, ConditionKind, VaeSpec, vector_latent


def test_conditions_are_drawn_with_all_classes_and_with_the_ends_of_ranges():
    pose = Condition(name="pose", kind=ConditionKind.CONTINUOUS, shape=(2,), range=(-1.0, 3.0))
    vae = VaeSpec(data_shape=(4, 4, 1), latents=vector_latent(3), conditions=(Condition(name="digit", count=4), pose))
    drawn = drawn_conditions(vae, 64, np.random.default_rng(0))
    assert set(drawn["digit"].tolist()) == {0, 1, 2, 3}
    assert drawn["digit"].dtype == np.int32
    assert drawn["pose"].shape == (64, 2)
    assert drawn["pose"].dtype == np.float32
    assert set(drawn["pose"][1::2].ravel().tolist()) == {-1.0, 3.0}
    assert len(np.unique(drawn["pose"][::2])) == 64
