"""Numbers and names as text."""

import pytest

from pocketvae.reporting.text import named


@pytest.mark.parametrize(
    ("count", "text"), [(1, "d0"), (3, "d0, d1, d2"), (4, "d0, d1, d2 and 1 more"), (9, "d0, d1, d2 and 6 more")]
)
def test_a_few_names_stand_for_many(count, text):
    assert named([f"d{number}" for number in range(count)]) == text
