from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import xmlschema

from pocketvae.benchmarks import NotRun, junit_xml, verify_bundle

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
