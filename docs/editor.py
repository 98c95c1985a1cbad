"""Writes build/editor, by which an editor finds the file behind an import: make runs it.

The rooms are folders at the top, and their import names are others: `pocketvae.spec` is core/spec.py. The installed
package has links by the import names, and an editor that follows an import opens the link. So pyright is given a stub
for each module which says that all its names come from the file in the room; see stubPath in pyproject.toml.
"""

import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "build" / "editor"


def stubs() -> dict[Path, str]:
    """Returns path below `FOLDER` to content."""
    found = {}
    for name, room in _rooms().items():
        for file in sorted((ROOT / room).rglob("*.py")):
            module = ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            place = Path(*name.split("."), file.relative_to(ROOT / room)).with_suffix(".pyi")
            found[place] = f"from {module} import *\n"
    return found


def _rooms() -> dict[str, str]:
    """Returns import name to folder, as setup.py has it, which would install if it were imported."""
    lines = (ROOT / "setup.py").read_text("utf-8").partition("ROOMS = ")[2].partition("}")[0]
    words = [line.strip().strip(",").split(": ") for line in lines.splitlines()[1:] if line.strip()]
    return {name.strip('"'): folder.strip('"') for name, folder in words}


def main() -> int:
    """Writes the stubs anew."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    for path, content in stubs().items():
        (FOLDER / path).parent.mkdir(parents=True, exist_ok=True)
        (FOLDER / path).write_text(content, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
