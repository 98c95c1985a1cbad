import pytest
from hypothesis import given
from hypothesis import strategies as st

from pocketvae.cli.table_layout import joined, lay_out

HEADERS = ["artifact", "target", "median µs", "p90 µs", "p99 µs", "notes"]
NOTE = "unstable: the clock rate changed by 12 % while it was timed"
ROWS = [
    ["generator.dynamic_int8.uint8.tflite", "host", "101.5", "104.0", "108.2", NOTE],
    ["decoder.int8.onnx", "host", "9.5", "10.0", "11.2", ""],
]


def lines(width, less=()):
    layout = lay_out(HEADERS, ROWS, width, less)
    return [joined(cells) for cells in (layout.header, *layout.lines)], layout.below


def test_a_table_that_fits_is_shown_whole():
    shown, below = lines(200)
    assert shown[0].split() == ["artifact", "target", "median", "µs", "p90", "µs", "p99", "µs", "notes"]
    assert shown[1].endswith(NOTE)
    assert below == []


def test_text_is_wrapped_between_words_where_there_is_room():
    shown, below = lines(110)
    assert " ".join(word for line in shown for word in line[70:].split()).endswith(NOTE)
    assert below == []


def test_text_goes_below_where_there_is_none():
    shown, below = lines(80)
    assert max(map(len, shown)) <= 80
    assert below == [f"generator.dynamic_int8.uint8.tflite: {NOTE}"]
    assert [line.split()[-1] for line in shown[1:]] == ["108.2", "11.2"]


def test_a_text_below_names_its_row():
    layout = lay_out(["a", "b", "note"], [["x", "1", "one two three four"], ["x", "2", "five six seven eight"]], 20)
    assert layout.below == ["x 1: one two three four", "x 2: five six seven eight"]


def test_rows_that_go_on_are_named_by_those_above_and_texts_by_their_columns():
    rows = [["x", "1", "one two three four", ""], ["", "2", "five six seven eight", "a b c d"], ["y", "3", "", ""]]
    layout = lay_out(["a", "b", "first", "second"], rows, 20)
    assert layout.below == [
        "x 1, first: one two three four",
        "x 2, first: five six seven eight",
        "x 2, second: a b c d",
    ]


def test_what_is_the_same_in_every_row_goes_first_then_what_can_be_spared():
    shown, below = lines(60, ("p90 µs",))
    assert shown[0].split() == ["artifact", "median", "µs", "p99", "µs"]
    assert below[:2] == ["in every row: target host", "left out for want of width: p90 µs"]


@given(
    st.integers(1, 120),
    st.lists(
        st.lists(st.text(st.characters(codec="ascii", exclude_categories=["C"]), max_size=30), min_size=3, max_size=3),
        max_size=4,
    ),
)
def test_nothing_is_broken_and_nothing_is_too_wide(width, rows):
    layout = lay_out(["a", "b", "c"], rows, width)
    first = max([1, *(len(row[0]) for row in rows)])
    longest = max([0, *(len(word) for row in rows for cell in row[1:] for word in cell.split())])
    for cells in (layout.header, *layout.lines):
        assert len(joined(cells)) <= max(width, first)
    if longest <= 30:
        shown = {word for cells in layout.lines for word in joined(cells).split()}
        assert shown <= {word for row in rows for cell in row for word in cell.split()}
        # Below, a comma may follow what is the same in every row.
        below = {part for line in layout.below for word in line.split() for part in (word, word.removesuffix(","))}
        mark = "left out for want of width: "
        names = [name for line in layout.below if line.startswith(mark) for name in line.removeprefix(mark).split(", ")]
        kept = [cell for row in rows for name, cell in zip("abc", row, strict=True) if name not in names]
        assert {word for cell in kept for word in cell.split()} <= shown | below


@pytest.mark.parametrize("width", [80, 60])
def test_the_terminal_follows_its_width(monkeypatch, capsys, width):
    from pocketvae.cli import terminal

    monkeypatch.setattr(terminal, "_WIDE_COLUMNS", width)
    with terminal.Terminal(quiet=False) as shown:
        shown.table(HEADERS, ROWS, less=("p90 µs",))
    out = capsys.readouterr().out.splitlines()
    assert max(map(len, out[:3])) <= width
    assert "108.2" in out[1].split()
