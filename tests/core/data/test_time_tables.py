"""What of a table is the time, what are channels, and what is refused by row and column."""

import numpy as np
import pytest

from pocketvae.data.time_tables import read_time_table, time_tables
from pocketvae.errors import DataError


def written(tmp_path, text):
    path = tmp_path / "pump.csv"
    path.write_text(text, "utf-8")
    return path


@pytest.mark.parametrize(
    ("header", "cells", "expected"),
    [
        ("time", ("0", "0.5", "1"), (0, 0.5, 1)),
        ("time_ms", ("0", "500", "1000"), (0, 0.5, 1)),
        ("Timestamp [us]", ("0", "500000", "1000000"), (0, 0.5, 1)),
        ("date", ("2026-01-31T12:00:00", "2026-01-31T12:00:00.500", "2026-01-31T12:00:01"), (0, 0.5, 1)),
        ("ts", ("2026-01-31 12:00:00+02:00", "2026-01-31 12:00:00.5+02:00", "2026-01-31 10:00:01Z"), (0, 0.5, 1)),
    ],
)
def test_times_are_seconds_whatever_their_unit(tmp_path, header, cells, expected):
    rows = "\n".join(f"{cell},{index}" for index, cell in enumerate(cells))
    table = read_time_table(written(tmp_path, f"{header},ax\n{rows}\n"))
    assert table.times_s - table.times_s[0] == pytest.approx(np.array(expected))
    assert (table.names, table.values.tolist()) == (("ax",), [[0], [1], [2]])


def test_without_a_time_every_column_is_a_channel(tmp_path):
    table = read_time_table(written(tmp_path, "temperature,times_fed\n1,2\n3,4\n"))
    assert (table.names, table.times_s) == (("temperature", "times_fed"), None)
    gas = read_time_table(written(tmp_path, "T,p\n300,1\n299,3\n"))
    assert (gas.names, gas.times_s) == (("T", "p"), None)
    bare = read_time_table(written(tmp_path, "1;2,5\n3;4\n"))
    assert (bare.names, bare.values.tolist(), bare.first_row) == (("0", "1"), [[1, 2.5], [3, 4]], 1)


def test_what_may_be_the_time_is_a_channel_where_it_is_called_so(tmp_path):
    path = written(tmp_path, "ax,elapsed_ms\n1,0\n2,500\n")
    table = read_time_table(path)
    assert (table.clock, table.names, table.times_s.tolist()) == ("elapsed_ms", ("ax",), [0, 0.5])
    (table,) = time_tables(path, 0, ["elapsed_ms"])
    assert (table.clock, table.names, table.times_s) == ("", ("ax", "elapsed_ms"), None)
    assert table.values.tolist() == [[1, 0], [2, 500]]
    table = read_time_table(written(tmp_path, "elapsed_ms,ts\n500,0\n600,2\n"))
    assert (table.clock, table.names, table.times_s.tolist()) == ("ts", ("elapsed_ms",), [0, 2])


def test_numbers_without_a_unit_are_refused_where_they_need_not_be_seconds(tmp_path):
    path = written(tmp_path, "ax,elapsed\n1,0\n")
    with pytest.raises(DataError, match=r"pump\.csv, row 2: the column 'elapsed' must be called after the unit"):
        read_time_table(path)
    path = written(tmp_path, "timestamp,ax\n1767225600000,1\n")
    with pytest.raises(DataError, match=r"row 2: the column 'timestamp' must hold seconds, got 1.767e\+12: call it"):
        read_time_table(path)


def test_channels_are_chosen_by_name_in_the_order_asked_for(tmp_path):
    path = written(tmp_path, "time,ax,note,ay\n0,1,fine,2\n1,3,,4\n")
    table = read_time_table(path)
    assert table.chosen(("ay", "ax"), path).checked(path).tolist() == [[2, 1], [4, 3]]
    with pytest.raises(DataError, match=r"has no column 'nota': did you mean 'note'\? known: ax, note, ay"):
        table.chosen(("nota",), path)
    with pytest.raises(
        DataError, match=r"pump\.csv, row 2, column note: must be a finite number, got 'fine', as in the"
    ):
        table.chosen(("ax", "note"), path).checked(path)


def test_channels_may_have_numbers_for_names(tmp_path):
    table = read_time_table(written(tmp_path, "time,0,1\n0.5,1,2\n"))
    assert (table.names, table.values.tolist(), table.times_s.tolist()) == (("0", "1"), [[1, 2]], [0.5])


def test_rows_are_counted_as_editors_do(tmp_path):
    path = written(tmp_path, 'time,note,ax\n0,"two\nlines",1\n\n1,,2\n2,,\n')
    table = read_time_table(path)
    assert table.rows.tolist() == [2, 5, 6]
    with pytest.raises(DataError, match="row 6, column ax: must be a finite number, got a missing value: fill it in, "):
        table.chosen(("ax",), path).checked(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("time,ax\n0,1\n1\n", r"pump\.csv, row 3: every row must have 2 columns as the first, got 1"),
        ("time,ax\n0,1\nlater,2\n", r"row 3: the time must be a number or a date such as .*, got 'later'"),
        ("time,ax\n0,1\n1,-inf\n", "row 3, column ax: must be a finite number, got -inf$"),
        (
            "time,ax\n0,1\n1,nan\n2,\n3,4\n",
            r"row 3, column ax: must be a finite number, got a missing value, as in the next 1",
        ),
        ("time,ax\n0,1\n1,1e300\n", r"row 3, column ax: must be a finite number, got 1e\+300, which is too large"),
        ("time\n0\n1\n", "must have columns beside the time, got time"),
        ("ax,ax\n0,1\n", "must have columns of different names, got two of 'ax'"),
        ("time,ax\n", "must hold time steps, got none"),
        ("", "must hold time steps, got none"),
    ],
)
def test_what_cannot_be_read_is_named_by_row(tmp_path, text, message):
    path = written(tmp_path, text)
    with pytest.raises(DataError, match=message):
        read_time_table(path).checked(path)


