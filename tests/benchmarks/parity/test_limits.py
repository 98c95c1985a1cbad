import pytest

from pocketvae.benchmarks import verify_bundle
from pocketvae.benchmarks.parity.limits import parse_limits
from pocketvae.bundle.bundle import open_bundle
from pocketvae.cli.main import main
from pocketvae.errors import SpecError


def decoder_checks(result):
    return {
        check.metric: check for check in result.checks if check.artifact.startswith("decoder") and check.limit_source
    }


def test_a_limit_beside_the_bundle_replaces_the_manifest_s_and_says_so(tmp_path, bundles):
    bundle = bundles.make_bundle(tmp_path / "b", decoder=bundles.decoder_model(bundles.right_weight() * 1.01))
    assert not verify_bundle(bundle).passed
    (tmp_path / "pocketvae.toml").write_text('[limits."decoder.*".image]\nmax_abs = 0.5\nssim_loss = 0.01\n')
    result = verify_bundle(bundle)
    assert result.passed
    checks = decoder_checks(result)
    assert (checks["max_abs"].limit, checks["max_abs"].limit_source) == (0.5, "pocketvae.toml")
    assert (checks["ssim_loss"].limit, checks["ssim_loss"].limit_source) == (0.01, "pocketvae.toml")


def test_a_stricter_limit_fails(tmp_path, bundles):
    bundle = bundles.make_bundle(tmp_path / "b")
    config = tmp_path / "strict.toml"
    config.write_text('[limits."decoder.float32.onnx".image]\nmax_abs = 0\n')
    assert verify_bundle(bundle).passed
    result = verify_bundle(bundle, config=config)
    assert not result.passed
    assert decoder_checks(result)["max_abs"].limit_source == str(config)


def test_of_several_limits_the_last_one_counts(tmp_path, bundles):
    artifact = open_bundle(bundles.make_bundle(tmp_path / "b")).manifest.artifacts[0]
    text = '[limits."*".image]\nmax_abs = 1\n[limits."decoder.float32.*".image]\nmax_abs = 2\n'
    (tolerance,) = parse_limits(text, "t.toml").apply(artifact)
    assert tolerance.limit == 2
    (untouched,) = parse_limits('[limits."encoder.*".posterior]\nkl_max = 2\n', "t.toml").apply(artifact)
    assert untouched.source == "test"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("limits = [", "t.toml is not valid TOML"),
        ('[limit."a".image]\nmax_abs = 1', "unknown key in t.toml: 'limit': did you mean 'limits'"),
        ('[limits."a".image]\nmax_abz = 1', "unknown metric in t.toml: 'max_abz': did you mean 'max_abs'"),
        ('[limits."a".image]\nmax_abs = -1', "must be a number from 0 up, got -1"),
        ('[limits."a".image]\nmax_abs = nan', "must be a number from 0 up, got nan"),
        ('[limits."a".image]\nmax_abs = true', "must be a number from 0 up, got True"),
        ('[limits."a".image]\nmax_abs = "0.1"', "must be a number from 0 up, got '0.1'"),
        ('[limits]\n"a" = 1', "must be a table"),
        ("limits = 3", "limits in t.toml must be a table"),
    ],
)
def test_what_cannot_be_meant_is_named(text, message):
    with pytest.raises(SpecError, match=message):
        parse_limits(text, "t.toml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[limits."decodr.float32.onnx".image]\nmax_abs = 1', "did you mean 'decoder.float32.onnx'"),
        ('[limits."decoder.*".imag]\nmax_abs = 1', "unknown output of decoder.* 'imag': did you mean 'image'"),
        ('[limits."decoder.*".posterior]\nkl_max = 1', "unknown output of decoder.* 'posterior'"),
    ],
)
def test_a_limit_that_would_never_be_used_is_refused(tmp_path, bundles, capsys, text, message):
    bundle = bundles.make_bundle(tmp_path / "b")
    (tmp_path / "c.toml").write_text(text)
    assert main(["verify", str(bundle), "--config", str(tmp_path / "c.toml")]) == 2
    assert message in capsys.readouterr().err


def test_a_file_that_is_missing_or_no_text_is_named(tmp_path, bundles, capsys):
    bundle = bundles.make_bundle(tmp_path / "b")
    assert main(["verify", str(bundle), "--config", str(tmp_path / "none.toml")]) == 2
    assert "none.toml: No such file" in capsys.readouterr().err
    (tmp_path / "pocketvae.toml").write_bytes(b"\xff\xfe")
    assert main(["verify", str(bundle)]) == 2
    assert "must be text in UTF-8" in capsys.readouterr().err
