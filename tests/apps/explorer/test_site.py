import json

import pytest

import pocketvae
from pocketvae.apps import export_site, site_files
from pocketvae.apps.explorer import site, web_runtime
from pocketvae.cli.main import main
from pocketvae.errors import ManifestError, TargetError
from pocketvae.vae_spec import DataKind, Likelihood, VaeSpec, vector_latent


def test_the_exported_site_holds_every_file_and_no_address(bundle, runtime, tmp_path):
    out = tmp_path / "site"
    size = export_site(bundle, out, force=False)
    files = {file.relative_to(out).as_posix(): file.read_bytes() for file in out.rglob("*") if file.is_file()}
    record = files.pop("site.json")
    assert set(files) == set(site_files(bundle)) == set(json.loads(record)["files"])
    assert sum(map(len, files.values())) == size
    document = json.loads(files["bundle.json"])
    assert document["decoders"][0]["file"] == "decoder.float32.onnx"
    assert sorted(document["order"]) == [0, 1, 2]
    own = b"".join(content for name, content in files.items() if name.endswith((".html", ".js", ".css")))
    assert b"http:" not in own
    assert b"https:" not in own


def test_the_page_of_sequences_says_what_they_are(tmp_path, bundles, runtime):
    vae = VaeSpec(data=DataKind.SEQUENCE, data_shape=(18, 2), latents=vector_latent(3), likelihood=Likelihood.UNKNOWN)
    with pocketvae.open(bundles.make_bundle(tmp_path / "s", vae=vae)) as bundle:
        document = json.loads(site_files(bundle)["bundle.json"])
    assert (document["data"], document["data_shape"], document["data_range"]) == ("sequence", [18, 2], [0.0, 1.0])


def test_force_replaces_a_site_of_explore_alone(bundle, runtime, tmp_path, capsys):
    (tmp_path / "homepage").mkdir()
    (tmp_path / "homepage" / "index.html").write_text("mine")
    words = ["explore", str(bundle.path), "--force", "--quiet", "--export-dir"]
    assert main([*words, str(tmp_path / "homepage")]) == 2
    assert "replaces an empty folder or one with a noise.bin" in capsys.readouterr().err
    assert (tmp_path / "homepage" / "index.html").read_text() == "mine"
    for _ in range(2):
        assert main([*words, str(tmp_path / "site")]) == 0
    for name in ("artifacts/mine.onnx", "index.html", "notes.txt"):
        kept = (tmp_path / "site" / name).read_bytes() if name == "index.html" else None
        (tmp_path / "site" / name).write_text("mine")
        assert main([*words, str(tmp_path / "site")]) == 2
        assert f"site has files of yours, which --force would delete: {name}" in capsys.readouterr().err
        assert (tmp_path / "site" / name).read_text() == "mine"
        (tmp_path / "site" / name).unlink()
        if kept is not None:
            (tmp_path / "site" / name).write_bytes(kept)
    # As older versions wrote it.
    (tmp_path / "site" / "site.json").unlink()
    assert main([*words, str(tmp_path / "site")]) == 0


def test_what_cannot_be_explored_is_refused(bundle, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("POCKETVAE_CACHE", str(tmp_path / "empty"))
    with monkeypatch.context() as patched:
        patched.setattr(
            site, "activity", lambda *_: pytest.fail("the decoder computes before the runtime is looked for")
        )
        with pytest.raises(TargetError, match="is not set up, .* is missing: run pocketvae explore --setup"):
            site_files(bundle)
    assert main(["explore", str(bundle.path), "--no-browser"]) == 3
    assert main(["explore"]) == 2
    assert "required: BUNDLE" in capsys.readouterr().err
    assert main(["explore", "--setup", str(bundle.path)]) == 2
    assert "--setup does not take a BUNDLE" in capsys.readouterr().err
    monkeypatch.setattr(web_runtime.shutil, "which", lambda _: None)
    assert main(["explore", "--setup"]) == 3
    assert "npm is not installed" in capsys.readouterr().err


def test_a_damaged_runtime_is_refused(runtime):
    (runtime / "ort.wasm.bundle.min.mjs").write_bytes(b"other")
    with pytest.raises(TargetError, match="is damaged: delete it and run pocketvae explore --setup"):
        web_runtime.runtime_files()


@pytest.mark.slow
def test_a_bundle_without_onnx_is_refused(tiny_bundle, runtime, tmp_path):
    with pocketvae.open(tiny_bundle) as bundle:
        artifacts = tuple(record for record in bundle.manifest.artifacts if record.format == "tflite")
        object.__setattr__(bundle.manifest, "artifacts", artifacts)
        with pytest.raises(ManifestError, match="does not have an ONNX decoder"):
            site_files(bundle)
