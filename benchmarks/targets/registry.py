"""The targets by name. A new one is a module and a line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pocketvae.benchmarks.targets.host import HostTarget
from pocketvae.benchmarks.targets.protocol import Target
from pocketvae.errors import unknown_name

_TARGETS: Mapping[str, Callable[[], Target]] = {"host": HostTarget}


def known_targets() -> tuple[str, ...]:
    """Returns the names that `make_target` takes."""
    return tuple(_TARGETS)


def make_target(name: str) -> Target:
    """Returns a target by its name; whether it can be used here is for the target to say.

    Raises:
        SpecError: the name is unknown.
    """
    if name not in _TARGETS:
        raise unknown_name("target", name, _TARGETS)
    return _TARGETS[name]()
