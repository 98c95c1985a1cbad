"""Templates: files beside the code, `NAME.LANGUAGE.j2`, whose values are escaped as their language asks.

HTML is escaped as HTML, Markdown as Markdown. In code a value stands for itself only where it is a number or a name;
any other goes through a filter (`kt_string`, `comment`, ...), or rendering fails.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from pocketvae.layer_precision import short_layer_name
from pocketvae.reporting import escapes
from pocketvae.reporting.markdown import markdown_table, md_code, md_text, plain_text

if TYPE_CHECKING:
    import jinja2

_CORE = "pocketvae.reporting"
# A name, or numbers and what stands between them.
_BARE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9\s,.+eE\[\]()-]*")
_FILTERS: Mapping[str, Callable[[str], str]] = {
    "md": md_text,
    "plain": plain_text,
    "md_code": md_code,
    "kt_string": escapes.kt_string,
    "swift_string": escapes.swift_string,
    "c_string": escapes.c_string,
    "c_float": escapes.c_float,
    "py_string": escapes.py_string,
    "js_string": escapes.js_string,
    "c_identifier": escapes.c_identifier,
    "comment": escapes.comment,
    "short_layer": short_layer_name,
}
_PNG = b"\x89PNG"


def render(package: str, name: str, values: Mapping[str, object]) -> str:
    """Returns a template of a package filled in.

    Args:
        package: Import name of the package whose folder `templates` holds it; it may use those of core, too.
        name: The file, such as `embed.md.j2`.
        values: What the template names; one that is missing is an error.

    Raises:
        ValueError: code was given text that is neither a number nor a name, without a filter.
    """
    return _environment(package).get_template(name).render(values)


@cache
def _environment(package: str) -> jinja2.Environment:
    # Only those who write pages pay for it.
    import jinja2
    from markupsafe import Markup

    @jinja2.pass_context
    def finalize(context: jinja2.runtime.Context, value: object) -> object:
        language = (context.name or "").removesuffix(".j2").rpartition(".")[2]
        if language == "html" or hasattr(value, "__html__"):
            return value
        return Markup(_escaped(value, language))  # noqa: S704, not HTML

    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(each) for each in dict.fromkeys((package, _CORE))]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=finalize,
    )
    environment.globals["report_css"] = lambda: Markup(_style())  # noqa: S704, a file of this package
    environment.globals["markdown_table"] = lambda *table: Markup(markdown_table(*table))  # noqa: S704, Markdown
    environment.filters["picture_type"] = lambda data: "png" if data.startswith(_PNG) else "svg+xml"
    environment.filters |= {"svg": Markup, "base64": lambda data: base64.b64encode(data).decode("ascii")}
    environment.filters |= {name: _marked(function, Markup) for name, function in _FILTERS.items()}
    environment.tests["identifier"] = escapes.is_identifier
    return environment


def _style() -> str:
    return resources.files(_CORE).joinpath("report.css").read_text("utf-8")


def _marked(function: Callable[[str], str], mark: Callable[[str], Any]) -> Callable[[object], Any]:
    def apply(value: object) -> Any:
        return mark(function(str(value)))

    return apply


def _escaped(value: object, language: str) -> str:
    text = str(value)
    if language == "md":
        return md_text(text)
    if value is None or not _BARE.fullmatch(text):
        raise ValueError(f"text in a template of code must go through a filter, such as kt_string, got {text!r}")
    return text
