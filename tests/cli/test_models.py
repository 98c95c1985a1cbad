"""The options of recordings: checked before anything is read, and only where they mean something."""

import numpy as np
import pytest

from pocketvae.cli.main import main


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--stride", "0"], "--stride must be at least 1 time step, got 0"),
        (["--channels", "ax,,az"], "--channels must be names such as ax,ay,az, those with a comma in double quotes"),
        (["--channels", '"ax,az'], "--channels must be names such as ax,ay,az, those with a comma in double quotes"),
        (["--channels", ""], "--channels must be names such as ax,ay,az, those with a comma in double quotes"),
        (
            ["--channels", "ax"],
            "--channels, --truth and --fill-gaps are for sequences, but this model is of images: leave them out",
        ),
    ],
)
def test_a_command_of_apps_refuses_what_means_nothing(tmp_path, bundles, capsys, options, message):
    bundle = bundles.make_bundle(tmp_path / "bundle")
    assert main(["encode", str(bundle), "mnist", "--out", str(tmp_path / "z.npz"), *options]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "z.npz").exists()


def test_export_needs_data_for_recordings(tmp_path, capsys):
    (tmp_path / "d.onnx").write_bytes(b"not read before the options are checked")
    words = ["export", "--decoder", str(tmp_path / "d.onnx"), "--components", "decoder", "--out", str(tmp_path / "b")]
    assert main([*words, "--stride", "4"]) == 2
    assert "--stride and --channels are for the recordings of --data SRC: leave them out" in capsys.readouterr().err
    np.save(tmp_path / "x.npy", np.zeros((40, 3)))
    assert main([*words, "--data", str(tmp_path / "x.npy"), "--stride", "4"]) == 2
    assert "--data calibrates with posteriors, which needs --encoder" in capsys.readouterr().err
