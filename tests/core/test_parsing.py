import math
import shlex

import pytest

from pocketvae.parsing import (
    names_as_word,
    parse_finite_json,
    parse_json,
    parse_names,
    parse_toml,
    sentences,
    shortened,
)

DEEP = 100_000


@pytest.mark.parametrize("parse", [parse_json, parse_finite_json])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * DEEP, "nested too deeply"),
        ('{"a":' * DEEP, "nested too deeply"),
        ("{", "Expecting"),
        (b"\xff", "decode"),
        ("9" * 5000, "limit"),
    ],
)
def test_json_that_cannot_be_read_is_a_value_error(parse, text, message):
    with pytest.raises(ValueError, match=message):
        parse(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * DEEP, "Invalid initial character for a key part"),
        ("a = " + "[" * DEEP, "nested too deeply"),
        ("a" + ".a" * DEEP + " = 1", "nested too deeply"),
        ("a = 1" + "9" * 5000, "Exceeds the limit"),
    ],
)
def test_toml_that_cannot_be_read_is_a_value_error(text, message):
    with pytest.raises(ValueError, match=message):
        parse_toml(text)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e400"])
def test_a_document_s_numbers_are_finite(number):
    with pytest.raises(ValueError, match=f"must be finite, got {number}"):
        parse_finite_json(f'{{"limit": {number}}}')
    assert not math.isfinite(parse_json(number))


def test_what_is_quoted_is_short_printable_and_on_one_line():
    assert shortened("a\n  b\t\x1b[31mc\x00") == "a b ?[31mc?"
    assert shortened("x" * 10**7) == "x" * 197 + "..."
    assert shortened(["a"], 3) == "..."
    assert shortened("abc", 3) == "abc"


def test_a_message_of_another_program_keeps_whole_sentences():
    text = "The shapes must match. variable.shape=(4, 7), Received: value.shape=(4, 784). "
    text += "There is more of it, at great length. " * 50
    assert sentences(text, 100) == "The shapes must match. variable.shape=(4, 7), Received: value.shape=(4, 784)."
    assert sentences("one\n  two") == "one two"
    long = sentences("word " * 200, 100)
    assert long.endswith("word...")
    assert len(long) <= 100


@pytest.mark.parametrize(
    ("names", "word"),
    [
        (("ax", "ay"), "ax,ay"),
        (("load W", "t"), "'load W,t'"),
        (("inlet, outlet", 'size "', "it's"), None),
    ],
)
def test_names_survive_a_shell(names, word):
    written = names_as_word(names)
    assert word in (written, None)
    assert parse_names(shlex.split(f"--channels {written}")[1]) == names


def test_names_are_read_as_people_write_them():
    assert parse_names(' ax, ay ,"a, b"') == ("ax", "ay", "a, b")


@pytest.mark.parametrize("text", ["", ",", "ax,,ay", '"ax', '"ax"b', "ax\nay"])
def test_names_that_are_none_are_a_value_error(text):
    with pytest.raises(ValueError, match=r"\S"):
        parse_names(text)
