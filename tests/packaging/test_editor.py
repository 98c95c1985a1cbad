"""The stubs that lead an editor from an import to the file in a room."""

import ast
import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_module_has_a_stub_that_names_its_file():
    spec = importlib.util.spec_from_file_location("editor", ROOT / "docs" / "editor.py")
    editor = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(editor)
    stubs = editor.stubs()
    files = set()
    for path, content in stubs.items():
        (statement,) = ast.parse(content).body
        named = ROOT.joinpath(*statement.module.split("."))
        file = named / "__init__.py" if (named / "__init__.py").is_file() else named.with_suffix(".py")
        assert file.is_file(), path
        files.add(file)
    assert len(files) == len(stubs)
    rooms = ("core", "cli", "train", "export", "benchmarks", "apps", "distil", "udf")
    assert files == {file for room in rooms for file in (ROOT / room).rglob("*.py")}
    assert stubs[Path("pocketvae/spec.pyi")] == "from core.spec import *\n"
    assert stubs[Path("pocketvae/apps/choice.pyi")] == "from apps.choice import *\n"
