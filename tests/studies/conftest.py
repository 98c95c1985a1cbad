"""The studies are scripts: their neighbours are found from their own folder."""

import importlib.util
import sys
from pathlib import Path

import pytest

STUDIES = Path(__file__).parents[2] / "studies"

if str(STUDIES) not in sys.path:
    sys.path.insert(0, str(STUDIES))


@pytest.fixture
def study(monkeypatch):
    """Returns a script as a module, which finds its neighbours as when it is run."""
    monkeypatch.syspath_prepend(str(STUDIES))

    def load(name):
        spec = importlib.util.spec_from_file_location(name, STUDIES / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        return module

    return load
