import pytest

from pocketvae.errors import SpecError
from pocketvae.export.rewrites.names import ALL, AUTO, FORMS, NONE, Rewrite, RewriteChoice, parse_rewrites


@pytest.mark.parametrize(("text", "choice"), [("auto", AUTO), (" none ", NONE), ("all", ALL)])
def test_words(text, choice):
    assert parse_rewrites(text) == choice


def test_names_are_wanted_and_taken_once():
    choice = parse_rewrites("narrow_convolution, transposed_convolution,narrow_convolution")
    assert choice.wanted == (Rewrite.NARROW_CONVOLUTION, Rewrite.TRANSPOSED_CONVOLUTION)
    assert choice.considered == (Rewrite.TRANSPOSED_CONVOLUTION, Rewrite.NARROW_CONVOLUTION)
    assert choice.tried == ()


def test_a_misspelt_name_is_refused_with_what_is_near():
    with pytest.raises(
        SpecError, match="unknown rewrite 'transpose_convolution': did you mean 'transposed_convolution'"
    ):
        parse_rewrites("transpose_convolution")


def test_a_word_stands_alone():
    with pytest.raises(SpecError, match=r"--rewrites auto must stand alone, got 'auto,narrow_convolution'"):
        parse_rewrites("auto,narrow_convolution")


@pytest.mark.parametrize("text", ["", " , "])
def test_nothing_is_refused(text):
    with pytest.raises(SpecError, match="--rewrites takes auto, none, all or names of rewrites"):
        parse_rewrites(text)


def test_a_rewrite_cannot_be_both_tried_and_wanted():
    both = (Rewrite.NARROW_CONVOLUTION,)
    with pytest.raises(SpecError, match="either tried or wanted, got both for narrow_convolution"):
        RewriteChoice(tried=both, wanted=both)


def test_every_rewrite_has_a_form():
    assert list(FORMS) == list(Rewrite)
    assert all(FORMS.values())
