import re

from pocketvae.reporting.html import Cell, Figure, Table, figures_page

TABLE = Table(
    caption="c",
    headers=["name", "verdict", "value", "words", "detail"],
    rows=[
        ["a", "pass", "1.5", "x y", "short"],
        ["b", "FAIL", "-", "z", "a sentence of more than forty characters is wrapped"],
        ["c", Cell(text="not run", kind="fail", title="why <not>"), "-2", "", ""],
    ],
)


def test_words_stand_at_the_left_and_figures_at_the_right():
    assert TABLE.columns == ["text", "", "", "text", "text"]


def test_a_sentence_that_begins_with_a_number_is_no_figure():
    reason = "127.0.0.1 cannot be reached: Connection refused"
    assert Table(caption="", headers=["name", "reason"], rows=[["a", reason]]).columns[1] == "text"


def test_verdicts_have_their_looks_and_sentences_are_wrapped():
    looks = [[(cell.kind, column) for cell, column in TABLE.cells(row)] for row in TABLE.rows]
    assert looks[0] == [("pass", ""), ("", ""), ("", "text"), ("", "text")]
    assert looks[1] == [("fail", ""), ("", ""), ("", "text"), ("", "wrap")]
    assert looks[2][0] == ("fail", "")


def test_a_page_of_figures_loads_nothing_and_leaves_out_empty_ones():
    page = figures_page("A <title>", [Figure(svg="<svg></svg>", caption="<one>"), Figure(svg="", caption="two")])
    assert "<title>A &lt;title&gt;</title>" in page
    assert page.count("<figure>") == page.count("<svg>") == 1
    assert "&lt;one&gt;" in page
    assert "two" not in page
    assert not re.search(r"(src|href)=|url[(]|@import", page)
