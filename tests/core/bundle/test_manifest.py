"""What a manifest refuses, and manifests of older versions."""

import json

from pocketvae.bundle.manifest import MANIFEST_NAME, Manifest
from pocketvae.bundle.quantization import SearchRecord, SeedError, TrialRecord
from pocketvae.documents import decode, encode, json_schema


def renamed(text, old, new):
    return text.replace(f'"{old}', f'"{new}')


def test_a_manifest_of_version_1_has_its_ratios_under_their_old_names(tmp_path, bundles):
    path = bundles.make_bundle(tmp_path / "b") / MANIFEST_NAME
    manifest = decode(Manifest, path.read_bytes(), "m")
    trial = TrialRecord(size_bytes=1, errors={"image p99_abs": 0.5}, error_ratio=0.25, latency_s=1.0)
    search = SearchRecord(
        trial_count=1,
        chosen=trial,
        reason="r",
        front=(trial,),
        layers=(),
        inputs=(),
        seeds=(SeedError(seed=1, errors={}, error_ratio=1.5),),
    )
    data = json.loads(encode(manifest))
    data["artifacts"][0]["search"] = json.loads(json.dumps(_plain(search)))
    newest = json.dumps(data)
    vae = {"image_shape": data["vae"]["data_shape"], "latent_dim": bundles.LATENT, "image_range": [0.0, 1.0]}
    data |= {"vae": vae, "schema_version": 1}
    oldest = renamed(json.dumps(data), "error_ratio", "budget_share")
    assert "error_ratio" not in oldest
    read = decode(Manifest, oldest, "m")
    assert read == decode(Manifest, newest, "m")
    assert read.schema_version == 6
    assert read.artifacts[0].search.chosen.error_ratio == 0.25


def _plain(document):
    from pydantic import TypeAdapter

    return TypeAdapter(type(document)).dump_python(document, mode="json")


def test_the_schema_names_no_ratio_in_two_ways():
    text = json.dumps(json_schema(Manifest))
    assert "error_ratio" in text
    assert "budget_share" not in text
