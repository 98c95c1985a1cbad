"""What is kept and what is dropped, with a timer that the test decides on."""

from types import SimpleNamespace

import numpy as np
import pytest

from pocketvae.export import rewrite_choice as choice
from pocketvae.export.original.goldens import NoiseFloor
from pocketvae.export.rewrites import paired_timing, upsampling
from pocketvae.export.rewrites.names import AUTO, NONE, Form, Rewrite, RewriteChoice
from pocketvae.spec import ArtifactSpec, Component, Format, Precision
from pocketvae.vae_spec import VaeSpec, vector_latent

pytestmark = pytest.mark.slow
SPEC = ArtifactSpec(component=Component.DECODER, precision=Precision.FLOAT32, format=Format.TFLITE)
BY_NAME = RewriteChoice(wanted=(Rewrite.TRANSPOSED_CONVOLUTION,))


@pytest.fixture(scope="module")
def model():
    import keras

    layers = keras.layers
    keras.utils.set_random_seed(3)
    z = keras.Input((3,))
    x = layers.Reshape((4, 4, 4))(layers.Dense(64, activation="relu")(z))
    x = layers.Conv2DTranspose(8, 3, strides=2, padding="same", activation="relu")(x)
    return keras.Model(z, layers.Conv2D(1, 3, padding="same")(x))


@pytest.fixture
def source(model):
    from pocketvae.export.quantize.source import Source

    z = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)

    def make(rewrites):
        return Source(
            component=Component.DECODER,
            model=model,
            vae=VaeSpec(data_shape=(8, 8, 1), latents=vector_latent(3)),
            calibration={"z": z},
            golden_inputs={"z": z},
            golden_outputs={},
            floor=NoiseFloor(float32={"image": 1e-6}, float16={"image": 1e-3}),
            rewrites=rewrites,
        )

    return make


@pytest.fixture
def timer(monkeypatch):
    """Says which speedup is measured, and counts how often it was asked."""

    class Timer:
        speedups, asked, candidate_s = iter(()), 0, 1e-3

        def compare(self, baseline, candidate):
            baseline()
            candidate()
            self.asked += 1
            value = next(self.speedups, 1.0)
            before, after = value * self.candidate_s, self.candidate_s
            return paired_timing.Comparison(baseline_s=before, candidate_s=after, speedup=value, speedup_at_least=value)

    timer = Timer()
    monkeypatch.setattr(paired_timing, "compare", timer.compare)
    return timer


def kept(decision):
    return [(record.name, record.form) for record in decision.records if record.kept]


def test_what_is_not_faster_is_dropped_and_the_file_is_the_stock_one(source, timer):
    from pocketvae.export import artifacts

    decision = choice.decide(SPEC, source(AUTO))
    assert decision.steps == ()
    assert decision.note() == ""
    assert {record.reason for record in decision.records} == {"not proven to be 5% faster"}
    assert [record.name for record in decision.records] == [
        Rewrite.TRANSPOSED_CONVOLUTION,
        Rewrite.TRANSPOSED_CONVOLUTION,
        Rewrite.NARROW_CONVOLUTION,
    ]
    stock = artifacts._convert(SPEC, source(NONE), ())
    tried = artifacts._convert(SPEC, source(AUTO), ())
    assert tried == stock
    assert tried.notes == ()


def test_what_is_faster_is_kept_with_its_gain(source, timer):
    timer.speedups = iter([1.6, 0.9, 1.2, 0.9, 1.9])
    decision = choice.decide(SPEC, source(AUTO))
    assert kept(decision) == [("transposed_convolution", "rows"), ("narrow_convolution", "only")]
    rows = decision.records[0]
    assert (rows.places, rows.speedup, rows.reason) == (1, 1.6, "measured to be faster")
    assert rows.max_difference < 1e-5
    assert decision.note() == (
        "rewritten: transposed_convolution by rows in 1 place, narrow_convolution in 1 place: "
        "1.90 times the stock form's speed"
    )


def test_a_faster_form_takes_the_place_of_the_first(source, timer):
    timer.speedups = iter([1.6, 1.1])
    decision = choice.decide(SPEC, source(AUTO))
    assert kept(decision) == [("transposed_convolution", "phases")]


def test_a_rewrite_that_was_dropped_is_tried_again_beside_one_that_was_kept_later(source, timer):
    timer.speedups = iter([1.0, 1.0, 1.3, 1.2, 1.0])
    decision = choice.decide(SPEC, source(AUTO))
    assert kept(decision) == [("transposed_convolution", "rows"), ("narrow_convolution", "only")]


def test_by_name_a_slower_one_is_kept_everywhere(source, timer):
    timer.speedups = iter([0.5, 0.5])
    for precision in (Precision.FLOAT32, Precision.DYNAMIC_INT8, Precision.INT16X8):
        spec = ArtifactSpec(component=Component.DECODER, precision=precision, format=Format.TFLITE)
        decision = choice.decide(spec, source(BY_NAME))
        assert kept(decision) == [("transposed_convolution", "rows")]
        assert decision.records[0].reason == "requested by name"


def test_by_name_the_file_has_no_transposed_convolution(source):
    from ai_edge_litert.tools import flatbuffer_utils

    from pocketvae.export import artifacts

    def operators(rewrites):
        made = artifacts._convert(SPEC, source(rewrites), ())
        model = flatbuffer_utils.read_model_from_bytearray(made.content)
        return {flatbuffer_utils.opcode_to_name(model, o.opcodeIndex) for o in model.subgraphs[0].operators}

    assert "TRANSPOSE_CONV" in operators(NONE)
    assert "TRANSPOSE_CONV" not in operators(BY_NAME)


