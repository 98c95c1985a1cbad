import numpy as np
import pytest

from pocketvae.errors import SpecError
from pocketvae.models.conditions import condition_inputs
from pocketvae.vae_spec import Condition, ConditionKind, class_label

POSE = Condition(name="pose", kind=ConditionKind.CONTINUOUS, shape=(2,))
BOTH = (Condition(name="digit", count=10), POSE)


def test_one_value_serves_all_samples_and_several_are_named():
    made = condition_inputs("d", BOTH, {"pose": [0.5, 1], "digit": [1, 2, 3]}, 3)
    np.testing.assert_array_equal(made["digit"], np.array([1, 2, 3], np.int32))
    np.testing.assert_array_equal(made["pose"], np.array([[0.5, 1]] * 3, np.float32))
    assert made["digit"].dtype == np.int32
    assert list(condition_inputs("d", (POSE,), np.zeros((3, 2)), 3)) == ["pose"]


@pytest.mark.parametrize(
    ("taken", "given", "message"),
    [
        (class_label(5), None, "d needs a label of 0 to 4"),
        (class_label(5), 5, "label must be one integer from 0 to 4"),
        ((), 1, "d does not take a label"),
        (BOTH, 1, r"d takes conditions by name: digit \(class number, 0 to 9\), pose \(2 real numbers"),
        (BOTH, {"digit": 1}, "d takes conditions by name: .*; got digit"),
        ((POSE,), None, r"d takes conditions by name: pose \(2 real numbers.*; got no names"),
        ((POSE,), [1.0, 2.0, 3.0], r"pose must be \[2\] or \[N, 2\] real numbers, got \[3\]"),
        ((POSE,), [1.0, np.nan], "pose must be finite as float32, got 1"),
        ((POSE,), [1.0, 1e39], "pose must be finite as float32, got 1"),
    ],
)
def test_conditions_that_do_not_fit_are_refused(taken, given, message):
    with pytest.raises(SpecError, match=message):
        condition_inputs("d", taken, given, 3)
