"""Numbers of rows that follow one another take no memory."""

import numpy as np

from pocketvae.data.row_numbers import joined


def test_blocks_that_follow_one_another_are_one_range():
    blocks = [joined([np.arange(first, first + 5)]) for first in (2, 7, 12)]
    assert all(isinstance(block, range) for block in blocks)
    assert joined(blocks) == range(2, 17)
    assert joined([range(0), range(3, 5), range(0), range(5, 6)]) == range(3, 6)


def test_rows_behind_an_empty_line_keep_their_numbers():
    within = joined([np.array([2, 3, 5])])
    assert np.asarray(within).tolist() == [2, 3, 5]
    assert np.asarray(joined([within, range(6, 8)])).tolist() == [2, 3, 5, 6, 7]
    assert np.asarray(joined([range(2, 4), range(5, 7)])).tolist() == [2, 3, 5, 6]
    assert len(joined([])) == 0
