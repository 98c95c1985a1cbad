from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import xmlschema

from pocketvae.benchmarks import NotRun, junit_xml, verify_bundle
from pocketvae.benchmarks.devices import Device, DeviceState, Fleet

SCHEMA = xmlschema.XMLSchema(Path(__file__).parents[3] / "docs" / "schemas" / "junit.xsd")


def test_a_pass_is_one_case_per_check(tmp_path, bundles):
    result = verify_bundle(bundles.make_bundle(tmp_path / "b"))
    root = ElementTree.fromstring(junit_xml(result))
    assert root.get("tests") == str(len(result.checks)) == str(len(root.findall(".//testcase")))
    assert (root.get("failures"), root.get("errors")) == ("0", "0")


def test_a_failure_says_value_limit_and_source(tmp_path, bundles):
    decoder = bundles.decoder_model(np.zeros_like(bundles.right_weight()))
    root = ElementTree.fromstring(junit_xml(verify_bundle(bundles.make_bundle(tmp_path / "b", decoder=decoder))))
    (failure,) = root.findall(".//failure")
    assert "is above the limit of 1e-05" in failure.get("message")
    assert "limit: test" in failure.text
    assert root.get("failures") == "1"


def test_what_did_not_run_is_an_error(tmp_path, bundles):
    result = verify_bundle(bundles.make_bundle(tmp_path / "b"))
    lost = replace(result, not_run=(NotRun(artifact="a<b", target="host", reason='no "runtime" & more'),))
    root = ElementTree.fromstring(junit_xml(lost))
    assert root.get("errors") == "1"
    assert root.find(".//error").get("message") == 'not run: no "runtime" & more'


def test_a_verification_in_which_everything_was_declined_is_an_error(tmp_path, bundles):
    result = verify_bundle(bundles.make_bundle(tmp_path / "b"))
    declined = (NotRun(artifact="a", target="tflm", reason="it runs no ONNX"),)
    text = junit_xml(replace(result, passed=False, checks=(), declined=declined))
    SCHEMA.validate(text)
    root = ElementTree.fromstring(text)
    assert (root.get("tests"), root.get("errors")) == ("1", "1")
    assert root.find(".//error").get("message") == "not run: tflm: left out a: it runs no ONNX"


def test_all_of_it_is_valid_by_the_published_schema(tmp_path, bundles):
    passed = verify_bundle(bundles.make_bundle(tmp_path / "right"))
    wrong = bundles.make_bundle(
        tmp_path / "wrong", decoder=bundles.decoder_model(np.zeros_like(bundles.right_weight()))
    )
    failed = verify_bundle(wrong)
    lost = replace(failed, checks=(), diagnoses=(), not_run=(NotRun(artifact="a", target="host", reason="gone"),))
    for result in (passed, failed, lost):
        SCHEMA.validate(junit_xml(result))


def test_the_schema_refuses_what_is_not_junit(tmp_path, bundles):
    text = junit_xml(verify_bundle(bundles.make_bundle(tmp_path / "b")))
    assert not SCHEMA.is_valid(text.replace("testcase", "case"))
    assert not SCHEMA.is_valid(text.replace(' failures="0"', ""))


def test_a_failure_names_who_is_to_blame(tmp_path, bundles):
    wrong = bundles.make_bundle(tmp_path / "b", decoder=bundles.decoder_model(np.zeros_like(bundles.right_weight())))
    (failure,) = ElementTree.fromstring(junit_xml(verify_bundle(wrong))).findall(".//failure")
    assert "to blame: unknown: with the runtime's built-in kernels it is as wrong" in failure.text


def test_characters_that_xml_cannot_hold_are_replaced(tmp_path, bundles):
    result = verify_bundle(bundles.make_bundle(tmp_path / "b"))
    lost = replace(result, not_run=(NotRun(artifact="a", target="host", reason="a\x00b\x1b[31mc"),))
    root = ElementTree.fromstring(junit_xml(lost))
    assert root.find(".//error").get("message") == "not run: a\ufffdb\ufffd[31mc"


def test_of_a_fleet_each_device_is_a_suite(tmp_path, bundles):
    result = verify_bundle(bundles.make_bundle(tmp_path / "b"))
    states = {"a": DeviceState.DONE, "b": DeviceState.LOST, "c": DeviceState.DONE}
    fleet = Fleet(
        name="fleet.toml",
        selection="",
        elapsed_s=1.0,
        devices=tuple(
            Device(name=name, target="host", model="m", labels={"site": "<x>"}, state=state, elapsed_s=1.5)
            for name, state in states.items()
        ),
    )
    checks = tuple(replace(check, target="a", passed=check.metric != "max_abs") for check in result.checks)
    not_run = (NotRun(artifact="encoder.float32.onnx", target="b", reason="gone"),)
    text = junit_xml(replace(result, checks=checks, not_run=not_run, fleet=fleet))
    SCHEMA.validate(text)
    # The third has no artifacts at all.
    first, second = ElementTree.fromstring(text).findall("testsuite")
    assert (first.get("name"), first.get("time"), first.get("tests")) == ("a", "1.500", str(len(checks)))
    assert int(first.get("failures")) == sum(not check.passed for check in checks) > 0
    assert {item.get("name"): item.get("value") for item in first.findall("properties/property")} == {
        "model": "m",
        "target": "host",
        "site": "<x>",
    }
    assert first.find("testcase").get("classname") == f"a.{checks[0].artifact}"
    assert (second.get("errors"), second.find("testcase/error").get("message")) == ("1", "not run: gone")
    declined = (NotRun(artifact="encoder.float32.onnx", target="c", reason="it runs no ONNX"),)
    text = junit_xml(replace(result, checks=checks, not_run=not_run, declined=declined, fleet=fleet))
    SCHEMA.validate(text)
    third = ElementTree.fromstring(text).findall("testsuite")[2]
    assert (third.get("name"), third.get("tests"), third.get("skipped")) == ("c", "1", "1")
    assert third.find("testcase/skipped").get("message") == "nothing ran: it runs no ONNX"
