"""Foreign text in a language's own spelling, so that a quote, a line break or a backtick in it ends nothing."""

from __future__ import annotations

import keyword
import math
import re
from collections.abc import Callable

_SHORT = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
# What ends a line in JavaScript, Swift or an editor, and what no source text shows.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\u202a-\u202e\u2066-\u2069]")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Of C++, Kotlin, Swift and JavaScript, beside Python's: a name that one of them lacks is not worth the confusion.
_WORDS = frozenset(keyword.kwlist) | frozenset(
    """
    auto bool catch char const default delete do double enum explicit export extern false float fun func function goto
    guard init inline int interface let long mutable namespace new null nullptr object operator package private
    protected public self short signed sizeof static struct super switch template this throw throws true typedef
    typename typeof union unsigned using val var virtual void volatile when where
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