@pytest.mark.parametrize("rewrites", [AUTO, BY_NAME])
@pytest.mark.parametrize("wrong", [1e-3, float("nan")])
def test_a_wrong_rewrite_is_dropped_even_by_name(source, timer, monkeypatch, rewrites, wrong):
    right = upsampling.of_transposed_convolution

    def broken(*arguments):
        phases = right(*arguments)
        return phases.scaled(np.ones(phases.channels), np.full(phases.channels, wrong))

    monkeypatch.setattr(upsampling, "of_transposed_convolution", broken)
    timer.speedups = iter([9.0] * 9)
    decision = choice.decide(SPEC, source(rewrites))
    transposed = [record for record in decision.records if record.name == "transposed_convolution"]
    assert [record.kept for record in transposed] == [False, False]
    assert all("not equal: image differs by" in record.reason for record in transposed)
    assert all(record.speedup is None for record in transposed)


def test_one_that_cannot_be_converted_is_dropped(source, timer, monkeypatch):
    from pocketvae.errors import ExportError
    from pocketvae.export.convert import tflite

    convert = tflite.convert_dynamic_int8

    def fail_on_rewritten(graph):
        if type(graph.model).__name__ == "Module" and graph is not stock:
            raise ExportError("the TFLite converter failed: no such operator")
        return convert(graph)

    made = source(AUTO)
    stock = made.graph()
    monkeypatch.setattr(tflite, "convert_dynamic_int8", fail_on_rewritten)
    spec = ArtifactSpec(component=Component.DECODER, precision=Precision.DYNAMIC_INT8, format=Format.TFLITE)
    decision = choice.decide(spec, made)
    assert kept(decision) == []
    assert {r.reason for r in decision.records} == {"conversion failed: the TFLite converter failed: no such operator"}


def test_nothing_to_rewrite_costs_no_time(source, timer, monkeypatch):
    import keras

    from pocketvae.export.quantize.source import Source

    z = keras.Input((3,))
    made = source(AUTO)
    flat = Source(
        component=Component.DECODER,
        model=keras.Model(z, keras.layers.Reshape((8, 8, 1))(keras.layers.Dense(64)(z))),
        vae=made.vae,
        calibration=made.calibration,
        golden_inputs=made.golden_inputs,
        golden_outputs={},
        floor=made.floor,
        rewrites=AUTO,
    )
    monkeypatch.setattr(Source, "float32", lambda *_: pytest.fail("nothing is to be converted"))
    assert choice.decide(SPEC, flat) == choice.Decision()
    assert timer.asked == 0


def test_without_rewrites_the_graph_is_not_even_looked_at(source, monkeypatch):
    from pocketvae.export.quantize import source as source_module

    monkeypatch.setattr(source_module, "apply_steps", lambda *_: pytest.fail("nothing is to be looked at"))
    assert choice.decide(SPEC, source(NONE)) == choice.Decision()


def test_alike_artifacts_share_one_decision(source, timer):
    timer.speedups = iter([1.6, 0.9, 1.2, 0.9, 1.9])
    made = source(AUTO)
    first = choice.decide(SPEC, made)
    asked = timer.asked
    half = ArtifactSpec(component=Component.DECODER, precision=Precision.FLOAT16, format=Format.TFLITE)
    assert choice.decide(half, made) is first
    assert timer.asked == asked


def test_a_16_bit_artifact_never_gets_a_depth_to_space(source, timer):
    timer.speedups = iter([2.0] * 9)
    spec = ArtifactSpec(component=Component.DECODER, precision=Precision.INT16X8, format=Format.TFLITE)
    decision = choice.decide(spec, source(AUTO))
    assert [record.name for record in decision.records] == ["transposed_convolution"] * 2
    assert decision.steps[0].form in (Form.ROWS, Form.PHASES)


@pytest.mark.parametrize(
    ("speedup", "shares", "reason"),
    [
        (1.4, (0.9, 0.9), "measured to be faster"),
        (1.4, (1.2, 1.3), "measured to be faster"),
        (1.01, (0.9, 0.9), "not faster when the search keeps layers in float"),
        (1.4, (1.2, 0.9), "the stock form meets the budget, this one does not"),
    ],
)
def test_after_the_search_the_stock_form_is_raced_once_more(source, timer, speedup, shares, reason):
    made = source(AUTO)
    int8 = ArtifactSpec(component=Component.DECODER, precision=Precision.INT8, format=Format.TFLITE)
    timer.speedups = iter([1.6, 0.9, 1.0, 1.0, 1.6])
    decision = choice.decide(int8, made)
    assert decision.is_measured
    timer.speedups = iter([speedup])
    rewritten, stock = (found(made.float32(Format.TFLITE), share) for share in shares)
    settled = choice.settle(int8, made, decision, rewritten=rewritten, stock=stock)
    assert settled.records[0].reason == reason
    assert bool(settled.steps) is (reason == "measured to be faster")
    assert settled.speedup == (speedup if settled.steps else None)
    int8_io = ArtifactSpec(component=Component.DECODER, precision=Precision.INT8_IO, format=Format.TFLITE)
    assert choice.decide(int8_io, made) == settled


def test_what_was_asked_for_by_name_is_not_raced_again(source, timer):
    assert not choice.decide(SPEC, source(BY_NAME)).is_measured


def found(content, error_ratio):
    chosen = SimpleNamespace(error_ratio=error_ratio)
    return SimpleNamespace(content=content, searched=SimpleNamespace(record=SimpleNamespace(chosen=chosen)))
