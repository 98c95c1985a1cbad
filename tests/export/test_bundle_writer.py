import pytest

from pocketvae.bundle.bundle import open_bundle
from pocketvae.bundle.chips import ChipRecord, ChipTrial
from pocketvae.errors import NothingMadeError
from pocketvae.export.bundle_writer import BundleWriter, ExportResult, NotMade
from pocketvae.export.config import ExportConfig, plan_artifacts
from pocketvae.spec import Component, Format, Precision


def test_nothing_made_names_the_first_reason_and_keeps_the_others(tmp_path):
    artifacts = plan_artifacts([Component.DECODER], [Format.TFLITE], [Precision.INT8, Precision.INT16X8])
    config = ExportConfig(artifacts=artifacts, whole=True)
    writer = BundleWriter(subject=None, bundle=tmp_path, work=tmp_path, config=config, prepared={})
    reasons = (NotMade(reason="too slow"), NotMade(reason="too large", is_ruled_out=True))
    with pytest.raises(
        NothingMadeError, match=r"no artifact could be made; decoder\.int8\.tflite: too slow$"
    ) as caught:
        writer.write(dict(zip(artifacts, reasons, strict=True)))
    assert caught.value.others == ("decoder.int16x8.tflite: too large",)
    assert not list(tmp_path.iterdir())


def settled(tmp_path, bundles, *, serving, only_serving):
    made = open_bundle(bundles.make_bundle(tmp_path / "b"))
    chips = tuple(
        ChipRecord(name=name, decided_by="test", trials=(ChipTrial(artifact=name, serves=name in serving, reason="r"),))
        for name in (item.name for item in made.manifest.artifacts)
    )
    config = ExportConfig(artifacts=plan_artifacts([Component.DECODER]), only_serving=only_serving)
    writer = BundleWriter(subject=None, bundle=made.path, work=tmp_path, config=config, prepared={})
    writer.settle(ExportResult(manifest=made.manifest, over_budget={}), chips)
    return open_bundle(made.path)


@pytest.mark.parametrize("only_serving", [True, False])
def test_what_serves_no_chip_is_left_out_unless_it_was_asked_for(tmp_path, bundles, only_serving):
    bundle = settled(tmp_path, bundles, serving=["decoder.float32.onnx"], only_serving=only_serving)
    names = [artifact.name for artifact in bundle.manifest.artifacts]
    assert names == ["decoder.float32.onnx", "encoder.float32.onnx"][: 1 if only_serving else 2]
    assert (bundle.path / "encoder.float32.onnx").exists() != only_serving
    assert [chip.artifacts for chip in bundle.manifest.chips] == [("decoder.float32.onnx",), ()]
    assert "encoder.float32.onnx does not serve: r" in (bundle.path / "MODEL_CARD.md").read_text()


def test_an_export_for_chips_of_which_nothing_serves_is_refused(tmp_path, bundles):
    with pytest.raises(NothingMadeError, match=r"no artifact serves a chip; decoder\.float32\.onnx: .*: r$") as caught:
        settled(tmp_path, bundles, serving=[], only_serving=True)
    assert len(caught.value.others) == 1
