import pytest

from pocketvae.errors import SpecError
from pocketvae.export.tuning.names import FLOAT_SCOPE, Tuning, is_float_part


@pytest.mark.parametrize("values", [{"exponent": -0.1}, {"exponent": 1.5}])
def test_an_exponent_is_0_to_1(values):
    with pytest.raises(SpecError, match="must be 0 to 1"):
        Tuning(**values)


@pytest.mark.parametrize("count", [0, 9])
def test_an_output_has_1_to_8_parts(count):
    with pytest.raises(SpecError, match="must have 1 to 8 parts"):
        Tuning(output_parts=count)


def test_a_layer_that_a_part_was_fused_with_is_not_a_part():
    assert is_float_part(f"dense/{FLOAT_SCOPE}/coarse;other")
    assert not is_float_part(f"dense/MatMul;dense/{FLOAT_SCOPE}/coarse")
