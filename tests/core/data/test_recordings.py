"""Recordings of one rate: gaps cut them, other rates and channels are refused."""

import numpy as np
import pytest

from pocketvae.data import recordings
from pocketvae.data.recordings import Wanted, read_recordings
from pocketvae.errors import DataError, DataWarning, NoSpaceError


def table(path, times, channels=2):
    values = np.arange(len(times) * channels).reshape(len(times), channels)
    rows = [",".join(map(str, (time, *row))) for time, row in zip(times, values, strict=True)]
    names = ",".join(f"c{index}" for index in range(channels))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([f"time,{names}", *rows]), "utf-8")
    return path


def test_a_gap_cuts_a_recording_in_two(tmp_path):
    times = [*np.arange(0, 5, 0.5), *np.arange(60, 63, 0.5)]
    found = read_recordings(table(tmp_path / "a.csv", times), Wanted(count=2))
    assert [(part.name, part.first, len(part), part.rate_hz) for part in found] == [
        ("a.csv", 0, 10, 2.0),
        ("a.csv", 10, 6, 2.0),
    ]
    np.testing.assert_array_equal(found[1].values, np.arange(20, 32).reshape(6, 2))


def test_times_of_a_logger_may_be_rounded(tmp_path):
    times = np.round(np.arange(100) / 30, 2)
    (found,) = read_recordings(table(tmp_path / "a.csv", times), Wanted(count=2))
    assert (len(found), found.rate_hz) == (100, pytest.approx(30, rel=0.01))


def test_a_folder_is_read_in_the_order_of_names(tmp_path):
    table(tmp_path / "b.csv", range(3))
    table(tmp_path / "a" / "z.csv", range(4))
    found = read_recordings(tmp_path, Wanted(count=2))
    assert [(part.name, len(part)) for part in found] == [("a/z.csv", 4), ("b.csv", 3)]


def test_arrays_and_sounds_are_recordings_too(tmp_path):
    soundfile = pytest.importorskip("soundfile")
    np.save(tmp_path / "a.npy", np.arange(6.0).reshape(3, 2))
    (found,) = read_recordings(tmp_path / "a.npy", Wanted(count=2))
    assert (found.values.tolist(), found.rate_hz) == ([[0, 1], [2, 3], [4, 5]], None)
    for suffix in ("wav", "flac"):
        path = tmp_path / f"s.{suffix}"
        soundfile.write(path, np.array([0.0, 0.5, -1.0]), 16_000, subtype="PCM_16")
        (found,) = read_recordings(path, Wanted(count=1))
        assert (found.values.tolist(), found.rate_hz) == ([[0], [0.5], [-1]], 16_000)
        path.write_bytes(path.read_bytes()[:20])
        damage = (
            "is damaged: it should hold .* bytes, but only 12 are there" if suffix == "wav" else "cannot be read as"
        )
        with pytest.raises(DataError, match=f"s.{suffix} {damage}"):
            read_recordings(path, Wanted(count=1))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda f: table(f / "a.csv", [0, 1, 2, 1.5]), r"a\.csv, row 5: time must rise from row to row"),
        (lambda f: table(f / "a.csv", [0, 1, 2, 1.5]), r"got a step of -0\.5 s: sort the rows; local times"),
        (lambda f: table(f / "a.csv", [0, 1, 1, 2]), r"row 4: .*got the time of the row before: remove one of them"),
        (lambda f: (np.save(f / "a.npy", np.zeros((2, 9))), f / "a.npy")[-1], r"got \[2, 9\]: transpose it"),
        (
            lambda f: (np.save(f / "n.npy", np.zeros((9, 2))), [table(f / c, range(9)) for c in ("a.csv", "b.csv")], f)[
                -1
            ],
            r"got arrays and tables: move the arrays elsewhere, such as n\.npy",
        ),
        (
            lambda f: table(f / "a.csv", [*range(20), *np.arange(40, 50, 0.5)]),
            r"row 22: the rate must be steady, got a time step every 1 s before and every 0\.5 s here",
        ),
        (
            lambda f: table(f / "a.csv", [*range(64), *np.arange(64, 96, 0.5)]),
            r"row 66: the rate must be steady, got a time step every 1 s before and every 0\.5 s here",
        ),
        (
            lambda f: table(f / "a.csv", [*range(64), *range(64, 104, 2)]),
            r"row 66: the rate must be steady, got a time step every 1 s elsewhere and every 2 s here",
        ),
        (
            lambda f: ((f / "a.csv").write_text("time a b\n0 1 2\n"), f / "a.csv")[-1],
            r"has one column \(time a b\), but the model takes 2 channels: separate columns by commas",
        ),
        (lambda f: table(f / "a.csv", range(3), 3), r"has 3 channels \(c0, c1, c2\), but the model takes 2: name 2 of"),
        (lambda f: table(f / "a.csv", range(3), 1), r"has 1 channel \(c0\), but the model takes 2$"),
        (lambda f: (f / "n").mkdir() or f / "n", "must hold recordings .*, got none"),
        (
            lambda f: (np.save(f / "a.npy", np.zeros((3, 2))), table(f / "a.csv", range(3)), f)[-1],
            "must hold recordings of one kind, got arrays and tables",
        ),
        (
            lambda f: (table(f / "a.csv", range(9)), table(f / "b.csv", np.arange(9) / 2), f)[-1],
            r"must have one rate: a\.csv has 1 Hz and b\.csv 2 Hz",
        ),
        (lambda f: (np.save(f / "a.npy", np.zeros((3, 2, 1))), f / "a.npy")[-1], r"\[time steps, channels\], got"),
        (lambda f: (np.save(f / "a.npy", np.zeros(0)), f / "a.npy")[-1], r"a\.npy must hold time steps, got none"),
        (
            lambda f: (np.save(f / "a.npy", np.zeros((9, 2))), np.save(f / "b.npy", np.zeros((0, 3))), f)[-1],
            r"b\.npy must hold time steps, got none",
        ),
        (lambda f: (np.save(f / "a.npy", np.zeros((9, 0))), f / "a.npy")[-1], r"a\.npy must hold channels, got none"),
        (
            lambda f: (np.save(f / "a.npy", np.array([[0, 1], [np.nan, 2]])), f / "a.npy")[-1],
            r"time step 1, channel 0 \(both from 0\): must be a finite number, got nan",
        ),
    ],
)
def test_what_is_not_one_rate_and_one_shape_is_refused(tmp_path, make, message):
    with pytest.raises(DataError, match=message):
        read_recordings(make(tmp_path), Wanted(count=2))


