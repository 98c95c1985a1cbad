import numpy as np
import pytest

from pocketvae.errors import ManifestError, SpecError
from pocketvae.export.convert import pixels_onnx
from pocketvae.export.convert.batches_tflite import add_batches
from pocketvae.export.convert.pixels_tflite import with_pixels
from pocketvae.formats.tflite.model import main_signature, read_model, schema, write_model
from pocketvae.runtimes.base import Optimizations
from pocketvae.runtimes.opening import open_runner
from pocketvae.runtimes.taps import Tapped, tap
from pocketvae.spec import Component, Format

Z = np.float32([[0.5, -1, 1], [2, 0.25, 0], [0, 0, 0]])


@pytest.fixture(scope="module")
def files(bundles, tflite_models):
    return {
        Format.TFLITE: tflite_models.decoder(bundles.right_weight(), bundles.SIDE),
        Format.ONNX: bundles.decoder_model(bundles.right_weight()).SerializeToString(),
    }


@pytest.mark.parametrize("format", Format)
def test_every_operator_s_output_is_seen_in_order(files, bundles, format):
    found = list(tap(format, files[format], {"z": Z}).values())
    assert len(found) == 3
    assert [tensor.values.shape[:2] for tensor in found] == [(3, 1)] * 3
    np.testing.assert_allclose(found[0].real().reshape(3, -1), Z @ bundles.right_weight(), atol=1e-5)
    with open_runner(files[format], format) as runner:
        image = runner.run_samples({"z": Z})["image"]
    np.testing.assert_allclose(found[-1].rows(), image, atol=1e-6)


@pytest.mark.parametrize(("format", "name"), [(Format.TFLITE, "flat"), (Format.ONNX, "image")])
def test_chosen_tensors_alone_are_seen_and_unknown_ones_left_out(files, format, name):
    assert list(tap(format, files[format], {"z": Z}, [name, "nowhere"])) == [name]
    assert tap(format, files[format], {"z": Z}, ["nowhere"]) == {}


def test_a_tensor_that_no_operator_makes_is_left_out(files):
    model = read_model(files[Format.TFLITE])
    tensor = schema().TensorT()
    tensor.name, tensor.shape, tensor.buffer = b"orphan", [1, 3], 0
    model.subgraphs[0].tensors.append(tensor)
    assert list(tap(Format.TFLITE, write_model(model), {"z": Z}, ["orphan", "flat"])) == ["flat"]


@pytest.mark.parametrize("format", Format)
def test_other_inputs_are_refused(files, format):
    with pytest.raises(SpecError, match=r"inputs must be \['z'\], got \['x'\]"):
        tap(format, files[format], {"x": Z})
    with pytest.raises(ManifestError):
        tap(format, files[format][:100], {"z": Z})


def test_a_file_of_several_batch_sizes_is_run_with_one_sample(files):
    """Looking at the layers of such a file once failed: it has no signature that is meant without a name."""
    wide = add_batches(files[Format.TFLITE], (1, 3))
    alone, found = (tap(Format.TFLITE, content, {"z": Z}) for content in (files[Format.TFLITE], wide))
    assert {name: tensor.values.tolist() for name, tensor in found.items()} == {
        name: tensor.values.tolist() for name, tensor in alone.items()
    }


def test_inputs_are_quantized_as_a_runner_does_it(tflite_models):
    """2.75 / 0.1 is 27.4999996, and 27.5 in float32, with which values inside a file once were computed."""
    model = read_model(tflite_models.one_operator("RESHAPE", dtype="INT8"))
    model.subgraphs[0].operators[0].builtinOptions.newShape = [1, 4]
    for tensor in model.subgraphs[0].tensors:
        tensor.quantization = schema().QuantizationParametersT()
        tensor.quantization.scale, tensor.quantization.zeroPoint = [0.1], [0]
    content, z = write_model(model), np.float32([[2.75, -4.65, 7.05, 1]])
    (found,) = tap(Format.TFLITE, content, {"z": z}).values()
    assert found.rows().tolist() == [[27, -47, 71, 10]]
    with open_runner(content, Format.TFLITE) as runner:
        assert np.array_equal(found.real().reshape(1, 4).astype(np.float32), runner.run_samples({"z": z})["image"])


def test_real_numbers_of_integers():
    tensor = Tapped(values=np.int8([[[-128, 0, 127]]]), scale=0.5, zero_point=-128)
    assert tensor.real().tolist() == [[[0.0, 64.0, 127.5]]]
    assert tensor.rows().tolist() == [[-128, 0, 127]]
    assert Tapped(values=np.float32([[1.5]])).real().tolist() == [[1.5]]


@pytest.mark.parametrize("image_range", [(0.0, 1.0), (-1.0, 1.0)])
def test_pixels_stand_for_the_range_of_images(tflite_models, image_range):
    """Layers of encoders that take pixels were once looked at with images of 0 to 1, whatever their range."""
    model = read_model(tflite_models.one_operator("ABS", shape=(1, 1, 3, 1)))
    main_signature(model).inputs[0].name = b"x"
    content = with_pixels(write_model(model), Component.ENCODER, image_range)
    x = np.float32([image_range[0], 0, 1]).reshape(1, 1, 3, 1)
    found = tap(Format.TFLITE, content, {"x": x}, ["image"], image_range=image_range)["image"]
    np.testing.assert_allclose(found.rows(), np.abs(x), atol=1.01 / 255)


@pytest.mark.parametrize("format", Format)
def test_pixels_that_a_file_returns_stand_for_the_range_of_images_too(files, format):
    """Layers of decoders that return pixels once counted as 0 to 255."""
    make = with_pixels if format is Format.TFLITE else pixels_onnx.with_pixels
    content = make(files[format], Component.DECODER, (-1.0, 1.0))
    found = list(tap(format, content, {"z": Z}, image_range=(-1.0, 1.0)).values())[-1]
    assert found.rows().dtype == np.uint8
    with open_runner(content, format, optimizations=Optimizations.OFF) as runner:
        image = runner.run_samples({"z": Z}, (-1.0, 1.0))["image"]
    assert np.array_equal(found.real().reshape(image.shape), image)
