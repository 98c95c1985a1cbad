import pytest

from pocketvae.errors import NothingMadeError
from pocketvae.export.bundle_writer import BundleWriter
from pocketvae.export.config import ExportConfig, plan_artifacts
from pocketvae.spec import Component, Format, Precision


def test_nothing_made_names_the_first_reason_and_keeps_the_others(tmp_path):
    artifacts = plan_artifacts([Component.DECODER], [Format.TFLITE], [Precision.INT8, Precision.INT16X8])
    config = ExportConfig(artifacts=artifacts, whole=True)
    writer = BundleWriter(subject=None, bundle=tmp_path, work=tmp_path, config=config, prepared={})
    with pytest.raises(
        NothingMadeError, match=r"no artifact could be made; decoder\.int8\.tflite: too slow$"
    ) as caught:
        writer.write(dict(zip(artifacts, ("too slow", "too large"), strict=True)))
    assert caught.value.others == ("decoder.int16x8.tflite: too large",)
    assert not list(tmp_path.iterdir())
