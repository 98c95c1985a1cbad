"""Inputs larger than the goldens: where a file overflows and the original does not, its notes say so."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest

from pocketvae.export.original import goldens
from pocketvae.export.quantize.source import Source
from pocketvae.export.unusual import overflow_note
from pocketvae.spec import Component, TensorSpec
from pocketvae.vae_spec import DataKind, Latent, PriorKind, VaeSpec, vector_latent

DIM = 3
GIVEN = np.linspace(-2, 2, 9 * DIM, dtype=np.float32).reshape(9, DIM)
LABELS = np.arange(9, dtype=np.int32)
ANGLES = np.linspace(0, 1, 9, dtype=np.float32)[:, None]


def right(x):
    """A log-variance of softplus: finite for every x."""
    return np.logaddexp(np.float32(0), x)


def literal(x):
    """The same as LiteRT's converter writes it: infinite from 89 on."""
    with np.errstate(over="ignore"):
        return np.log(1 + np.exp(x))


def refuse(x):
    raise ValueError("a month must be below 12")


def refuse_large(x):
    return refuse(x) if np.abs(x).max() > 2 else right(x)


@dataclass
class File:
    """Stands for an opened file, and keeps what it was given."""

    log_var: object
    dtype: str = "float32"
    main: str = "x"
    seen: list = field(default_factory=list)

    @property
    def inputs(self):
        shapes = {self.main: (self.dtype, (1, DIM)), "label": ("int32", (1,)), "angle": ("float32", (1, 1))}
        return {name: TensorSpec(name=name, dtype=dtype, shape=shape) for name, (dtype, shape) in shapes.items()}

    def run_samples(self, inputs, data_range):
        self.seen.append(inputs)
        return {"z_mean": inputs[self.main], "z_log_var": self.log_var(inputs[self.main])}


@pytest.fixture
def note(monkeypatch):
    def of(file, original=right, component=Component.ENCODER, *, costly=False, batches=None, **given):
        def run(_component, model, _vae, inputs):
            (batches if batches is not None else []).append(len(inputs[file.main]))
            return model.call(inputs[file.main])

        monkeypatch.setattr(goldens, "apply_component", run)
        monkeypatch.setattr(goldens, "is_costly", lambda *_: costly)
        model = SimpleNamespace(call=lambda x: {"z_mean": x, "z_log_var": original(x)}, get_weights=list)
        one_by_one = given.pop("one_by_one", False)
        values = {
            "data": DataKind.VECTOR,
            "data_shape": (DIM,),
            "latents": vector_latent(DIM),
            "range_is_strict": False,
        }
        source = Source(
            component=component,
            model=model,
            vae=VaeSpec(**{**values, **given}),
            calibration={},
            golden_inputs={file.main: GIVEN, "label": LABELS, "angle": ANGLES},
            golden_outputs={},
            one_by_one=one_by_one,
        )
        return overflow_note(file, component, source)

    return of


def test_a_file_that_overflows_where_the_original_does_not_is_noted(note):
    expected = "z_log_var not finite for inputs 100 times as large as usual, unlike in the original"
    assert note(File(literal)) == expected


def test_the_smallest_factor_is_named(note):
    assert "10 times" in note(File(lambda x: np.where(np.abs(x) > 15, np.nan, x)))


def test_nothing_is_said_of_a_file_that_is_finite(note):
    file = File(right)
    assert note(file) == ""
    assert [np.abs(given["x"]).max() for given in file.seen] == [20, 200]


def test_nothing_is_said_where_the_original_overflows_too(note):
    assert note(File(literal), original=literal) == ""


def test_an_original_that_refuses_large_inputs_costs_no_file(note):
    file = File(literal)
    assert note(file, original=refuse_large) == ""
    assert file.seen == []


def test_a_file_that_refuses_what_the_original_takes_is_noted(note):
    assert note(File(refuse)) == "cannot be run for inputs 10 times as large as usual, as the original can"


def test_labels_and_conditions_stay_as_they_are(note):
    file = File(right)
    assert note(file) == ""
    for given in file.seen:
        np.testing.assert_array_equal(given["label"], LABELS)
        np.testing.assert_array_equal(given["angle"], ANGLES)


def test_latents_are_scaled_of_every_decoder(note):
    file = File(literal, main="z")
    assert "100 times" in note(file, component=Component.DECODER, range_is_strict=True)
    assert "100 times" in note(
        File(literal, main="z"), component=Component.DECODER, data=DataKind.IMAGE, data_shape=(1, DIM, 1)
    )
    np.testing.assert_array_equal(file.seen[0]["z"], 10 * GIVEN)


def test_codes_are_not_scaled(note):
    file = File(literal, main="z", dtype="int32")
    codes = (Latent(name="z", shape=(DIM,), codes=8),)
    assert note(file, component=Component.DECODER, latents=codes, prior=PriorKind.UNIFORM) == ""
    assert file.seen == []


@pytest.mark.parametrize(
    "case",
    [
        {"range_is_strict": True},
        {"data": DataKind.IMAGE, "data_shape": (1, DIM, 1)},
        {"costly": True},
        {"component": Component.GENERATOR},
        {"component": Component.SCORER},
    ],
)
def test_what_takes_no_large_numbers_or_takes_seconds_is_not_run(note, case):
    file = File(literal)
    assert note(file, **case) == ""
    assert file.seen == []


def test_an_original_of_single_samples_is_run_so(note):
    batches = []
    note(File(right), one_by_one=True, batches=batches)
    assert set(batches) == {1}
