"""What verify finds: the document behind `verify --json`; that of bench is in `latency/results.py`."""

from __future__ import annotations

from dataclasses import dataclass

from pocketvae.benchmarks.environment import Environment
from pocketvae.spec import STRICT

VERIFY_SCHEMA_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Check:
    """One comparison of one artifact with what it has to be.

    Attributes:
        artifact: File name.
        target: Where the artifact ran.
        output: Output the check is about; empty for the artifact as a whole.
        metric: A name of `pocketvae.metrics`, or `loads`, `interface`, `finite`, `range`.
        value: What was measured; None where there is no finite number.
        limit: Largest value that passes; None for checks without a number.
        limit_source: Where the limit comes from.
        passed: The verdict.
        detail: What was wrong, in words.
    """

    __pydantic_config__ = STRICT
    artifact: str
    target: str
    output: str
    metric: str
    value: float | None
    limit: float | None
    limit_source: str
    passed: bool
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class NotRun:
    """Something that was asked for and could not be run."""

    __pydantic_config__ = STRICT
    artifact: str
    target: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class VerifyResult:
    """The outcome of a verification; passed means that everything ran and every check passed."""

    __pydantic_config__ = STRICT
    schema_version: int = VERIFY_SCHEMA_VERSION
    passed: bool
    bundle: str
    environment: Environment
    checks: tuple[Check, ...]
    not_run: tuple[NotRun, ...] = ()

    def artifacts(self) -> tuple[str, ...]:
        """Returns the names of the artifacts that were checked, in order."""
        return tuple(dict.fromkeys(check.artifact for check in self.checks))
