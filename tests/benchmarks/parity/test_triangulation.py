"""Each culprit, caused on purpose."""

import json
import shutil

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from pocketvae.benchmarks import verify_bundle
from pocketvae.benchmarks.parity.deviations import Deviations
from pocketvae.benchmarks.parity.results import Culprit
from pocketvae.benchmarks.parity.triangulation import Case, Triangulation, _is_unrelated
from pocketvae.benchmarks.targets import make_target
from pocketvae.bundle.bundle import open_bundle
from pocketvae.runtimes.base import Optimizations
from pocketvae.spec import Component
from pocketvae.system.files import sha256_file


def rehash(bundle):
    """Makes the manifest say what lies in the folder, as somebody who replaces files on purpose would."""
    path = bundle / "manifest.json"
    manifest = json.loads(path.read_text())
    records = [artifact["file"] for artifact in manifest["artifacts"]]
    for golden in manifest["goldens"]:
        records += [*golden["inputs"].values(), *golden["outputs"].values()]
    for record in records:
        file = bundle / record["path"]
        record |= {"sha256": sha256_file(file), "size_bytes": file.stat().st_size}
    path.write_text(json.dumps(manifest))
    return bundle


def diagnoses(bundle):
    result = verify_bundle(bundle)
    assert not result.passed
    return {item.artifact: item for item in result.diagnoses}


def with_head(bundles, head):
    """The right decoder with more nodes behind it."""
    model = bundles.decoder_model(bundles.right_weight(), output="before")
    graph = model.graph
    graph.node.extend(head("before", "image"))
    graph.output[0].name = "image"
    return model


def scaled(factor):
    def head(name, output):
        constant = helper.make_node(
            "Constant", [], ["c"], value=numpy_helper.from_array(np.array(factor, np.float32), "c")
        )
        return [constant, helper.make_node("Mul", [name, "c"], [output])]

    return head


def transposed(name, output):
    return [helper.make_node("Transpose", [name], [output], perm=[0, 2, 1, 3])]


@pytest.mark.parametrize(
    ("head", "words"), [(scaled(255), "divided by 255"), (transposed, "transposed")], ids=["x255", "transposed"]
)
def test_an_image_in_another_scale_or_layout_is_preprocessing(tmp_path, bundles, head, words):
    bundle = bundles.make_bundle(tmp_path / "b", decoder=with_head(bundles, head))
    found = diagnoses(bundle)["decoder.float32.onnx"]
    assert found.culprit is Culprit.PREPROCESSING
    assert found.evidence[-1] == f"its image is right once it is {words}"


def test_an_encoder_that_wants_pixels_up_to_255_is_preprocessing(tmp_path, bundles):
    bundle = bundles.make_bundle(tmp_path / "b")
    model = onnx.load(bundle / "encoder.float32.onnx")
    for tensor in model.graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) / np.float32(255), tensor.name))
    onnx.save(model, bundle / "encoder.float32.onnx")
    found = diagnoses(rehash(bundle))["encoder.float32.onnx"]
    assert (found.culprit, found.evidence[-1]) == (
        Culprit.PREPROCESSING,
        "it is right where its input is multiplied by 255",
    )


def test_without_a_sibling_that_is_right_nobody_is_blamed(tmp_path, bundles):
    bundle = bundles.make_bundle(tmp_path / "b", decoder=bundles.decoder_model(bundles.right_weight() * 1.1))
    found = diagnoses(bundle)["decoder.float32.onnx"]
    assert found.culprit is Culprit.UNKNOWN
    assert "the bundle has no decoder.float32.tflite to compare with" in found.evidence
    assert "with the runtime's built-in kernels it is as wrong" in found.evidence


def test_kernels_are_to_blame_where_the_other_ones_are_right(tmp_path, bundles):
    bundle = open_bundle(bundles.make_bundle(tmp_path / "b"))
    goldens = bundle.goldens(Component.DECODER)
    artifact = bundle.manifest.artifacts[0]
    asked = []

    class Faulty:
        def run(self, record, inputs, *, optimizations, num_threads):
            asked.append(optimizations)
            return dict(goldens.outputs)

    case = Case(
        artifact=artifact,
        target="host",
        tolerances=artifact.tolerances,
        inputs=goldens.inputs,
        deviations=Deviations(goldens.outputs, {"image": 1 - goldens.outputs["image"]}, bundle.manifest.vae),
    )
    found = Triangulation(bundle, make_target("host"), Faulty(), 1).diagnose(case)
    assert (found.culprit, asked) == (Culprit.KERNEL, [Optimizations.OFF])


