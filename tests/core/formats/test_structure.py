import pytest

from pocketvae.errors import ManifestError, ParityError
from pocketvae.formats.structure import check_structure
from pocketvae.portability.lint import lint
from pocketvae.runtimes.opening import open_runner
from pocketvae.spec import Format


@pytest.fixture(params=Format)
def good(request, bundles, tflite_models):
    """A file of each format, with the format."""
    if request.param is Format.ONNX:
        return bundles.decoder_model(bundles.right_weight()).SerializeToString(), request.param
    return tflite_models.decoder(bundles.right_weight(), bundles.SIDE), request.param


def test_a_whole_file_is_accepted(good):
    content, format = good
    check_structure(format, content)


@pytest.mark.parametrize(
    ("size", "message"), [(0, "the file is empty"), (10, "truncated|not an? "), (40, "truncated|not an? ")]
)
def test_every_reader_says_the_same_of_a_file_that_is_cut_off(good, tmp_path, size, message):
    content, format = good
    path = tmp_path / f"decoder.{format}"
    path.write_bytes(content[:size])
    with pytest.raises(ManifestError, match=message) as structure:
        check_structure(format, content[:size])
    with pytest.raises(ManifestError) as linted:
        lint(format, content[:size])
    with pytest.raises(ParityError) as run:
        open_runner(path, format)
    assert str(linted.value) == str(structure.value)
    assert str(run.value) == f"{path}: {structure.value}"


def test_a_file_without_a_graph_is_not_an_onnx_file(bundles):
    model = bundles.decoder_model(bundles.right_weight())
    model.ClearField("graph")
    with pytest.raises(ManifestError, match="^the file is not an ONNX file: it has no graph$"):
        check_structure(Format.ONNX, model.SerializeToString())
