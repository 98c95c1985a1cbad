import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pocketvae import Optimizations, open_runner
from pocketvae.bundle.demo import demo_folder
from pocketvae.errors import ParityError, SpecError
from pocketvae.runtimes.base import Runner, dequantize, quantize
from pocketvae.spec import Format, Quantization, TensorSpec


@pytest.fixture
def decoder(tmp_path, bundles):
    return bundles.make_bundle(tmp_path / "b") / "decoder.float32.onnx"


@pytest.fixture
def demo_generator():
    return demo_folder() / "generator.float32.onnx"


@pytest.fixture(params=[Format.TFLITE, Format.ONNX])
def exported(request, tiny_bundle):
    """A real decoder in each format, with its format."""
    return tiny_bundle / f"decoder.float32.{request.param}", request.param


@pytest.mark.parametrize("kind", [str, bytes])
def test_a_file_is_named_by_text_or_given_as_bytes(decoder, kind):
    source = str(decoder) if kind is str else decoder.read_bytes()
    with open_runner(source, Format.ONNX) as runner:
        assert list(runner.inputs) == ["z"]
    with pytest.raises(ParityError, match=r"nothing.onnx does not exist"):
        open_runner("nothing.onnx", Format.ONNX)


@given(
    value=st.floats(-100, 100, width=32),
    scale=st.floats(2.0**-10, 1.0, width=32),
    zero_point=st.integers(-128, 127),
)
def test_quantization_rounds_to_the_nearest_step_inside_the_range(value, scale, zero_point):
    spec = TensorSpec(name="z", dtype="int8", shape=(1,), quantization=Quantization(scale=scale, zero_point=zero_point))
    restored = dequantize(quantize(np.array([value], np.float32), spec), spec)[0]
    low, high = (-128 - zero_point) * scale, (127 - zero_point) * scale
    assert abs(restored - np.clip(value, low, high)) <= scale / 2 * (1 + 1e-5) + 1e-5


def test_floats_are_not_quantized():
    spec = TensorSpec(name="z", dtype="float32", shape=(1,))
    array = np.array([0.1], np.float32)
    assert quantize(array, spec) is array
    assert dequantize(array, spec) is array


def test_a_runner_computes_what_numpy_does(decoder, bundles):
    z = np.random.default_rng(0).normal(size=(7, bundles.LATENT)).astype(np.float32)
    with open_runner(decoder, Format.ONNX) as runner:
        images = runner.run_samples({"z": z})["image"]
    expected = 1 / (1 + np.exp(-(z @ bundles.right_weight())))
    np.testing.assert_allclose(images.reshape(7, -1), expected, atol=1e-6)


def test_an_open_batch_runs_any_and_fills_the_last_one(tmp_path, bundles):
    model = bundles.decoder_model(bundles.right_weight(), batch="batch")
    path = tmp_path / "decoder.float32.onnx"
    path.write_bytes(model.SerializeToString())
    z = np.random.default_rng(0).normal(size=(7, bundles.LATENT)).astype(np.float32)
    expected = 1 / (1 + np.exp(-(z @ bundles.right_weight())))
    for batch in (1, 3, 8):
        with open_runner(path, Format.ONNX, batch=batch) as runner:
            assert (runner.batch, runner.batches) == (batch, ())
            assert runner.inputs["z"].shape == (batch, bundles.LATENT)
            images = runner.run_samples({"z": z})["image"]
        np.testing.assert_allclose(images.reshape(7, -1), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("seeds", "indices", "found"),
    [(3, 5, "3 of 'seed', 5 of 'index'"), (5, 3, "5 of 'seed', 3"), (0, 0, "0 of 'seed'")],
)
def test_inputs_of_several_lengths_are_refused_and_not_filled_up(demo_generator, seeds, indices, found):
    with open_runner(demo_generator, Format.ONNX) as runner:
        feed = {"seed": np.zeros(seeds, np.int32), "index": np.zeros(indices, np.int32)}
        with pytest.raises(SpecError, match=f"must be as many samples of every input, and at least one, got {found}"):
            runner.run_samples(feed)


def test_a_batch_that_the_file_has_not_got_is_refused_at_once(decoder):
    with pytest.raises(SpecError, match="the file supports batch sizes 1, got 4"):
        open_runner(decoder, Format.ONNX, batch=4)


