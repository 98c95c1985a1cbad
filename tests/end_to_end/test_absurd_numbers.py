"""Numbers that size native work are refused before a runtime sees them, in one line."""

import pytest

from pocketvae.cli.main import main


@pytest.fixture(scope="module")
def bundle(tmp_path_factory, bundles):
    return bundles.make_bundle(tmp_path_factory.mktemp("absurd") / "bundle")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("verify BUNDLE --threads 100000", "threads must be at most"),
        ("verify BUNDLE/decoder.float32.onnx --threads 100000", "threads must be at most"),
        ("bench BUNDLE --threads 100000", "a number of threads must be at most 1024, got 100000"),
        ("bench BUNDLE --batch 1000000000", "a batch size must be at most 4096, got 1000000000"),
        ("generate BUNDLE --out g.png --threads 100000", "threads must be at most"),
        ("generate BUNDLE --out g.npz --count 1000000000000", "their sum at most 2^31"),
        ("generate BUNDLE --out g.png --temperature 1e300", "temperature must be finite"),
        ("traverse BUNDLE --out t.png --span 1e300", "span must be positive and finite"),
        ("traverse BUNDLE --out t.png --steps 1000000000", "at most"),
        ("interpolate BUNDLE --seeds 1,2 --out i.png --steps 1000000000", "at most"),
        ("reconstruct BUNDLE mnist --out r.png --threads 100000", "threads must be at most"),
        ("compress BUNDLE mnist --out c --threads 100000", "threads must be at most"),
        ("compress BUNDLE mnist --fit --fit-steps 1000000000000", "steps of the pixel network must be at most"),
        (
            "score BUNDLE mnist --calibrate --calibration c --samples 1000000000",
            "samples must be at least 1",
        ),
        ("explore BUNDLE --port 1000000", "port"),
        ("export nowhere --out b --components decoder --batch 1,1000000000", "a batch size must be at most 4096"),
        ("export nowhere --out b --components decoder --time-limit nan", "time_limit_s must be positive and at most"),
        ("export nowhere --out b --components decoder --time-limit 1e300", "time_limit_s must be positive and at most"),
        ("export nowhere --out b --components decoder --calibration-seeds 1000000", "calibration seeds must be 1 to"),
        ("export --decoder nowhere --out b --label-count 1000000000", "--label-count must be at most"),
        (
            "export --decoder nowhere --out b --image-shape 100000,100000,3",
            "values of --image-shape must be at most",
        ),
    ],
)
def test_an_absurd_number_is_one_line(bundle, tmp_path, monkeypatch, capsys, line, message):
    monkeypatch.chdir(tmp_path)
    assert main(line.replace("BUNDLE", str(bundle)).split()) == 2
    err = capsys.readouterr().err
    assert message in err
    assert len([row for row in err.splitlines() if row.startswith("pocketvae:")]) == 1
    assert list(tmp_path.iterdir()) == []
