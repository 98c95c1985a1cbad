import shutil

import numpy as np
import pytest

from pocketvae import open_bundle
from pocketvae.bundle.bundle import check_bundle_output
from pocketvae.bundle.manifest import MANIFEST_NAME
from pocketvae.errors import ManifestError, OutputExistsError
from pocketvae.spec import Component


def test_a_bundle_gives_its_artifacts_and_goldens(tmp_path, bundles):
    bundle = open_bundle(bundles.make_bundle(tmp_path / "b"))
    assert [artifact.name for artifact in bundle.manifest.artifacts] == ["decoder.float32.onnx", "encoder.float32.onnx"]
    assert all(bundle.artifact_path(artifact).is_file() for artifact in bundle.manifest.artifacts)
    goldens = bundle.goldens(Component.DECODER)
    assert goldens.count == bundles.COUNT
    assert goldens.inputs["z"].shape == (bundles.COUNT, bundles.LATENT)
    assert goldens.outputs["image"].shape == (bundles.COUNT, bundles.SIDE, bundles.SIDE, 1)


def test_the_bundle_can_be_moved(tmp_path, bundles):
    shutil.move(bundles.make_bundle(tmp_path / "b"), tmp_path / "elsewhere")
    assert open_bundle(tmp_path / "elsewhere").goldens(Component.ENCODER).count == bundles.COUNT


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../../x", "..\\x", "c:x", ""])
def test_a_manifest_cannot_name_a_file_outside_the_bundle(tmp_path, bundles, path):
    import json

    manifest = bundles.make_bundle(tmp_path / "b") / "manifest.json"
    document = json.loads(manifest.read_text())
    document["artifacts"][0]["file"]["path"] = path
    manifest.write_text(json.dumps(document))
    with pytest.raises(ManifestError, match="must stay inside the bundle"):
        open_bundle(tmp_path / "b")


def test_a_golden_that_is_no_array_is_refused(tmp_path, bundles):
    import json

    from pocketvae.system.files import sha256_file

    folder = bundles.make_bundle(tmp_path / "b")
    np.save(folder / "golden" / "z.npy", np.array([{}], object))
    document = json.loads((folder / "manifest.json").read_text())
    for golden in document["goldens"]:
        if "z" in golden["inputs"]:
            file = folder / "golden" / "z.npy"
            golden["inputs"]["z"] |= {"sha256": sha256_file(file), "size_bytes": file.stat().st_size}
    (folder / "manifest.json").write_text(json.dumps(document))
    with pytest.raises(ManifestError, match="is not a .npy array"):
        open_bundle(folder).goldens(Component.DECODER)


@pytest.mark.parametrize(
    "values", [np.float32(1), np.zeros((9, 99), np.float32), np.zeros((9, 3)), np.zeros(9, np.int32)]
)
def test_a_golden_input_has_the_shape_and_type_that_the_model_takes(tmp_path, bundles, values):
    import json

    from pocketvae.system.files import sha256_file

    folder = bundles.make_bundle(tmp_path / "b")
    np.save(folder / "golden" / "odd.npy", values)
    document = json.loads((folder / "manifest.json").read_text())
    for golden in (golden for golden in document["goldens"] if "z" in golden["inputs"]):
        file = folder / "golden" / "odd.npy"
        changes = {"path": "golden/odd.npy", "sha256": sha256_file(file), "size_bytes": file.stat().st_size}
        golden["inputs"]["z"] |= changes
    (folder / "manifest.json").write_text(json.dumps(document))
    with pytest.raises(ManifestError, match=r"golden 'z' of the decoder must be float32 of \(\d+,\) per sample, got "):
        open_bundle(folder).goldens(Component.DECODER)


def test_replacing_a_bundle_deletes_nothing_that_export_did_not_write(tmp_path, bundles):
    """Without the codec's tables, files that were compressed with them can never be read again."""
    path = bundles.make_bundle(tmp_path / "b")
    with pytest.raises(OutputExistsError, match="exists"):
        check_bundle_output(path, force=False)
    (path / "reports").mkdir()
    (path / "reports" / "verify.json").write_text("{}")
    check_bundle_output(path, force=True)
    (path / "codec.npz").write_bytes(b"tables")
    with pytest.raises(OutputExistsError, match="files of yours, which --force would delete: codec.npz; move"):
        check_bundle_output(path, force=True)
    (path / MANIFEST_NAME).write_text("{")
    check_bundle_output(path, force=True)
