"""The pytest plugin: `pytest --pocketvae BUNDLE` adds one test for each check of a bundle.

pytest loads this module wherever pocketvae is installed, so it imports nothing until a bundle is named.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pocketvae.benchmarks import Check, NotRun

_MARKER = "pocketvae"
_MANIFEST = "manifest.json"
_COLLECTED = pytest.StashKey[set[Path]]()


class CheckFailed(Exception):
    """A check that did not pass; the message says everything about it."""


class CheckItem(pytest.Item):
    """One check."""

    problem: str

    def runtest(self) -> None:
        """Fails if the check did.

        Raises:
            CheckFailed: the check did not pass.
        """
        if self.problem:
            raise CheckFailed(self.problem)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: object = None) -> str:
        """Returns only the reason: a traceback through this plugin would not help."""
        return str(excinfo.value)

    def reportinfo(self) -> tuple[Path, None, str]:
        """Returns what pytest prints at the head of a failure; a name with dots would be taken for a Python path."""
        return self.path, None, self.name.replace("::", " ")


class NotRunItem(CheckItem):
    """An artifact that could not be run: an error, as in JUnit XML, and no failed check."""

    def setup(self) -> None:
        """Raises pytest's failure: what fails before the test itself is an error to pytest."""
        pytest.fail(self.problem, pytrace=False)


class IdleItem(CheckItem):
    """A target that supports none of the artifacts: skipped, since that is no failure and no pass."""

    def setup(self) -> None:
        """Raises pytest's skip."""
        pytest.skip(self.problem)


class BundleCollector(pytest.File):
    """A bundle, whose tests are known once it has been verified.

    To pytest it is the file of the manifest, so that the name of a test can be given to pytest like any other.
    """

    def collect(self) -> Iterator[CheckItem]:
        """Verifies the bundle and yields its checks.

        Raises:
            pytest.UsageError: the bundle or an option is not what it must be.
        """
        from pocketvae.benchmarks import declined_lines, idle, verify_bundle
        from pocketvae.cli.arguments import shown_targets
        from pocketvae.errors import PocketVaeError

        config = self.config.getoption("--pocketvae-config")
        try:
            targets = shown_targets(self.config.getoption("--pocketvae-targets"), headed=False)
            result = verify_bundle(self.path.parent, targets=targets, config=Path(config) if config else None)
        except (PocketVaeError, OSError) as e:
            raise pytest.UsageError(f"--pocketvae: {e}") from e
        for check in result.checks:
            name = f"{_name(check)}::{check.output}.{check.metric}".replace("::.", "::")
            yield self._item(CheckItem, name, _problem(check))
        for item in result.not_run:
            yield self._item(NotRunItem, f"{_name(item)}::runs", f"not run: {item.reason}")
        if not result.checks and not result.not_run:
            # Without any test pytest would pass.
            yield self._item(NotRunItem, f"{result.bundle}::runs", f"not run: {'; '.join(declined_lines(result))}")
            return
        for item in idle(result):
            yield self._item(IdleItem, f"{_name(item)}::runs", f"nothing ran on {item.target}: {item.reason}")

    def _item(self, kind: type[CheckItem], name: str, problem: str) -> CheckItem:
        item: CheckItem = kind.from_parent(self, name=name)
        item.problem = problem
        item.add_marker(_MARKER)
        return item


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the options."""
    group = parser.getgroup("pocketvae", "parity of exported VAEs")
    group.addoption(
        "--pocketvae", action="append", default=[], metavar="BUNDLE", help="verify a bundle, one test for each check"
    )
    group.addoption("--pocketvae-targets", default="host", metavar="LIST", help="where to run (default: host)")
    group.addoption("--pocketvae-config", metavar="FILE", help="custom limits, see pocketvae verify --config")


def pytest_configure(config: pytest.Config) -> None:
    """Registers the marker, with which `-m pocketvae` selects only these tests."""
    config.addinivalue_line("markers", f"{_MARKER}: a check of a bundle named by --pocketvae")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Takes the manifest of a bundle one of whose tests is among pytest's arguments."""
    if file_path not in _manifests_among_arguments(parent.config):
        return None
    parent.config.stash.setdefault(_COLLECTED, set()).add(file_path)
    collector: BundleCollector = BundleCollector.from_parent(parent, path=file_path)
    return collector


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(session: pytest.Session, items: list[pytest.Item]) -> None:
    """Adds the checks of the bundles none of whose tests was named, before pytest deselects anything."""
    if not session.config.getoption("--pocketvae"):
        return
    from pocketvae.bundle.demo import located

    collected = session.config.stash.setdefault(_COLLECTED, set())
    for bundle in session.config.getoption("--pocketvae"):
        manifest = Path(os.path.normpath(located(bundle).absolute())) / _MANIFEST
        if manifest not in collected:
            collector: BundleCollector = BundleCollector.from_parent(session, path=manifest)
            items.extend(collector.collect())


def _manifests_among_arguments(config: pytest.Config) -> set[Path]:
    named = {argument.split("::")[0] for argument in config.args if "::" in argument}
    paths = (Path(os.path.normpath(config.invocation_params.dir / file)) for file in named)
    return {path for path in paths if path.name == _MANIFEST}


def _name(item: Check | NotRun) -> str:
    batch = getattr(item, "batch", 1)
    return f"{item.artifact}[{item.target}{f'-batch{batch}' if batch > 1 else ''}]"


def _problem(check: Check) -> str:
    if check.passed:
        return ""
    return f"{check.detail} ({check.limit_source})" if check.limit_source else check.detail
