from pocketvae.benchmarks import verify_bundle, verify_markdown


def test_what_failed_comes_first_and_says_why(tmp_path, bundles):
    right = verify_markdown(verify_bundle(bundles.make_bundle(tmp_path / "right")))
    assert "2 of 2 artifacts match the original" in right
    assert "FAIL" not in right
    wrong = bundles.make_bundle(tmp_path / "wrong", decoder=bundles.decoder_model(bundles.right_weight() * 2))
    text = verify_markdown(verify_bundle(wrong))
    assert text.index("1 of 2 artifacts match") < text.index("FAIL") < text.index("<details>")
    assert "- decoder.float32.onnx on host: unknown: with the runtime's built-in kernels it is as wrong" in text
    assert text.count("<details>") == text.count("</details>") == 1


def test_it_is_deterministic(tmp_path, bundles):
    bundle = bundles.make_bundle(tmp_path / "b")
    assert verify_markdown(verify_bundle(bundle)) == verify_markdown(verify_bundle(bundle))
