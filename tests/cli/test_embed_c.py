"""The command `pocketvae embed-c`."""


def test_without_a_name_it_takes_the_decoder_that_the_bundle_has(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcome = command("embed-c", "demo", "--out", "firmware")
    assert outcome.code == 0
    assert {path.name for path in (tmp_path / "firmware").iterdir()} == {"decoder_int8.h", "decoder_int8.cc"}


def test_a_bundle_without_one_is_told(refused, bundles, tmp_path):
    bundle = bundles.make_bundle(tmp_path / "b")
    refused("the bundle has none of decoder.int8_io.tflite", "embed-c", bundle, "--out", tmp_path / "firmware")
    assert not (tmp_path / "firmware").exists()
