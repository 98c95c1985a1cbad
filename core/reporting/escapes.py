"""Foreign text in a language's own spelling, so that a quote, a line break or a backtick in it ends nothing."""

from __future__ import annotations

import keyword
import math
import re
import unicodedata
from collections.abc import Callable

_SHORT = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
# What ends a line in JavaScript, Swift or an editor, and what no source text shows.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\u202a-\u202e\u2066-\u2069]")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# What C++20, Kotlin, Swift and JavaScript's modules reserve, beside Python: a name that one of them lacks is not worth
# the confusion. Words that mean something in some places alone, such as `data` in Kotlin, are names.
_WORDS = frozenset(keyword.kwlist) | frozenset(
    """
    alignas alignof and_eq Any arguments asm associatedtype auto bitand bitor bool case catch char char16_t char32_t
    char8_t co_await co_return co_yield compl concept const const_cast consteval constexpr constinit debugger
    decltype default defer deinit delete do double dynamic_cast enum eval explicit export extends extension extern
    fallthrough false fileprivate float friend fun func function goto guard implements init inline inout instanceof
    int interface internal let long mutable namespace new nil noexcept not_eq null nullptr object operator or_eq
    package precedencegroup private protected protocol public register reinterpret_cast repeat requires rethrows
    Self self short signed sizeof static static_assert static_cast struct subscript super switch template this
    thread_local throw throws true typealias typedef typeid typename typeof union unsigned using val var virtual
    void volatile wchar_t when where xor xor_eq
    """.split()  # noqa: SIM905, a page of quotes
)


def kt_string(text: str) -> str:
    """Returns a Kotlin string literal; `$` would begin a template."""
    return _literal(text, lambda code: f"\\u{code:04x}").replace("$", "\\$")


def swift_string(text: str) -> str:
    """Returns a Swift string literal."""
    return _literal(text, lambda code: f"\\u{{{code:x}}}")


def c_string(text: str) -> str:
    """Returns a C or C++ string literal in UTF-8; three octal digits end by themselves."""
    return _literal(text, lambda code: "".join(f"\\{byte:03o}" for byte in chr(code).encode()))


def c_float(text: str) -> str:
    """Returns a C or C++ literal of type float.

    Raises:
        ValueError: it is no finite number.
    """
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"C++ has no literal for {text}")
    return f"{number!r}f"


def py_string(text: str) -> str:
    """Returns a Python string literal."""
    return _literal(text, lambda code: f"\\u{code:04x}")


def js_string(text: str) -> str:
    """Returns a JavaScript string literal; `</` would end a script inside a page."""
    return _literal(text, lambda code: f"\\u{code:04x}").replace("</", "<\\/")


def in_ascii(text: str) -> str:
    """Returns text in ASCII: letters lose their accents, and others become their number, such as `u3b8` for theta."""
    letters = (sign for sign in unicodedata.normalize("NFKD", text) if not unicodedata.combining(sign))
    return "".join(sign if sign.isascii() else f"u{ord(sign):x}" for sign in letters)


def c_identifier(text: str) -> str:
    """Returns a name that C++, Kotlin, Swift, JavaScript and Python take: other characters become `_`."""
    name = re.sub(r"[^A-Za-z0-9_]", "_", text)
    name = name if name[:1].isalpha() or name[:1] == "_" else f"_{name}"
    return f"{name}_" if name in _WORDS else name


def is_identifier(text: str) -> bool:
    """Whether a text is a name in all of these languages."""
    return _IDENTIFIER.fullmatch(text) is not None and text not in _WORDS


def comment(text: str) -> str:
    """Returns text for a comment or a docstring, in one line: it ends none and continues none."""
    line = " ".join(_UNSEEN.sub(" ", text).split()).replace("*/", "* /").replace("/*", "/ *").replace('"""', "'''")
    return line.replace("\\", "/")


def _literal(text: str, spell: Callable[[int], str]) -> str:
    # Half of a surrogate pair, which file names can hold, has no spelling.
    whole = text.encode("utf-8", "replace").decode()
    short = re.sub(r'[\\"\n\r\t]', lambda found: _SHORT[found[0]], whole)
    return f'"{_UNSEEN.sub(lambda found: spell(ord(found[0])), short)}"'
