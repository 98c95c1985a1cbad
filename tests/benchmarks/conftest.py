import importlib.util
from pathlib import Path

import pytest

_SPEC = importlib.util.spec_from_file_location("bundles", Path(__file__).with_name("bundles.py"))
assert _SPEC is not None
assert _SPEC.loader is not None
_MODULE = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_MODULE)


@pytest.fixture
def bundles():
    """The helpers that make small bundles without TensorFlow."""
    return _MODULE
