"""A verification as JUnit XML for CI systems; `docs/schemas/junit.xsd` is its schema."""

from __future__ import annotations

import re
from xml.etree import ElementTree as xml

from pocketvae.benchmarks.not_run import NotRun
from pocketvae.benchmarks.parity.results import Check, VerifyResult

# Characters that XML 1.0 does not allow, not even escaped; a runtime's message may contain anything.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit_xml(result: VerifyResult) -> str:
    """Returns one test suite per artifact and target, one test case per check; what did not run is an error."""
    root = xml.Element("testsuites", name="pocketvae verify")
    reasons = {(item.artifact, item.target): f"{item.culprit}: {'; '.join(item.evidence)}" for item in result.diagnoses}
    groups = dict.fromkeys((check.artifact, check.target) for check in result.checks)
    for artifact, target in groups:
        checks = [check for check in result.checks if (check.artifact, check.target) == (artifact, target)]
        _add_suite(root, f"{artifact} on {target}", checks, reasons.get((artifact, target), ""))
    for item in result.not_run:
        _add_not_run(root, item)
    for count in ("tests", "failures", "errors"):
        root.set(count, str(sum(int(suite.get(count, "0")) for suite in root)))
    xml.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + xml.tostring(root, encoding="unicode") + "\n"


def _add_suite(root: xml.Element, name: str, checks: list[Check], reason: str) -> None:
    failures = sum(not check.passed for check in checks)
    suite = xml.SubElement(
        root, "testsuite", name=name, tests=str(len(checks)), failures=str(failures), errors="0", skipped="0"
    )
    for check in checks:
        what = f"{check.output} {check.metric}".strip() + (f", batch {check.batch}" if check.batch > 1 else "")
        case = xml.SubElement(suite, "testcase", classname=name, name=what)
        if not check.passed:
            limit = f"limit: {check.limit_source}" if check.limit_source else ""
            blame = f"to blame: {reason}" if reason else ""
            failure = xml.SubElement(case, "failure", message=_text(check.detail), type=check.metric)
            failure.text = _text("\n".join(line for line in (check.detail, limit, blame) if line))


def _add_not_run(root: xml.Element, item: NotRun) -> None:
    name = _text(f"{item.artifact} on {item.target}")
    suite = xml.SubElement(root, "testsuite", name=name, tests="1", failures="0", errors="1", skipped="0")
    case = xml.SubElement(suite, "testcase", classname=name, name="runs")
    xml.SubElement(case, "error", message=_text(f"not run: {item.reason}"), type="not run")


def _text(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)
