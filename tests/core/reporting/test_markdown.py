import pytest

from pocketvae.reporting.markdown import markdown_table, md_code, md_text


@pytest.mark.parametrize(
    "text",
    [
        "z_mean [1, 28, 28, 1] float32",
        "image max_abs <= 1e-05",
        "DEPTH_TO_SPACE version 2",
        "R&D",
        "2 * 3",
        "-3",
        "1.5",
    ],
)
def test_plain_text_stays_as_it_is(text):
    assert md_text(text) == text


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("a | b", "a \\| b"),
        ("`a`", "\\`a\\`"),
        ("*a*", "\\*a\\*"),
        ("_a_ __b__", "\\_a\\_ \\_\\_b\\_\\_"),
        ("[a](b)", "[a\\](b)"),
        ("[a]: b", "[a\\]: b"),
        ("<b>", "&lt;b>"),
        ("&lt;", "&amp;lt;"),
        ("a\\", "a\\\\"),
        ("a\\*b", "a\\\\\\*b"),
        ("a\n\n# b", "a # b"),
        ("# a", "\\# a"),
        ("- a", "\\- a"),
        ("---", "\\---"),
        ("> a", "\\> a"),
        ("1. a", "1\\. a"),
        ("~~a~~", "\\~\\~a\\~\\~"),
    ],
)
def test_what_would_be_markup_is_escaped(text, escaped):
    assert md_text(text) == escaped


@pytest.mark.parametrize(
    ("text", "code"), [("a", "`a`"), ("a`b", "``a`b``"), ("`a`", "`` `a` ``"), ("a|b", "`a\\|b`"), ("a\nb", "`a b`")]
)
def test_code_is_fenced_by_more_than_it_holds(text, code):
    assert md_code(text) == code


def test_no_cell_can_end_its_row_or_become_markup():
    table = markdown_table(["a", "b"], [["x | y\n| z", "<img src=x> @all `c` [l](u) ~~s~~ #1"]])
    assert table.splitlines() == [
        "| a | b |",
        "| --- | --- |",
        r"| x \| y \| z | &lt;img src=x&gt; &#64;all \`c\` \[l\](u) \~\~s\~\~ \#1 |",
    ]
