"""Lazy loading of public names and of what shows results, so that importing is fast and workers stay small."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import ClassVar


def lazy_names(
    package: str, modules: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Returns a package's `__getattr__` and `__dir__`.

    Args:
        package: Import name of the package.
        modules: Public names by the import name of their module.
    """
    homes = {name: module for module, names in modules.items() for name in names}

    def get(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value: object = getattr(importlib.import_module(homes[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    def names() -> list[str]:
        return sorted(homes)

    return get, names


class Shown:
    """A result that shows itself in a notebook; what it takes for that is loaded when it is asked for.

    Attributes:
        SHOWN_BY: `MODULE:FUNCTION`, which returns it as HTML.
    """

    SHOWN_BY: ClassVar[str]

    def _repr_html_(self) -> str:
        module, _, name = self.SHOWN_BY.partition(":")
        html: str = getattr(importlib.import_module(module), name)(self)
        return html
