import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from pocketvae.benchmarks import save_worst, verify_in_detail
from pocketvae.bundle.bundle import open_bundle
from pocketvae.cli.main import main


@pytest.fixture
def one_wrong(tmp_path, bundles):
    """A bundle one of whose goldens is wrong, which is the same to verify as one image being wrong."""
    images = np.load(bundles.make_bundle(tmp_path / "right") / "golden" / "image.npy")
    images[13, 2, 3, 0] = 1 - images[13, 2, 3, 0]
    return bundles.make_bundle(tmp_path / "b", goldens=images)


def test_the_worst_input_is_named(one_wrong):
    verification = verify_in_detail(one_wrong)
    found = next(item for item in verification.result.worst if item.artifact == "decoder.float32.onnx")
    assert (found.index, found.stratum, found.metric, found.output) == (13, "prior", "max_abs", "image")
    limit = next(check for check in verification.result.checks if check.metric == "max_abs")
    assert found.value == limit.value


def test_it_is_saved_as_arrays_and_as_a_picture(one_wrong, tmp_path):
    assert main(["verify", str(one_wrong), "--quiet", "--save-worst", str(tmp_path / "worst")]) == 1
    goldens = open_bundle(one_wrong).goldens("decoder")
    stem = tmp_path / "worst" / "decoder.float32.onnx.host"
    assert np.array_equal(np.load(f"{stem}.input.z.npy"), goldens.inputs["z"][13:14])
    assert np.array_equal(np.load(f"{stem}.original.image.npy"), goldens.outputs["image"][13:14])
    difference = np.abs(np.load(f"{stem}.artifact.image.npy") - np.load(f"{stem}.original.image.npy"))
    assert np.unravel_index(difference.argmax(), difference.shape) == (0, 2, 3, 0)
    picture = np.asarray(Image.open(f"{stem}.png"))
    scale = 4
    third = picture.shape[1] - (2 + 6) * scale
    assert picture[(2 + 2) * scale, third + 3 * scale] == 255
    assert (tmp_path / "worst" / "encoder.float32.onnx.host.png").is_file()


def test_a_target_with_slashes_in_its_name_is_saved_too(one_wrong, tmp_path):
    verification = verify_in_detail(one_wrong)
    name = "ssh://pi@there:22?python=/opt/bin/python"
    away = tuple(replace(case, found=replace(case.found, target=name)) for case in verification.worst)
    save_worst(one_wrong, tmp_path / "worst", replace(verification, worst=away))
    assert (tmp_path / "worst" / "decoder.float32.onnx.ssh_pi_there_22_python_opt_bin_python.png").is_file()


def test_the_table_is_printed_even_where_a_file_cannot_be_written(one_wrong, tmp_path, capsys):
    (tmp_path / "worst" / "decoder.float32.onnx.host.input.z.npy").mkdir(parents=True)
    assert main(["verify", str(one_wrong), "--quiet", "--save-worst", str(tmp_path / "worst")]) == 2
    assert "decoder.float32.onnx" in capsys.readouterr().out


def test_a_value_that_is_not_finite_is_the_worst_there_is(tmp_path, bundles):
    weight = bundles.right_weight().copy()
    weight[0, 5] = np.nan
    verification = verify_in_detail(bundles.make_bundle(tmp_path / "b", decoder=bundles.decoder_model(weight)))
    case = next(item for item in verification.worst if item.found.artifact == "decoder.float32.onnx")
    assert case.found.value is None
    vae = open_bundle(tmp_path / "b").manifest.vae
    assert Image.open(io.BytesIO(case.picture(vae))).size[0] > 0


def test_a_folder_that_cannot_be_made_is_refused_before_any_work(tmp_path, bundles, capsys):
    bundle = bundles.make_bundle(tmp_path / "b")
    (tmp_path / "file").write_text("")
    assert main(["verify", str(bundle), "--save-worst", str(tmp_path / "file")]) == 2
    assert "results must go to a folder" in capsys.readouterr().err
    assert main(["verify", str(bundle), "--save-worst", str(tmp_path / "no" / "worst")]) == 2
    assert "create it first" in capsys.readouterr().err
