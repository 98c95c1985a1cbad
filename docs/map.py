"""Writes the map of the source files into architecture.md, from their docstrings; a test holds it to them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "architecture.md"
ROOMS = ("cli", "distil", "train", "export", "benchmarks", "apps", "udf", "core")
BEGIN, END = "<!-- map: make map -->\n", "<!-- end of map -->\n"


def summary(file: Path) -> str:
    """Returns the first line of a module's docstring."""
    lines = (ast.get_docstring(ast.parse(file.read_text("utf-8"))) or "").splitlines()
    return lines[0].rstrip(".") if lines else ""


def sections() -> Iterator[str]:
    """Yields a heading and a list for every folder of every room."""
    for room in ROOMS:
        inits = sorted((ROOT / room).rglob("__init__.py"), key=lambda file: file.parent.parts)
        for init in inits:
            folder = init.parent.relative_to(ROOT)
            name = ".".join(["pocketvae", *([room] if room != "core" else []), *folder.parts[1:]])
            lines = [
                f"- `{folder.as_posix()}/{file.name}`: {summary(file)}"
                for file in sorted(init.parent.glob("*.py"))
                if file != init
            ]
            yield "\n".join([f"**{folder.as_posix()}**, imported as `{name}`: {summary(init)}", "", *lines, ""])


def written(page: str) -> str:
    """Returns the page with the map of today's files."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + "\n" + "\n".join(sections()) + "\n" + END + after


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text("utf-8")), "utf-8")
