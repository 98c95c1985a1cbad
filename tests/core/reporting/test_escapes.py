"""Every literal is read back by its own language, where that is here; Kotlin and Swift are compiled in test_code.py."""

import ast
import json
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pocketvae.reporting import escapes

NASTY = [
    'a"b', "a'b", "a\\", "a\\n", "a\nb", "a\r\nb", "`a`", "a|b", "${x}", "$x", "\\(x)", "*/ x /*", "a\u2028b",
    "</script>", "\x00\x07", "grün 雪 🙂", "??/", '"""', "\u202eabc", "%s", "{{ x }}", "a\ud800b",
]  # fmt: skip
RESERVED = [
    "case", "register", "friend", "xor", "co_await", "extends", "instanceof", "debugger", "arguments", "defer", "nil",
    "fallthrough", "extension", "repeat", "protocol", "internal", "typealias", "associatedtype", "await",
]  # fmt: skip


def whole(text):
    return text.encode("utf-8", "replace").decode()


@pytest.mark.parametrize("text", NASTY)
def test_a_python_literal_is_the_text(text):
    assert ast.literal_eval(escapes.py_string(text)) == whole(text)


@given(st.text())
def test_any_text_is_one_python_literal(text):
    assert ast.literal_eval(escapes.py_string(text)) == text
    assert "\n" not in escapes.py_string(text)


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_a_javascript_literal_is_the_text():
    program = f"process.stdout.write(JSON.stringify([{','.join(map(escapes.js_string, NASTY))}]))"
    done = subprocess.run(["node", "-e", program], capture_output=True, check=True, timeout=60)
    assert json.loads(done.stdout) == [whole(text) for text in NASTY]


@pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")
def test_a_c_literal_is_the_text(tmp_path):
    texts = [text for text in NASTY if "\x00" not in text]
    lines = "".join(f"puts({escapes.c_string(text)}); putchar(1);" for text in texts)
    (tmp_path / "a.cpp").write_text(f"#include <cstdio>\nint main() {{ {lines} }}\n", "utf-8")
    subprocess.run(["g++", "-std=c++17", "-o", tmp_path / "a", tmp_path / "a.cpp"], check=True, timeout=120)
    done = subprocess.run([tmp_path / "a"], capture_output=True, check=True, timeout=60)
    assert done.stdout.decode().split("\n\x01")[:-1] == [whole(text) for text in texts]


def test_templates_inside_literals_are_not_expanded():
    assert escapes.kt_string("${x} $y") == '"\\${x} \\$y"'
    assert escapes.swift_string("\\(x)") == '"\\\\(x)"'
    assert escapes.swift_string("\x07") == '"\\u{7}"'
    assert escapes.js_string("</script>") == '"<\\/script>"'


@pytest.mark.parametrize(
    ("text", "name"),
    [("z_mean", "z_mean"), ("a b", "a_b"), ("1x", "_1x"), ("class", "class_"), ("", "_"), ("é", "_")],
)
def test_a_name_is_one_in_every_language(text, name):
    assert escapes.c_identifier(text) == name
    assert escapes.is_identifier(name)


@pytest.mark.parametrize("word", RESERVED)
def test_a_word_of_one_language_is_a_name_in_none(word):
    assert not escapes.is_identifier(word)
    assert escapes.c_identifier(word) == f"{word}_"


@pytest.mark.parametrize("text", NASTY)
def test_a_comment_is_one_line_and_ends_nothing(text):
    line = escapes.comment(text)
    assert line.splitlines() in ([line], [])
    assert not any(sign in line for sign in ("*/", "/*", '"""', "\\"))


@pytest.mark.parametrize(("text", "literal"), [("1", "1.0f"), ("1e-05", "1e-05f"), ("-0.25", "-0.25f")])
def test_a_float_is_one_in_c(text, literal):
    assert escapes.c_float(text) == literal


@pytest.mark.parametrize("text", ["inf", "nan"])
def test_c_has_no_literal_for_what_is_not_finite(text):
    with pytest.raises(ValueError, match=f"no literal for {text}"):
        escapes.c_float(text)
