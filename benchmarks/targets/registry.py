"""The targets by name: every other module of this package is a target with one `Target` class."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

import pocketvae.benchmarks.targets as package
from pocketvae.benchmarks.execution.target import Target
from pocketvae.errors import SpecError, unknown_name

_NO_TARGETS = frozenset({"registry"})
# Targets whose option may stand alone, by the vendor's name of the chip: ethos-u55-128.
_FAMILIES = ("ethos-u",)


@cache
def known_targets() -> tuple[str, ...]:
    """Returns the kinds of targets, this machine first."""
    names = {module.name.replace("_", "-") for module in pkgutil.iter_modules(package.__path__)} - _NO_TARGETS
    return ("host", *sorted(names - {"host"}))


def make_target(name: str) -> Target:
    """Returns a target by its name; whether it can be used here is for the target to say.

    Args:
        name: The module's name, and its option after a colon: `arm64:cortex-a53`, `ssh://user@host`; an
            Ethos-U accelerator by Arm's name: `ethos-u55-128`.

    Raises:
        SpecError: the name is unknown, or the target does not take this option.
    """
    kind, _, option = name.partition(":")
    family = next((known for known in _FAMILIES if kind.startswith(known) and kind != known), "")
    if family:
        kind, option = family, name
    if name.endswith(".toml"):
        raise SpecError(
            f"a fleet such as {name} stands alone, as --targets of verify or bench; its devices are targets"
        )
    if kind not in known_targets():
        raise unknown_name("target", name, known_targets())
    module = importlib.import_module(f"{package.__name__}.{kind.replace('-', '_')}")
    title = "".join(word.capitalize() for word in kind.split("-"))
    made: Target = getattr(module, f"{title}Target")(option)
    return made
