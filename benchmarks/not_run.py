"""What was requested and could not be run, of a parity check as of a timing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pocketvae.spec import STRICT

# In place of an artifact's name: none of them ran.
ALL = "all"
# As many with the same reason are named one by one.
_FEW = 3


@dataclass(frozen=True, kw_only=True)
class NotRun:
    """Something that was requested but could not be run; the artifact is `all` where it is none in particular."""

    __pydantic_config__ = STRICT
    artifact: str
    target: str
    reason: str


def summed_up(items: Sequence[NotRun]) -> tuple[NotRun, ...]:
    """Returns one item for many artifacts with the same target and reason, for people; a few stay as they are."""
    groups: dict[tuple[str, str], list[NotRun]] = {}
    for item in items:
        groups.setdefault((item.target, item.reason), []).append(item)
    found: list[NotRun] = []
    for (target, reason), items_alike in groups.items():
        alike = list(dict.fromkeys(items_alike))
        one = NotRun(artifact=f"{len(alike)} artifacts", target=target, reason=reason)
        found += alike if len(alike) <= _FEW else [one]
    return tuple(found)
