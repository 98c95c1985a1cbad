import pytest

from pocketvae.numerics.chunks import chunks


@pytest.mark.parametrize(("count", "values"), [(1, 1), (7, 1 << 14), (5, 1 << 20), (300_000, 1), (3, 0)])
def test_parts_are_all_samples_once_and_in_order(count, values):
    found = list(chunks(count, values))
    assert [part.start for part in found] == [0, *(part.stop for part in found[:-1])]
    assert found[-1].stop == count
    assert all((part.stop - part.start) * values <= 1 << 15 or part.stop - part.start == 1 for part in found)


def test_nothing_has_no_parts():
    assert list(chunks(0, 5)) == []
