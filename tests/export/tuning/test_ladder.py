import pytest

from pocketvae.export.tuning.ladder import Tune, tunings
from pocketvae.spec import Component


def test_nothing_is_tried_where_nothing_is_wanted():
    assert tunings(Tune.NONE, Component.DECODER) == ()


def test_full_tries_what_fast_does_and_more():
    fast, full = (tunings(tune, Component.DECODER) for tune in (Tune.FAST, Tune.FULL))
    assert set(fast) < set(full)
    assert full[: len(fast)] == fast
    assert len(set(full)) == len(full)
    assert all(tuning.latent_parts for tuning in full)


@pytest.mark.parametrize(
    ("component", "integer_only"), [(Component.ENCODER, False), (Component.DECODER, True), (Component.ENCODER, True)]
)
def test_what_has_no_place_for_parts_is_only_equalized(component, integer_only):
    for tuning in tunings(Tune.FULL, component, integer_only=integer_only):
        assert tuning.exponent > 0
        assert not tuning.latent_parts
        assert tuning.output_parts == 1