def test_pixels_are_taken_as_they_are_or_made_of_real_numbers():
    spec = TensorSpec(name="x", dtype="uint8", shape=(1, 2))
    pixels = np.array([[0, 254]], np.uint8)
    assert quantize(pixels, spec) is pixels
    assert quantize(np.array([[-1.0, 0.0]]), spec, (-1.0, 1.0)).tolist() == [[0, 128]]
    np.testing.assert_allclose(dequantize(pixels, spec, (-1.0, 1.0)), [[-1, 254 / 255 * 2 - 1]], rtol=1e-6)


@pytest.mark.parametrize(
    ("feed", "message"),
    [
        ({}, r"inputs must be \['z'\], got \[\]"),
        ({"x": np.zeros((1, 3), np.float32)}, r"inputs must be \['z'\], got \['x'\]"),
        ({"z": np.zeros((1, 4), np.float32)}, r"must be \(1, 3\) float32, got \(1, 4\) float32"),
        ({"z": np.zeros((2, 3), np.float32)}, "supports batch sizes 1, got 2: pocketvae export --batch adds sizes"),
        ({"z": np.float32(0)}, "the file supports batch sizes 1, got 0"),
        ({"z": np.zeros((1, 3), np.float64)}, r"must be \(1, 3\) float32, got \(1, 3\) float64"),
    ],
)
def test_a_feed_that_does_not_fit_is_refused(decoder, feed, message):
    with open_runner(decoder, Format.ONNX) as runner, pytest.raises(SpecError, match=message):
        runner.run(feed)


def test_a_file_that_is_missing_or_foreign_is_refused(tmp_path):
    with pytest.raises(ParityError, match="does not exist"):
        open_runner(tmp_path / "x.onnx", Format.ONNX)
    for format in Format:
        file = tmp_path / f"x.{format}"
        file.write_bytes(b"nothing that a runtime knows")
        with pytest.raises(ParityError, match=f"x.{format}"):
            open_runner(file, format)


def test_no_threads_are_refused(decoder):
    with pytest.raises(SpecError, match="num_threads must be at least 1, got 0"):
        open_runner(decoder, Format.ONNX, num_threads=0)


@pytest.mark.slow
@pytest.mark.parametrize("optimizations", Optimizations)
def test_results_are_fresh_arrays(exported, optimizations):
    path, format = exported
    with open_runner(path, format, optimizations=optimizations) as runner:
        first = runner.run({"z": np.zeros((1, 4), np.float32)})["image"]
        kept = first.copy()
        second = runner.run({"z": np.ones((1, 4), np.float32)})["image"]
    assert np.array_equal(first, kept)
    assert not np.array_equal(first, second)


@pytest.mark.slow
def test_kernels_and_formats_agree(tiny_bundle):
    z = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    images = []
    for format in Format:
        for optimizations in Optimizations:
            with open_runner(tiny_bundle / f"decoder.float32.{format}", format, optimizations=optimizations) as runner:
                images.append(runner.run_samples({"z": z})["image"])
    for other in images[1:]:
        np.testing.assert_allclose(images[0], other, atol=1e-5)


@pytest.mark.parametrize("format", Format)
def test_a_file_and_its_bytes_are_the_same_to_a_runner(bundles, tflite_models, tmp_path, format):
    weight, z = bundles.right_weight(), np.float32([[0.5, 1, -1]])
    made = bundles.decoder_model(weight).SerializeToString()
    content = made if format is Format.ONNX else tflite_models.decoder(weight, bundles.SIDE)
    (tmp_path / "d").write_bytes(content)
    with open_runner(tmp_path / "d", format) as file, open_runner(content, format) as memory:
        assert np.array_equal(file.run({"z": z})["image"], memory.run({"z": z})["image"])
    with pytest.raises(ParityError, match="^the (file|TFLite file) is "):
        open_runner(content[:90], format)
    with pytest.raises(ParityError, match=r"nowhere\.onnx does not exist"):
        open_runner(tmp_path / "nowhere.onnx", format)


def test_a_prepared_call_is_checked_once_and_returns_what_run_does(bundles, monkeypatch):
    content, z = bundles.decoder_model(bundles.right_weight()).SerializeToString(), np.float32([[0.5, 1, -1]])
    with open_runner(content, Format.ONNX) as runner:
        checks, check = [], Runner._check
        monkeypatch.setattr(Runner, "_check", lambda self, feed: checks.append(feed) or check(self, feed))
        call = runner.prepare({"z": z})
        first, second = call()["image"], call()["image"]
        assert len(checks) == 1
        expected = runner.run({"z": z})["image"]
        assert np.array_equal(first, expected)
        assert np.array_equal(second, expected)
        with pytest.raises(SpecError, match="input 'z' must be"):
            runner.prepare({"z": z[:, :1]})
