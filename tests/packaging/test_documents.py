"""The published JSON schemas are current, and real documents are valid by them."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from pocketvae.formats.onnx.metadata import metadata_entries
from pocketvae.spec import Format

ROOT = Path(__file__).parents[2]
SCHEMAS = ROOT / "docs" / "schemas"


def validate(document, name):
    schema = json.loads((SCHEMAS / f"{name}.schema.json").read_text())
    validator = jsonschema.validators.validator_for(schema)
    validator.check_schema(schema)
    validator(schema).validate(document)


def test_the_published_schemas_are_current():
    before = {file.name: file.read_text() for file in SCHEMAS.glob("*.schema.json")}
    spec = importlib.util.spec_from_file_location("write_schemas", SCHEMAS / "write.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.schema_texts() == before, "run make schemas"


def test_results_and_manifests_are_valid(tmp_path, bundles):
    from pocketvae.cli.main import main

    bundle = bundles.make_bundle(tmp_path / "b")
    assert main(["verify", str(bundle), "--json", str(tmp_path / "v.json"), "--quiet"]) == 0
    assert main(["bench", str(bundle), "--no-original", "--json", str(tmp_path / "b.json"), "--quiet"]) == 0
    validate(json.loads((bundle / "manifest.json").read_text()), "manifest")
    validate(json.loads((tmp_path / "v.json").read_text()), "verify")
    validate(json.loads((tmp_path / "b.json").read_text()), "bench")
    assert main(["matrix", str(bundle), "--json", str(tmp_path / "m.json"), "--quiet"]) == 0
    validate(json.loads((tmp_path / "m.json").read_text()), "matrix")


def test_a_document_with_a_field_too_many_is_not_valid(tmp_path, bundles):
    document = json.loads((bundles.make_bundle(tmp_path / "b") / "manifest.json").read_text())
    document["surprise"] = 1
    with pytest.raises(jsonschema.ValidationError, match="surprise"):
        validate(document, "manifest")


@pytest.mark.slow
def test_a_real_run_and_a_real_bundle_are_valid(tiny_run, tiny_bundle):
    validate(json.loads((tiny_run / "run.json").read_text()), "run")
    validate(json.loads((tiny_bundle / "manifest.json").read_text()), "manifest")


@pytest.mark.slow
def test_a_real_evaluation_is_valid(tiny_run, mnist_npz, tmp_path):
    from pocketvae.cli.main import main

    options = ["--data", str(mnist_npz), "--importance-samples", "2", "--images", "4", "--quiet"]
    assert main(["evaluate", str(tiny_run), *options, "--json", str(tmp_path / "e.json")]) == 0
    validate(json.loads((tmp_path / "e.json").read_text()), "evaluation")


def test_documents_hold_no_nan(tmp_path, bundles):
    import numpy as np

    weight = bundles.right_weight().copy()
    weight[0, 0] = np.nan
    bundle = bundles.make_bundle(tmp_path / "b", decoder=bundles.decoder_model(weight))
    subprocess.run(
        [sys.executable, "-m", "pocketvae.cli.main", "verify", str(bundle), "--json", str(tmp_path / "v.json")],
        capture_output=True,
        check=False,
    )

    def refuse(word):
        raise AssertionError(f"{word} is no JSON")

    json.loads((tmp_path / "v.json").read_text(), parse_constant=refuse)


def test_the_metadata_in_a_file_is_valid(tmp_path, bundles, lone_files):
    content = bundles.decoder_model(bundles.right_weight()).SerializeToString()
    signed = lone_files.signed(tmp_path, Format.ONNX, content, bundles.right_weight())
    validate(json.loads(metadata_entries(signed)["pocketvae"]), "embedded")