def test_parquet_is_read_like_text(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "pump.parquet"
    times = pyarrow.array([0, 250, 500], pyarrow.timestamp("ms"))
    table = pyarrow.table({"timestamp": times, "ax": pyarrow.array([1.5, None, 3.5]), "n": [1, 2, 3]})
    parquet.write_table(table, path)
    found = read_time_table(path)
    assert found.times_s.tolist() == [0, 0.25, 0.5]
    with pytest.raises(
        DataError, match=r"pump\.parquet, row 1 \(from 0\), column ax: must be a finite number, got a missing value"
    ):
        found.checked(path)
    assert found.chosen(("n",), path).checked(path).tolist() == [[1], [2], [3]]
    path.write_bytes(b"PAR1 and nothing else")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        read_time_table(path)


def in_parquet(path, **columns):
    pyarrow, parquet = (pytest.importorskip(part) for part in ("pyarrow", "pyarrow.parquet"))
    dates = pyarrow.timestamp("ns", "Europe/Berlin")
    table = {name: pyarrow.array(cells, dates if name != "ax" else None) for name, cells in columns.items()}
    parquet.write_table(pyarrow.table(table), path)
    return path


@pytest.mark.parametrize(
    ("names", "expected_s"),
    [
        (("__index_level_0__",), [0, 1]),
        (("__index_level_0__", "__index_level_1__"), [0, 1]),
        (("__index_level_0__", "time_ms"), [10, 11]),
    ],
)
def test_a_bare_index_of_pandas_is_the_time_where_no_column_is(tmp_path, names, expected_s):
    dates = {name: [10**10 * index, 10**10 * index + 10**9] for index, name in enumerate(names)}
    table = read_time_table(in_parquet(tmp_path / "p.parquet", ax=[1.5, 2.5], **dates))
    assert (table.names, table.times_s.tolist()) == (("ax",), expected_s)


def test_a_bare_index_of_numbers_is_no_channel(tmp_path):
    pyarrow, parquet = (pytest.importorskip(part) for part in ("pyarrow", "pyarrow.parquet"))
    parquet.write_table(pyarrow.table({"ax": [1.5], "__index_level_0__": [7]}), tmp_path / "p.parquet")
    table = read_time_table(tmp_path / "p.parquet")
    assert (table.names, table.times_s) == (("ax",), None)


def test_dates_in_another_column_than_the_time_are_no_numbers(tmp_path):
    path = in_parquet(tmp_path / "p.parquet", time=[0, 10**9], ax=[1.5, 2.5], recorded_at=[1, 2])
    table = read_time_table(path)
    assert table.chosen(("ax",), path).checked(path).tolist() == [[1.5], [2.5]]
    with pytest.raises(DataError, match=r"row 0 \(from 0\), column recorded_at: .* got '1970-01-01 00:00:00.000000'"):
        table.checked(path)


def test_a_column_of_flags_is_no_channel(tmp_path):
    path = tmp_path / "pump.csv"
    path.write_text("time,fault,x,note\n0,0,1.5,a\n1,1,2.5,b\n2,0,3.5,c\n")
    table = read_time_table(path)
    assert table.flags("fault", path).tolist() == [False, True, False]
    rest = table.without("fault")
    assert (rest.names, rest.values[:, 0].tolist(), rest.texts) == (("x", "note"), [1.5, 2.5, 3.5], {1: (0, "a")})


@pytest.mark.parametrize(
    ("column", "message"),
    [("x", "row 2, column x: must be 1 for an anomaly and 0 for none, got 1.5"), ("falt", "did you mean 'fault'")],
)
def test_a_column_that_holds_no_flags_is_refused(tmp_path, column, message):
    path = tmp_path / "pump.csv"
    path.write_text("time,fault,x\n0,0,1.5\n1,1,2.5\n")
    with pytest.raises(DataError, match=message):
        read_time_table(path).flags(column, path)


def test_parquet_is_not_read_in_advance(tmp_path):
    """What pyarrow holds while a table is read is a few row groups, not the file."""
    pyarrow, parquet = (pytest.importorskip(part) for part in ("pyarrow", "pyarrow.parquet"))
    path, values = tmp_path / "long.parquet", np.random.default_rng(0).normal(size=(16 << 14, 4))
    table = pyarrow.table(dict(zip("abcd", values.T, strict=True)))
    parquet.write_table(table, path, row_group_size=1 << 14, use_dictionary=False)
    size = path.stat().st_size
    del table
    before = pyarrow.total_allocated_bytes()
    held = [pyarrow.total_allocated_bytes() - before for _ in time_tables(path, 1 << 14)]
    assert len(held) == 16
    assert max(held) < size / 2
