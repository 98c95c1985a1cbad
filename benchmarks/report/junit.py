"""A verification as JUnit XML for CI systems; `docs/schemas/junit.xsd` is its schema."""

from __future__ import annotations

import re
from collections.abc import Mapping
from xml.etree import ElementTree as xml

from pocketvae.benchmarks.devices import Device
from pocketvae.benchmarks.not_run import NotRun
from pocketvae.benchmarks.parity.results import Check, VerifyResult
from pocketvae.benchmarks.parity.tables import declined_lines, idle

# Characters that XML 1.0 does not allow, not even escaped; a runtime's message may contain anything.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_COUNTED = {
    "tests": "testcase",
    "failures": "testcase/failure",
    "errors": "testcase/error",
    "skipped": "testcase/skipped",
}


def junit_xml(result: VerifyResult) -> str:
    """Returns one test suite per artifact and target, one test case per check; what did not run is an error.

    A target that supports none of the artifacts is a test suite with one case that is skipped, if others ran some.
    Of a fleet there is one test suite per device, with its labels as properties.
    """
    root = xml.Element("testsuites", name="pocketvae verify")
    reasons = {(item.artifact, item.target): f"{item.culprit}: {'; '.join(item.evidence)}" for item in result.diagnoses}
    if result.fleet is not None:
        for device in result.fleet.devices:
            _add_device(root, device, result, reasons)
    else:
        groups = dict.fromkeys((check.artifact, check.target) for check in result.checks)
        for artifact, target in groups:
            suite = _add_suite(root, f"{artifact} on {target}")
            for check in result.checks:
                if (check.artifact, check.target) == (artifact, target):
                    _add_check(suite, f"{artifact} on {target}", check, reasons.get((artifact, target), ""))
        for item in result.not_run:
            name = _text(f"{item.artifact} on {item.target}")
            _add_not_run(_add_suite(root, name), name, item)
        for item in idle(result) if result.checks or result.not_run else ():
            _add_idle(_add_suite(root, _text(item.target)), item)
    if not result.checks and not result.not_run:
        # Without any case CI systems would take it for a pass.
        nothing = NotRun(artifact=result.bundle, target="", reason="; ".join(declined_lines(result)))
        _add_not_run(_add_suite(root, _text(result.bundle)), result.bundle, nothing)
    for suite in root:
        for count, path in _COUNTED.items():
            suite.set(count, str(len(suite.findall(path))))
    for count in ("tests", "failures", "errors"):
        root.set(count, str(sum(int(suite.get(count, "0")) for suite in root)))
    xml.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + xml.tostring(root, encoding="unicode") + "\n"


def _add_suite(root: xml.Element, name: str) -> xml.Element:
    return xml.SubElement(root, "testsuite", name=name)


def _add_device(
    root: xml.Element, device: Device, result: VerifyResult, reasons: Mapping[tuple[str, str], str]
) -> None:
    checks = [check for check in result.checks if check.target == device.name]
    not_run = [item for item in result.not_run if item.target == device.name]
    unused = [item for item in idle(result) if item.target == device.name]
    if not checks and not not_run and not unused:
        return  # a suite without cases is no suite
    suite = _add_suite(root, device.name)
    suite.set("time", f"{device.elapsed_s:.3f}")
    properties = xml.SubElement(suite, "properties")
    for name, value in {"model": device.model, "target": device.target, **device.labels}.items():
        xml.SubElement(properties, "property", name=name, value=_text(value))
    for check in checks:
        reason = reasons.get((check.artifact, device.name), "")
        _add_check(suite, f"{device.name}.{check.artifact}", check, reason)
    for item in not_run:
        _add_not_run(suite, f"{device.name}.{item.artifact}", item)
    for item in unused:
        _add_idle(suite, item)


def _add_check(suite: xml.Element, name: str, check: Check, reason: str) -> None:
    what = f"{check.output} {check.metric}".strip() + (f", batch {check.batch}" if check.batch > 1 else "")
    case = xml.SubElement(suite, "testcase", classname=name, name=what)
    if not check.passed:
        limit = f"limit: {check.limit_source}" if check.limit_source else ""
        blame = f"to blame: {reason}" if reason else ""
        failure = xml.SubElement(case, "failure", message=_text(check.detail), type=check.metric)
        failure.text = _text("\n".join(line for line in (check.detail, limit, blame) if line))


def _add_not_run(suite: xml.Element, name: str, item: NotRun) -> None:
    case = xml.SubElement(suite, "testcase", classname=_text(name), name="runs")
    xml.SubElement(case, "error", message=_text(f"not run: {item.reason}"), type="not run")


def _add_idle(suite: xml.Element, item: NotRun) -> None:
    """Adds what a target that supports none of the artifacts comes to: no failure, and no pass either."""
    case = xml.SubElement(suite, "testcase", classname=_text(item.target), name="runs")
    xml.SubElement(case, "skipped", message=_text(f"nothing ran: {item.reason}"))


def _text(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)
