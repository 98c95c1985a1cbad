"""The notebooks run, and what they show is what is kept in them."""

import importlib.util
import re
from pathlib import Path

import pytest

NOTEBOOKS = Path(__file__).parents[2] / "docs" / "notebooks"
FILES = sorted(NOTEBOOKS.glob("*.ipynb"))


def run(path, folder):
    spec = importlib.util.spec_from_file_location("write_notebooks", NOTEBOOKS / "write.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.executed(path, folder)


def shown(notebook):
    """Returns for each cell of code the kinds of what it shows."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [[sorted(output.get("data", {"text": ""})) for output in cell.outputs] for cell in cells]


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_it_runs_and_shows_what_is_kept(path, tmp_path):
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
    made, kept = run(path, tmp_path), nbformat.read(path, as_version=4)
    nbformat.validate(kept)
    assert shown(made) == shown(kept)
    assert any(kinds for kinds in shown(kept))
    assert list(tmp_path.iterdir()) == []
    text = path.read_text("utf-8")
    assert not re.search(r'"/(home|root|tmp|work)/', text)
    assert len(text) < 200_000


def test_there_are_two():
    assert [path.stem for path in FILES] == ["embed-a-decoder", "is-this-difference-ok"]
