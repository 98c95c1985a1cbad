import numpy as np
import onnx
import pytest

from pocketvae.errors import ExportError
from pocketvae.export.convert import noise_onnx, noise_tflite, tflite
from pocketvae.export.convert.graphs import Graph, function_of
from pocketvae.export.convert.merge import merge
from pocketvae.export.convert.onnx import convert_float32 as convert_onnx
from pocketvae.numerics.noise import normal_noise
from pocketvae.portability.requirements import oldest_runtime
from pocketvae.runtimes.base import Optimizations
from pocketvae.runtimes.opening import open_runner
from pocketvae.spec import Format, TensorSpec


def images_of(path, format, seeds):
    with open_runner(path, format) as runner:
        feeds = [{"seed": np.array([seed], np.int32), "index": np.array([-seed], np.int32)} for seed in seeds]
        return np.concatenate([runner.run(feed)["image"] for feed in feeds])


def test_two_onnx_files_become_one(tmp_path, bundles):
    decoder = bundles.decoder_model(bundles.right_weight())
    content = merge(Format.ONNX, noise_onnx.build_noise({"z": (bundles.LATENT,)}), decoder.SerializeToString(), "z")
    (tmp_path / "g.onnx").write_bytes(content)
    seeds = np.arange(-20, 20)
    z = normal_noise(seeds, -seeds, bundles.LATENT)
    expected = 1 / (1 + np.exp(-(z @ bundles.right_weight()))).reshape(-1, bundles.SIDE, bundles.SIDE, 1)
    np.testing.assert_allclose(images_of(tmp_path / "g.onnx", Format.ONNX, seeds), expected, atol=1e-6)


def test_a_merged_onnx_file_names_one_operator_set(bundles):
    decoder = bundles.decoder_model(bundles.right_weight())
    model = onnx.load_from_string(
        merge(Format.ONNX, noise_onnx.build_noise({"z": (bundles.LATENT,)}), decoder.SerializeToString(), "z")
    )
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", noise_onnx.OPSET)]


def test_an_input_of_both_onnx_files_is_one(tmp_path):
    def part(inputs, operator, output):
        tensors = [
            onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, (1, 2)) for name in (*inputs, output)
        ]
        node = onnx.helper.make_node(operator, inputs, [output], name="same")
        graph = onnx.helper.make_graph([node], "part", tensors[:-1], tensors[-1:])
        opset = onnx.helper.make_opsetid("", noise_onnx.OPSET)
        return onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8).SerializeToString()

    content = merge(Format.ONNX, part(["eps", "label"], "Add", "z"), part(["z", "label"], "Mul", "image"), "z")
    with open_runner(content, Format.ONNX) as runner:
        assert sorted(runner.inputs) == ["eps", "label"]
        found = runner.run({"eps": np.float32([[1, 2]]), "label": np.float32([[3, 4]])})
    assert found["image"].tolist() == [[12, 24]]


def test_onnx_files_of_other_shapes_are_refused(bundles):
    decoder = bundles.decoder_model(bundles.right_weight()).SerializeToString()
    with pytest.raises(ExportError, match="two files cannot be merged at 'z'"):
        merge(Format.ONNX, noise_onnx.build_noise({"z": (bundles.LATENT + 1,)}), decoder, "z")
    with pytest.raises(ExportError, match="two files cannot be merged at 'eps'"):
        merge(Format.ONNX, noise_onnx.build_noise({"eps": (bundles.LATENT,)}), decoder, "eps")


def tflite_noise(dim, output="z"):
    return tflite.convert_float32(noise_tflite.build_noise({output: (dim,)}))


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "dynamic_int8", "int8"])
def test_two_tflite_files_become_one(tiny_bundle, tmp_path, precision):
    decoder = tiny_bundle / f"decoder.{precision}.tflite"
    (tmp_path / "g.tflite").write_bytes(merge(Format.TFLITE, tflite_noise(4), decoder.read_bytes(), "z"))
    seeds = np.arange(-20, 20)
    z = normal_noise(seeds, -seeds, 4)
    for optimizations in Optimizations:
        with open_runner(decoder, Format.TFLITE, optimizations=optimizations) as runner:
            expected = np.concatenate([runner.run({"z": row[None]})["image"] for row in z])
        with open_runner(tmp_path / "g.tflite", Format.TFLITE, optimizations=optimizations) as runner:
            assert list(runner.outputs) == ["image"]
            assert sorted(runner.inputs) == ["index", "seed"]
            feeds = [{"seed": seeds[i : i + 1].astype(np.int32)} for i in range(len(z))]
            found = [runner.run({**feed, "index": -feed["seed"]})["image"] for feed in feeds]
        # The same operators on the same latents: not one bit may differ.
        assert np.concatenate(found).tobytes() == expected.tobytes()


@pytest.mark.slow
def test_a_merged_tflite_file_needs_the_newer_of_two_runtimes(tiny_bundle):
    decoder = (tiny_bundle / "decoder.dynamic_int8.tflite").read_bytes()
    versions = [oldest_runtime(Format.TFLITE, content).version for content in (tflite_noise(4), decoder)]
    merged = oldest_runtime(Format.TFLITE, merge(Format.TFLITE, tflite_noise(4), decoder, "z")).version
    assert merged == max(versions, key=lambda version: [int(part) for part in version.split(".")])


@pytest.mark.slow
def test_tflite_files_that_do_not_fit_are_refused(tiny_bundle):
    decoder = (tiny_bundle / "decoder.float32.tflite").read_bytes()
    with pytest.raises(ExportError, match=r"merged at 'z', which must be the same in both, got \[\[1, 5\], \[1, 4\]\]"):
        merge(Format.TFLITE, tflite_noise(5), decoder, "z")
    with pytest.raises(ExportError, match="merged at 'z', but one has eps"):
        merge(Format.TFLITE, tflite_noise(4, "eps"), decoder, "z")
    with pytest.raises(ExportError, match="merged at 'z', which must be the same"):
        merge(Format.TFLITE, tflite_noise(4), (tiny_bundle / "decoder.int8_io.tflite").read_bytes(), "z")


def test_the_first_input_may_be_called_like_the_one_that_it_takes_the_place_of(tmp_path):
    tf = pytest.importorskip("tensorflow")

    def doubled(x):
        return {"made": 2 * x[:, :2]}

    def increased(x):
        return {"image": x + 1}

    def graph(function, width):
        spec = TensorSpec(name="x", dtype="float32", shape=(1, width))
        made = function_of(lambda x: function(x), (spec,))
        return Graph(function=made, model=tf.Module(), inputs=(spec,), fused_shuffles=0)

    for format, convert in ((Format.TFLITE, tflite.convert_float32), (Format.ONNX, convert_onnx)):
        content = merge(
            format, convert(graph(doubled, 3)), convert(graph(increased, 2)), ("made", "x"), prefix="front/"
        )
        with open_runner(content, format) as runner:
            assert {name: spec.shape for name, spec in runner.inputs.items()} == {"x": (1, 3)}
            assert list(runner.outputs) == ["image"]
            assert runner.run({"x": np.float32([[1, 2, 3]])})["image"].tolist() == [[3, 5]]