def test_names_of_channels_are_for_tables(tmp_path):
    found = read_recordings(table(tmp_path / "a.csv", range(3), 3), Wanted(count=1, names=("c2",)))
    assert (found[0].channels, found[0].values.tolist()) == (("c2",), [[2], [5], [8]])
    np.save(tmp_path / "a.npy", np.zeros((3, 1)))
    with pytest.raises(DataError, match=r"--channels names columns of tables, but .*a\.npy is not one"):
        read_recordings(tmp_path / "a.npy", Wanted(count=1, names=("c2",)))


def test_columns_are_found_by_the_names_that_the_model_knows(tmp_path):
    path = table(tmp_path / "a.csv", range(4), 3)
    with pytest.warns(DataWarning, match=r"^a\.csv: 1 column that is no channel of the model is not used: c1$"):
        (found,) = read_recordings(path, Wanted(count=2, usual=("c2", "c0")))
    assert found.channels == ("c2", "c0")
    np.testing.assert_array_equal(found.values, [[2, 0], [5, 3], [8, 6], [11, 9]])
    with pytest.raises(DataError, match="has no column 'pump', a channel of the model, got c0, c1, c2"):
        read_recordings(path, Wanted(count=3, usual=("c0", "pump", "c2")))


def test_recordings_of_unknown_channels_must_agree(tmp_path):
    table(tmp_path / "a.csv", range(4), 3)
    assert read_recordings(tmp_path, Wanted())[0].values.shape == (4, 3)
    table(tmp_path / "b.csv", range(4), 2)
    with pytest.raises(DataError, match=r"b.csv has 2 channels \(c0, c1\), but a.csv has 3"):
        read_recordings(tmp_path, Wanted())
    (tmp_path / "b.csv").write_text("time,c1,c0,c2\n0,1,2,3\n", "utf-8")
    with pytest.raises(DataError, match="the same channels in one order, got c0, c1, c2 in a.csv and c1, c0, c2 in b"):
        read_recordings(tmp_path, Wanted())


