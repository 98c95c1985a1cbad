import numpy as np
import pytest

from pocketvae.apps.generation.conditions import check_conditions, conditions_at
from pocketvae.errors import SpecError
from pocketvae.vae_spec import Condition, ConditionKind, VaeSpec, class_label, vector_latent

INDEX = np.arange(3)
POSE = Condition(name="pose", kind=ConditionKind.CONTINUOUS, shape=(2,))
BOTH = (Condition(name="digit", count=2), POSE)


def spec(*conditions):
    return VaeSpec(data_shape=(4, 4, 1), latents=vector_latent(3), conditions=conditions)


def test_values_are_read_from_text():
    made = conditions_at(spec(*BOTH), None, {"digit": "each", "pose": "0.5,1"}, INDEX)
    np.testing.assert_array_equal(made["digit"], [0, 1, 0])
    np.testing.assert_array_equal(made["pose"], np.array([0.5, 1], np.float32))
    assert conditions_at(spec(POSE), None, {"pose": "2"}, INDEX)["pose"].tolist() == [2, 2]
    assert conditions_at(spec(*class_label(3)), 2, {}, INDEX) == {"label": 2}
    assert conditions_at(spec(), None, {}, INDEX) is None


@pytest.mark.parametrize(
    ("conditions", "label", "named", "message"),
    [
        ((), None, {"pose": "1"}, "does not take a label, got pose"),
        (BOTH, 1, {}, "--label is for a VAE with one class label, but this one needs --condition digit=0"),
        (BOTH, None, {"digit": "1"}, "the VAE is conditional: pass --condition digit=0 --condition pose=1,1"),
        (BOTH, None, {"dgit": "1"}, "unknown condition .*digit"),
        (BOTH, None, {"digit": "2", "pose": "1"}, "digit must be class number, 0 to 1, got '2'"),
        (BOTH, None, {"digit": "1", "pose": "1,2,3"}, "pose must be 2 real numbers.*, got 3"),
        (BOTH, None, {"digit": "1", "pose": "up"}, "pose must be 2 real numbers.*, got 'up'"),
        (class_label(3), None, {}, "pass --label 0 to 2"),
        (class_label(3), 1, {"label": "2"}, "--label and --condition label are the same label: give one of them"),
        (class_label(3), None, {"label": "3"}, "label must be 0 to 2"),
    ],
)
def test_what_does_not_fit_is_refused(conditions, label, named, message):
    with pytest.raises(SpecError, match=message):
        check_conditions(spec(*conditions), label, named)
