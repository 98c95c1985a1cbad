from dataclasses import replace

import pytest

from pocketvae.errors import SpecError
from pocketvae.export.config import ExportConfig, plan_artifacts
from pocketvae.export.tuning.ladder import Tune
from pocketvae.export.wholeness import not_whole
from pocketvae.integer_share import IntegerShare
from pocketvae.spec import Component, Format, Precision

PARTLY = IntegerShare(
    operators=4, integer_operators=1, multiply_adds=200, integer_multiply_adds=114, float_layers=("decoder/up_1/conv",)
)


@pytest.fixture
def record(bundles, tmp_path):
    from pocketvae.bundle.bundle import open_bundle

    manifest = open_bundle(bundles.make_bundle(tmp_path / "bundle")).manifest
    artifact = next(item for item in manifest.artifacts if item.component is Component.DECODER)
    return replace(artifact, precision=Precision.INT8, integers=PARTLY)


def test_a_file_with_a_layer_in_float_is_refused_with_its_name_and_what_helps(record):
    assert not_whole(record, Tune.FAST) == (
        "with --whole every layer must compute in integers, but 43% of the multiply-adds are in float: "
        "decoder/up_1; try --tune full or the precision int16x8 or a larger budget (--budget-p99, --budget-mean, "
        "--budget-elbo)"
    )


def test_what_was_tried_or_has_no_budget_is_not_named(record):
    assert "--tune" not in not_whole(record, Tune.FULL)
    assert "--budget" not in not_whole(replace(record, component=Component.ENCODER), Tune.FAST)
    text = not_whole(replace(record, component=Component.GENERATOR), Tune.FULL, has_learned_prior=True)
    assert text.endswith("a learned prior is always in float: use sampler and decoder as two files")


def test_a_whole_file_is_taken(record):
    whole = replace(PARTLY, integer_multiply_adds=200, float_layers=())
    assert not not_whole(replace(record, integers=whole), Tune.FAST)


def test_export_leaves_out_what_is_not_whole_and_keeps_the_rest(record):
    from pocketvae.export.messages import Converted
    from pocketvae.export.pipeline import _Conversions
    from pocketvae.export.subject import Subject
    from pocketvae.vae_spec import VaeSpec, vector_latent

    def outcome(precision, *, whole=True):
        spec = replace(record.spec, precision=precision)
        vae = VaeSpec(data_shape=(4, 4, 1), latents=vector_latent(3))
        subject = Subject(name="test", vae=vae, models={}, reference=None, calibration_images=0)
        config = ExportConfig(artifacts=plan_artifacts([Component.DECODER]), whole=whole)
        conversions = _Conversions(subject=subject, config=config, setup=None, unfinished=None, progress=None)
        return conversions._checked(spec, Converted(record=replace(record, precision=precision), error_ratio=0.5))

    assert "decoder/up_1" in outcome(Precision.INT8).reason
    assert isinstance(outcome(Precision.FLOAT32), Converted)
    assert isinstance(outcome(Precision.INT8, whole=False), Converted)


def test_whole_without_a_file_of_integers_is_refused():
    floats = plan_artifacts([Component.DECODER], [Format.ONNX], [Precision.FLOAT32])
    with pytest.raises(SpecError, match="whole is about int8, int8_io and int16x8 files"):
        ExportConfig(artifacts=floats, whole=True)