def test_a_table_of_anomalies_alone_is_refused(tmp_path):
    path = table(tmp_path / "a.csv", range(2), 1)
    with pytest.raises(DataError, match=r"must have columns beside c0, which --truth names, and the time, got none"):
        read_recordings(path, Wanted(truth="c0"))


def test_anomalies_are_those_of_the_usual_column_where_there_is_one(tmp_path):
    (tmp_path / "a.csv").write_text("time,x,odd\n0,1,0\n1,2,1\n2,3,0\n", "utf-8")
    (tmp_path / "b.csv").write_text("time,x\n0,1\n1,2\n", "utf-8")
    found = read_recordings(tmp_path, Wanted(usual_truth="odd"))
    assert [part.channels for part in found] == [("x",), ("x",)]
    assert [part.truth.tolist() for part in found] == [[False, True, False], [False, False]]
    (alone,) = read_recordings(tmp_path / "b.csv", Wanted(usual_truth="odd"))
    assert alone.truth is None


def test_anomalies_are_those_in_the_usual_folders_where_there_are_some(tmp_path):
    for name in ("ok/a.csv", "broken/a.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("time,x\n0,1\n1,2\n", "utf-8")
    found = read_recordings(tmp_path, Wanted(usual_truth="broken/,worn/"))
    assert {part.name: part.truth.any() for part in found} == {"ok/a.csv": False, "broken/a.csv": True}
    assert [part.truth for part in read_recordings(tmp_path / "ok", Wanted(usual_truth="broken/"))] == [None]
    assert read_recordings(tmp_path / "ok" / "a.csv", Wanted(usual_truth="broken/"))[0].truth is None


def large(monkeypatch):
    """Makes every file one that is not kept in memory, read a few rows at a time."""
    monkeypatch.setattr(recordings, "LARGE_BYTES", 0)
    monkeypatch.setattr(recordings, "BLOCK_ROWS", 7)


@pytest.mark.parametrize("name", ["a.csv", "a.parquet", "a.npy", "a.wav", "a.flac"])
def test_a_file_that_is_not_kept_in_memory_holds_the_same(tmp_path, monkeypatch, name):
    path = tmp_path / name
    values = np.random.default_rng(0).normal(size=(50, 2)).clip(-1, 1).astype(np.float32)
    times = [*np.arange(0, 10, 0.5), *np.arange(60, 75, 0.5)]
    flags = (np.arange(50) % 9 == 0).astype(int)
    truth = "odd" if path.suffix in (".csv", ".parquet") else ""
    if path.suffix == ".csv":
        rows = [",".join(map(str, row)) for row in zip(times, *values.T, flags, strict=True)]
        path.write_text("\n".join(["time,x,y,odd", *rows]), "utf-8")
    elif path.suffix == ".parquet":
        pyarrow, parquet = (pytest.importorskip(part) for part in ("pyarrow", "pyarrow.parquet"))
        columns = {"time": times, "x": values[:, 0], "y": values[:, 1], "odd": flags}
        parquet.write_table(pyarrow.table(columns), path, row_group_size=11)
    elif path.suffix == ".npy":
        np.save(path, values)
    else:
        pytest.importorskip("soundfile").write(path, values, 8000, subtype="PCM_16")
    kept = read_recordings(path, Wanted(truth=truth))
    large(monkeypatch)
    streamed = read_recordings(path, Wanted(truth=truth))
    assert len(kept) == len(streamed) == (2 if truth else 1)
    for one, other in zip(kept, streamed, strict=True):
        assert isinstance(other.values, recordings.FileRows)
        np.testing.assert_array_equal(one.values, other.values[:])
        assert (one.name, one.channels, one.rate_hz, one.first) == (
            other.name,
            other.channels,
            other.rate_hz,
            other.first,
        )
        np.testing.assert_array_equal(one.truth, other.truth)


def test_what_is_wrong_with_a_large_file_is_named_too(tmp_path, monkeypatch):
    large(monkeypatch)
    values = np.zeros((30, 2), np.float32)
    values[20, 1] = np.nan
    np.save(tmp_path / "a.npy", values)
    with pytest.raises(DataError, match="a.npy, time step 20, channel 1 .*finite number, got nan"):
        read_recordings(tmp_path / "a.npy", Wanted())
    np.save(tmp_path / "b.npy", np.asfortranarray(values))
    with pytest.raises(DataError, match="b.npy is too large to be read at once.*ascontiguousarray"):
        read_recordings(tmp_path / "b.npy", Wanted())
    np.save(tmp_path / "e.npy", values[:0])
    with pytest.raises(DataError, match=r"e\.npy must hold time steps, got none"):
        read_recordings(tmp_path / "e.npy", Wanted())
    (tmp_path / "c.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:-8])
    with pytest.raises(DataError, match="c.npy cannot be read as numpy data: its header claims 240 bytes"):
        read_recordings(tmp_path / "c.npy", Wanted())
    path = table(tmp_path / "d.csv", range(30))
    path.write_text(path.read_text("utf-8").replace("\n25,50,51", "\n25,50,"), "utf-8")
    with pytest.raises(DataError, match="d.csv, row 27, column c1: must be a finite number, got a missing value"):
        read_recordings(path, Wanted())


@pytest.mark.parametrize("gaps", [0, 1, 3, 5, 7])
def test_some_gaps_are_no_other_rate(tmp_path, gaps):
    times = np.arange(400.0)
    for gap in range(gaps):
        times[40 * (gap + 1) :] += 9
    rows = "".join(f"{time},{step}\n" for step, time in enumerate(times))
    (tmp_path / "a.csv").write_text(f"time,ax\n{rows}")
    found = read_recordings(tmp_path / "a.csv", Wanted())
    assert [len(part) for part in found] == [40] * gaps + [400 - 40 * gaps]
    assert [part.first for part in found] == [40 * index for index in range(gaps + 1)]
    assert {part.rate_hz for part in found} == {1.0}


def test_parts_of_a_recording_have_their_own_rates(tmp_path):
    times = np.concatenate([np.arange(400) / 100, 100 + np.arange(300) / 101, 200 + np.arange(50) / 101])
    found = read_recordings(table(tmp_path / "a.csv", times), Wanted(count=2))
    assert [part.rate_hz for part in found] == pytest.approx([100, 101, 100])
    times = np.concatenate([np.arange(300) / 98.2, 100 + np.arange(400) / 100, 200 + np.arange(300) / 101.8])
    with pytest.raises(DataError, match=r"a\.csv has 98\.2 Hz and a\.csv from time step 700 on 101\.8 Hz: resample"):
        read_recordings(table(tmp_path / "a.csv", times), Wanted(count=2))


def other_table(path, clock):
    path.write_text(f"{clock},c0,c1,c2\n" + "".join(f"{step / 2},1,2,3\n" for step in range(9)), "utf-8")
    return path


@pytest.mark.parametrize("clock", ["elapsed_s", "timestamp_utc", "Zeit"])
def test_a_time_of_another_name_cuts_at_gaps_and_says_the_rate(tmp_path, clock, recwarn):
    path = other_table(tmp_path / "a.csv", clock)
    path.write_text(path.read_text("utf-8") + "90,4,5,6\n90.5,4,5,6\n", "utf-8")
    found = read_recordings(path, Wanted(count=3, usual=("c0", "c1", "c2")))
    assert [(len(part), part.rate_hz) for part in found] == [(9, 2), (2, 2)]
    assert not recwarn.list


def test_columns_that_nobody_asked_for_are_named(tmp_path, recwarn):
    for name in ("a.csv", "b.csv"):
        other_table(tmp_path / name, "ticks")
    with pytest.warns(
        DataWarning, match=r"2 columns that are no channels of the model are not used: ticks, c1$"
    ) as told:
        found = read_recordings(tmp_path, Wanted(count=2, usual=("c2", "c0")))
    assert len(told) == 1
    assert [(part.channels, part.unused, part.lacks_clock) for part in found] == [
        (("c2", "c0"), ("ticks", "c1"), True)
    ] * 2
    recwarn.clear()
    assert read_recordings(tmp_path, Wanted(count=2, names=("c2", "c0")))[0].unused == ()
    (timed,) = read_recordings(table(tmp_path / "c.csv", range(3), 3), Wanted(count=3, usual=("c0", "c1", "c2")))
    assert (timed.unused, timed.lacks_clock) == ((), False)
    # What says which time steps are anomalies is no channel, and used.
    truth = Wanted(count=3, usual=("ticks", "c0", "c1"), usual_truth="c2")
    (tmp_path / "b.csv").write_text("ticks,c0,c1,c2\n0,1,2,1\n1,2,3,0\n", "utf-8")
    assert read_recordings(tmp_path / "b.csv", truth)[0].unused == ()
    assert not recwarn.list


def test_a_channel_may_be_called_like_a_time(tmp_path):
    path = other_table(tmp_path / "a.csv", "elapsed_s")
    for wanted in (Wanted(names=("elapsed_s", "c0")), Wanted(usual=("elapsed_s", "c0", "c1", "c2"))):
        (found,) = read_recordings(path, wanted)
        assert (found.channels[0], found.rate_hz, found.values[1, 0]) == ("elapsed_s", None, 0.5)


def cut(path, count):
    """Cuts the end of a file, as an interrupted copy does."""
    path.write_bytes(path.read_bytes()[:-count])
    return path


def test_files_that_are_damaged_are_left_out_with_the_reason(tmp_path):
    paths = [table(tmp_path / name, range(40)) for name in ("broken/a.csv", "b.csv", "broken/c.csv", "d.csv", "e.csv")]
    cut(paths[0], 4), cut(paths[3], len(paths[3].read_bytes()))
    paths[4].write_text(paths[4].read_text("utf-8").replace("\n7,14,", "\n7,,"), "utf-8")
    with pytest.raises(DataError, match=r"broken/a\.csv, row 41"):
        read_recordings(tmp_path, Wanted(truth="broken/"))
    skipped = {}
    found = read_recordings(tmp_path, Wanted(truth="broken/"), skipped)
    assert [(part.name, len(part), part.truth.any()) for part in found] == [
        ("b.csv", 40, False),
        ("broken/c.csv", 40, True),
    ]
    assert sorted(skipped) == sorted([paths[0], paths[3], paths[4]])
    assert "a.csv, row 41: every row must have 3 columns as the first, got 2" in skipped[paths[0]]
    assert "d.csv must hold time steps, got none" in skipped[paths[3]]
    assert "e.csv, row 9, column c0: must be a finite number, got a missing value" in skipped[paths[4]]


@pytest.mark.parametrize("suffix", ["npy", "parquet", "wav"])
def test_torn_files_of_other_formats_are_left_out(tmp_path, suffix):
    values = np.zeros((400, 2), np.float32)
    for name in "ab":
        path = tmp_path / f"{name}.{suffix}"
        if suffix == "npy":
            np.save(path, values)
        elif suffix == "wav":
            pytest.importorskip("soundfile").write(path, values, 8000, subtype="PCM_16")
        else:
            pyarrow, parquet = (pytest.importorskip(part) for part in ("pyarrow", "pyarrow.parquet"))
            parquet.write_table(pyarrow.table({"x": values[:, 0], "y": values[:, 1]}), path)
    skipped, torn = {}, cut(tmp_path / f"a.{suffix}", 50)
    (found,) = read_recordings(tmp_path, Wanted(), skipped)
    assert (found.name, list(skipped)) == (f"b.{suffix}", [torn])


def test_what_is_no_damage_is_refused_as_ever(tmp_path, monkeypatch):
    table(tmp_path / "a.csv", range(9))
    other = table(tmp_path / "b.csv", range(9), 3)
    for wanted, message in (
        (Wanted(), r"b\.csv has 3 channels"),
        (Wanted(names=("c0", "c2")), r"a\.csv has no column 'c2'"),
        (Wanted(usual=("c0", "c1"), truth="odd"), r"a\.csv has no column 'odd'"),
        (Wanted(usual=("c2",), count=2), r"a\.csv has no column 'c2', a channel of the model"),
    ):
        with pytest.raises(DataError, match=message):
            read_recordings(tmp_path, wanted, {})
    table(other, np.arange(9) / 2)
    with pytest.raises(DataError, match="must have one rate"):
        read_recordings(tmp_path, Wanted(), {})
    for name in ("a.csv", "b.csv"):
        cut(tmp_path / name, 3)
    with pytest.raises(DataError, match=r"none of the 2 recordings can be read; .*a\.csv, row 10: every row must have"):
        read_recordings(tmp_path, Wanted(), {})
    with pytest.raises(DataError, match=r"a\.csv, row 10: every row must have"):
        read_recordings(tmp_path / "a.csv", Wanted(), {})

    table(tmp_path / "a.csv", range(9))

    def full(*_):
        raise NoSpaceError("No space left on device")

    monkeypatch.setattr(recordings.InMemory, "add", full)
    with pytest.raises(NoSpaceError):
        read_recordings(tmp_path, Wanted(), {})
