from dataclasses import replace
from xml.etree import ElementTree

import numpy as np

from pocketvae.benchmarks import NotRun, junit_xml, verify_bundle


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
