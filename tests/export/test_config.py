from dataclasses import replace

import pytest

from pocketvae.errors import SpecError
from pocketvae.export import ExportConfig, default_memory_limit_bytes, plan_artifacts
from pocketvae.spec import Component, Format, ImageDtype, Precision


def test_by_default_every_artifact_that_exists_is_made():
    names = [artifact.filename for artifact in plan_artifacts()]
    assert len(names) == len(set(names)) == 34


def test_a_generator_is_made_after_its_decoder():
    names = [artifact.filename for artifact in plan_artifacts(None, [Format.TFLITE])]
    assert names.index("decoder.int8.tflite") < names.index("generator.int8.tflite")


def test_an_open_format_gets_the_precisions_it_has():
    planned = plan_artifacts([Component.DECODER], None, [Precision.INT8_IO])
    assert [artifact.filename for artifact in planned] == ["decoder.int8_io.tflite"]


def test_a_named_combination_that_does_not_exist_is_refused_with_the_reason():
    with pytest.raises(SpecError, match="onnx does not support int8_io: an ONNX QDQ model keeps a float interface"):
        plan_artifacts(None, [Format.ONNX], [Precision.INT8_IO])


def test_a_component_without_the_precision_is_refused_with_the_reason():
    with pytest.raises(SpecError, match="there is no sampler as int8 or float16: .*sampler"):
        plan_artifacts([Component.SAMPLER], None, [Precision.INT8, Precision.FLOAT16])


def test_images_are_numbers_unless_pixels_are_asked_for():
    chosen = [Component.DECODER, Component.SAMPLER], [Format.ONNX], [Precision.FLOAT32]
    assert [spec.filename for spec in plan_artifacts(*chosen, [ImageDtype.UINT8])] == [
        "decoder.float32.uint8.onnx",
        "sampler.float32.onnx",
    ]
    both = plan_artifacts(None, None, None, list(ImageDtype))
    assert len(both) == len(set(both)) == 34 + 30
    # One of two that were named is not left out without a word.
    with pytest.raises(SpecError, match="there is no decoder as int8_io: "):
        plan_artifacts([Component.DECODER], None, [Precision.FLOAT32, Precision.INT8_IO], [ImageDtype.UINT8])
    with pytest.raises(SpecError, match="none of the requested artifacts has uint8 images"):
        plan_artifacts([Component.DECODER], None, [Precision.INT8_IO], [ImageDtype.UINT8])


def test_limits_and_batch_sizes_are_checked():
    with pytest.raises(SpecError, match="memory_limit_bytes must be positive, got 0"):
        ExportConfig(artifacts=plan_artifacts(), memory_limit_bytes=0)
    with pytest.raises(SpecError, match="batch sizes must begin with 1"):
        ExportConfig(artifacts=plan_artifacts(), batches=(8,))
    assert default_memory_limit_bytes() >= 4e9


@pytest.mark.parametrize("seed", [-1, 2**31])
def test_a_seed_is_a_whole_number_from_zero_up(seed):
    with pytest.raises(SpecError, match=f"--seed must be .* got {seed}"):
        ExportConfig(artifacts=plan_artifacts(), seed=seed)


def test_the_time_limit_grows_with_the_models(tmp_path):
    (tmp_path / "model").mkdir()
    for name in ("a", "model/b"):
        (tmp_path / name).write_bytes(bytes(1000))
    config = ExportConfig(artifacts=plan_artifacts())
    assert config.limited_for([tmp_path / "a"]).limit_s == config.limit_s == 600
    with (tmp_path / "a").open("r+b") as file:
        file.truncate(200_000_000)
    assert config.limited_for([tmp_path / "a", tmp_path / "model"]).limit_s == pytest.approx(2400, rel=1e-4)
    assert replace(config, time_limit_s=7.0).limited_for([tmp_path / "a"]).limit_s == 7


def test_an_export_of_nothing_is_refused():
    with pytest.raises(SpecError, match="at least one artifact"):
        ExportConfig(artifacts=())
    with pytest.raises(SpecError, match="time_limit_s must be positive"):
        ExportConfig(artifacts=plan_artifacts(), time_limit_s=0)


def test_a_chip_must_be_known_and_have_files_that_it_runs():
    with pytest.raises(SpecError, match="unknown Ethos-U accelerator 'ethos-u55-127': did you mean 'ethos-u55-128'"):
        ExportConfig(artifacts=plan_artifacts(), chips=("ethos-u55-127",))
    floats = plan_artifacts(precisions=[Precision.FLOAT32])
    with pytest.raises(SpecError, match="ethos-u55-128 runs int8, int8_io and int16x8 TFLite files, but none is to be"):
        ExportConfig(artifacts=floats, chips=("ethos-u55-128",))
