from dataclasses import replace

import numpy as np
import pytest

from pocketvae.export.convert import onnx, onnx_original
from pocketvae.export.quantize.source import Source
from pocketvae.export.rewrites.names import Form, Rewrite, Step
from pocketvae.export.tuning.names import Tuning
from pocketvae.spec import Component, Format
from pocketvae.vae_spec import VaeSpec, vector_latent


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, b"own"),
        ({"tuning": Tuning(exponent=0.5)}, b"converted"),
        ({"steps": (Step(rewrite=Rewrite.BATCH_NORMALIZATION, form=Form.ONLY),)}, b"converted"),
    ],
    ids=["untouched", "tuned", "rewritten"],
)
def test_an_onnx_original_is_its_own_artifact_only_while_nothing_changes_it(monkeypatch, change, expected):
    monkeypatch.setattr(onnx_original, "float32_of", lambda *_: b"own")
    monkeypatch.setattr(onnx, "convert_float32", lambda graph: b"converted")
    monkeypatch.setattr(Source, "graph", lambda self, *, fuse=True: None)
    source = Source(
        component=Component.DECODER,
        model=None,
        vae=VaeSpec(data_shape=(8, 8, 1), latents=vector_latent(2)),
        calibration={},
        golden_inputs={},
        golden_outputs={},
    )
    assert replace(source, **change).float32(Format.ONNX) == expected


@pytest.mark.parametrize(("weights", "left"), [(1 << 20, 4), (1 << 30, 2)])
def test_rewrites_that_are_not_kept_are_forgotten_where_the_network_is_large(weights, left):
    step = Step(rewrite=Rewrite.NARROW_CONVOLUTION, form=Form.ONLY)
    cache = {"weight bytes": weights, "float32-onnx-True-()": b"stock"}
    vae = VaeSpec(data_shape=(4, 4, 1), latents=vector_latent(2))
    stock = Source(
        component=Component.DECODER,
        model=None,
        vae=vae,
        calibration={},
        golden_inputs={},
        golden_outputs={},
        cache=cache,
    )
    trial = replace(stock, steps=(step,))
    trial.once("float32-onnx-True", lambda: b"trial")
    cache[f"rewritten-True-{trial.steps}"] = "graph"
    stock.forget()
    trial.forget()
    assert len(cache) == left
    assert stock.once("float32-onnx-True", lambda: b"anew") == b"stock"


@pytest.mark.parametrize(("side", "left"), [(64, 900), (512, 100)])
def test_other_calibration_samples_are_as_many_as_an_export_has_unless_they_are_very_large(side, left):
    samples = {"z": np.zeros((900, 2), np.float32)}
    source = Source(
        component=Component.DECODER,
        model=None,
        vae=VaeSpec(data_shape=(side, side, 3), latents=vector_latent(2)),
        calibration=samples,
        golden_inputs={},
        golden_outputs={},
        other_calibrations=(samples, samples),
    )
    assert [len(each["z"]) for each in source.calibrations_of_other_seeds()] == [left, left]
    assert source.calibrations_of_other_seeds()[0] is source.calibrations_of_other_seeds()[0]
