"""A verification as JUnit XML for CI systems; `docs/schemas/junit.xsd` is its schema."""

from __future__ import annotations

import re
from collections.abc import Mapping
from xml.etree import ElementTree as xml

from pocketvae.benchmarks.devices import Device
from pocketvae.benchmarks.not_run import NotRun
from pocketvae.benchmarks.parity.results import Check, VerifyResult
from pocketvae.benchmarks.parity.tables import declined_lines

# Characters that XML 1.0 does not allow, not even escaped; a runtime's message may contain anything.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit_xml(result: VerifyResult) -> str:
    """Returns one test suite per artifact and target, one test case per check; what did not run is an error.

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
    if not result.checks and not result.not_run:
        # Without any case CI systems would take it for a pass.
        nothing = NotRun(artifact=result.bundle, target="", reason="; ".join(declined_lines(result)))
        _add_not_run(_add_suite(root, _text(result.bundle)), result.bundle, nothing)
    for suite in root:
        for count, path in (("tests", "testcase"), ("failures", "testcase/failure"), ("errors", "testcase/error")):
            suite.set(count, str(len(suite.findall(path))))
    for count in ("tests", "failures", "errors"):
        root.set(count, str(sum(int(suite.get(count, "0")) for suite in root)))
    xml.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + xml.tostring(root, encoding="unicode") + "\n"


def _add_suite(root: xml.Element, name: str) -> xml.Element:
    return xml.SubElement(root, "testsuite", name=name, skipped="0")


def _add_device(
    root: xml.Element, device: Device, result: VerifyResult, reasons: Mapping[tuple[str, str], str]
) -> None:
    checks = [check for check in result.checks if check.target == device.name]
    not_run = [item for item in result.not_run if item.target == device.name]
    if not checks and not not_run:
        return  # it supports none of the artifacts, and a suite without cases is no suite
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


def _text(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)
