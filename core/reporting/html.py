"""Building blocks of self-contained HTML pages, without scripts or external resources."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from importlib import resources

# A cell of more characters is a sentence and may be broken into lines.
_LONG = 40
_KINDS = {"tflite": "TFLite", "onnx": "ONNX", "original": "original Keras model"}


def table(caption: str, headers: Sequence[str], rows: Sequence[str]) -> str:
    """Returns a table of rows made by `table_row`; it scrolls sideways on a narrow screen."""
    head = "".join(f"<th scope='col'>{escape(header)}</th>" for header in headers)
    return (
        f"<div class='scroll'><table><caption>{escape(caption)}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>\n"
    )


def table_row(name: str, cells: Sequence[str], *, wrap_last: bool = False) -> str:
    """Returns a row: the name is escaped, the cells are HTML already."""
    last = len(cells) - 1
    body = "".join(f"<td{' class=wrap' if wrap_last and i == last else ''}>{cell}</td>" for i, cell in enumerate(cells))
    return f"<tr><th scope='row'><code>{escape(name)}</code></th>{body}</tr>"


def image(png: bytes, alt: str, *, smooth: bool = False) -> str:
    """Returns a PNG inside the page."""
    data = base64.b64encode(png).decode("ascii")
    return (
        f"<img{' class=smooth' if smooth else ''} alt='{escape(alt, quote=True)}' src='data:image/png;base64,{data}'>"
    )


def document(title: str, sections: Sequence[str]) -> str:
    """Returns the page."""
    style = resources.files("pocketvae.reporting").joinpath("report.css").read_text("utf-8")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n"
        f"<body>\n<main>\n{''.join(sections)}</main>\n</body>\n</html>\n"
    )


def text_table(caption: str, headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a table of plain text; the first cell of each row names it, verdicts have their colours."""
    text = [_is_text(rows, place) for place in range(len(headers))]
    head = "".join(
        f"<th scope='col'{' class=text' if words else ''}>{escape(header)}</th>"
        for header, words in zip(headers, text, strict=True)
    )
    body = "".join(
        f"<tr><th scope='row'><code>{escape(row[0])}</code></th>"
        f"{''.join(_cell(cell, words) for cell, words in zip(row[1:], text[1:], strict=True))}</tr>"
        for row in rows
    )
    return (
        f"<div class='scroll'><table><caption>{escape(caption)}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>\n"
    )


def fact_table(caption: str, facts: Sequence[tuple[str, str]]) -> str:
    """Returns a table of two columns of words."""
    rows = "".join(
        f"<tr><th scope='row'>{escape(name)}</th><td class='wrap'>{escape(value)}</td></tr>" for name, value in facts
    )
    return f"<div class='scroll'><table><caption>{escape(caption)}</caption><tbody>{rows}</tbody></table></div>\n"


def figure(chart: str, caption: str) -> str:
    """Returns a chart with its caption; nothing where there is no chart."""
    return f"<figure>{chart}<figcaption>{escape(caption)}</figcaption></figure>\n" if chart else ""


def colour_key(*kinds: str) -> str:
    """Returns what the colours of a chart stand for."""
    return f"<p class='key soft'>{''.join(f'<span class=k-{kind}></span>{_KINDS[kind]}' for kind in kinds)}</p>\n"


def bullets(lines: Sequence[str]) -> str:
    """Returns a list."""
    return f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>\n"


def _cell(text: str, words: bool) -> str:
    kind = {"pass": "pass", "regressed": "fail", "FAIL": "fail"}.get(text, "")
    if kind:
        return f"<td><span class='{kind}'>{escape(text)}</span></td>"
    if len(text) > _LONG:
        return f"<td class='wrap'>{escape(text)}</td>"
    return f"<td class='text'>{escape(text)}</td>" if words else f"<td>{escape(text)}</td>"


def _is_text(rows: Sequence[Sequence[str]], place: int) -> bool:
    return not all(_is_figure(row[place]) for row in rows)


def _is_figure(text: str) -> bool:
    return text[:1].isdigit() or text in ("", "-")