@pytest.mark.parametrize(("scale", "culprit"), [(1, Culprit.TARGET), (1.1, Culprit.UNKNOWN)], ids=["right", "wrong"])
def test_a_target_is_to_blame_where_this_machine_has_the_file_right(tmp_path, bundles, scale, culprit):
    weight = bundles.right_weight() * scale
    bundle = open_bundle(bundles.make_bundle(tmp_path / "b", decoder=bundles.decoder_model(weight)))
    goldens = bundle.goldens(Component.DECODER)
    artifact = bundle.manifest.artifact("decoder.float32.onnx")

    class Faulty:
        def run(self, record, inputs, **options):
            raise AssertionError("a target without other kernels has nothing else to run")

    case = Case(
        artifact=artifact,
        target="hexagon",
        tolerances=artifact.tolerances,
        inputs=goldens.inputs,
        deviations=Deviations(goldens.outputs, {"image": 1 - goldens.outputs["image"] / 2}, bundle.manifest.vae),
    )
    found = Triangulation(bundle, make_target("hexagon"), Faulty(), 1).diagnose(case)
    assert found.culprit is culprit
    assert found.evidence[0] == f"on this machine the same file is {'right' if scale == 1 else 'wrong too'}"


def test_what_is_not_finite_or_never_changes_says_nothing_of_another_model(tmp_path, bundles):
    bundle = open_bundle(bundles.make_bundle(tmp_path / "b"))
    image = bundle.goldens(Component.DECODER).outputs["image"]
    constant = np.full((len(image), 1), 0.3, np.float32)
    spoiled = image * np.float32(1.1)
    spoiled[2, 3, 3, 0], spoiled[5, 1, 4, 0] = np.nan, np.inf

    def unrelated(found):
        outputs = {"constant": constant + np.float32(1e-3) * image[:, 0, 0], "image": found}
        deviations = Deviations({"constant": constant, "image": image}, outputs, bundle.manifest.vae)
        artifact = bundle.manifest.artifacts[0]
        case = Case(artifact=artifact, target="host", tolerances=(), inputs={}, deviations=deviations)
        return _is_unrelated(case)

    assert not unrelated(spoiled)
    assert unrelated(np.roll(spoiled, 1, axis=0))
    assert unrelated(np.zeros_like(image))


@pytest.mark.slow
def test_on_a_real_bundle_each_culprit_is_found(tmp_path, tiny_bundle):
    def copy(name):
        return shutil.copytree(tiny_bundle, tmp_path / name)

    swapped = copy("swapped")
    shutil.copy(swapped / "decoder.float16.tflite", swapped / "decoder.float32.tflite")
    found = diagnoses(rehash(swapped))["decoder.float32.tflite"]
    assert found.culprit is Culprit.FILE
    assert found.evidence == ("the file has the same bytes as decoder.float16.tflite",)

    stale = copy("stale")
    golden = stale / "golden" / "decoder.output.image.npy"
    np.save(golden, np.roll(np.load(golden), 1, axis=0))
    everyone = diagnoses(rehash(stale))
    decoders = {name: item.culprit for name, item in everyone.items()}
    assert set(decoders.values()) == {Culprit.GOLDEN}
    assert len(decoders) == 11

    coarse = copy("coarse")
    manifest = json.loads((coarse / "manifest.json").read_text())
    for artifact in manifest["artifacts"]:
        if artifact["precision"] == "int8":
            for tolerance in artifact["tolerances"]:
                tolerance["limit"] /= 100
    (coarse / "manifest.json").write_text(json.dumps(manifest))
    assert {item.culprit for item in diagnoses(coarse).values()} == {Culprit.QUANTIZATION}

    wrong = copy("wrong")
    model = onnx.load(wrong / "encoder.float32.onnx")
    largest = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    largest.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(largest) * np.float32(1.01), largest.name))
    onnx.save(model, wrong / "encoder.float32.onnx")
    assert {name: item.culprit for name, item in diagnoses(rehash(wrong)).items()} == {
        "encoder.float32.onnx": Culprit.CONVERSION
    }
