"""What was requested and could not be run, of a parity check as of a timing."""

from __future__ import annotations

from dataclasses import dataclass

from pocketvae.spec import STRICT


@dataclass(frozen=True, kw_only=True)
class NotRun:
    """Something that was requested but could not be run."""

    __pydantic_config__ = STRICT
    artifact: str
    target: str
    reason: str
