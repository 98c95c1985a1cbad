import pytest

from pocketvae.errors import SpecError
from pocketvae.export import ExportConfig, plan_artifacts
from pocketvae.spec import Component, Format, Precision


def test_by_default_every_artifact_that_exists_is_made():
    names = [artifact.filename for artifact in plan_artifacts()]
    assert len(names) == len(set(names)) == 31


def test_a_generator_is_made_after_its_decoder():
    names = [artifact.filename for artifact in plan_artifacts(None, [Format.TFLITE])]
    assert names.index("decoder.int8.tflite") < names.index("generator.int8.tflite")


def test_an_open_format_gets_the_precisions_it_has():
    planned = plan_artifacts([Component.DECODER], None, [Precision.INT8_IO])
    assert [artifact.filename for artifact in planned] == ["decoder.int8_io.tflite"]


def test_a_named_combination_that_does_not_exist_is_refused_with_the_reason():
    with pytest.raises(SpecError, match="onnx has no int16x8 artifacts: onnxruntime has no"):
        plan_artifacts(None, [Format.ONNX], [Precision.INT16X8])


def test_an_export_of_nothing_is_refused():
    with pytest.raises(SpecError, match="at least one artifact"):
        ExportConfig(artifacts=())
    with pytest.raises(SpecError, match="time_limit_s must be positive"):
        ExportConfig(artifacts=plan_artifacts(), time_limit_s=0)
