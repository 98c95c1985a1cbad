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
from pocketvae.vae_spec import DataKind, VaeSpec, vector_latent

DIM = 3
GIVEN = np.linspace(-2, 2, 9 * DIM, dtype=np.float32).reshape(9, DIM)


def right(x):
    """A log-variance of softplus: finite for every x."""
    return np.logaddexp(np.float32(0), x)


def literal(x):
    """The same as LiteRT's converter writes it: infinite from 89 on."""
    with np.errstate(over="ignore"):
        return np.log(1 + np.exp(x))


@dataclass
class File:
    """Stands for an opened file, and keeps what it was given."""

    log_var: object
    dtype: str = "float32"
    seen: list = field(default_factory=list)

    @property
    def inputs(self):
        return {"x": TensorSpec(name="x", dtype=self.dtype, shape=(1, DIM))}

    def run_samples(self, inputs, data_range):
        self.seen.append(inputs["x"])
        return {"z_mean": inputs["x"], "z_log_var": self.log_var(inputs["x"])}


@pytest.fixture
def note(monkeypatch):
    def of(file, original=right, component=Component.ENCODER, *, strict=False, costly=False):
        monkeypatch.setattr(goldens, "apply_component", lambda _component, model, _vae, inputs: model.call(inputs["x"]))
        monkeypatch.setattr(goldens, "is_costly", lambda *_: costly)
        model = SimpleNamespace(call=lambda x: {"z_mean": x, "z_log_var": original(x)}, get_weights=list)
        vae = VaeSpec(data=DataKind.VECTOR, data_shape=(DIM,), latents=vector_latent(DIM), range_is_strict=strict)
        source = Source(
            component=component,
            model=model,
            vae=vae,
            calibration={},
            golden_inputs={"x": GIVEN, "label": np.zeros(9, np.int32)},
            golden_outputs={},
        )
        return overflow_note(file, component, source)

    return of


def test_a_file_that_overflows_where_the_original_does_not_is_noted(note):
    assert note(File(literal)) == ("z_log_var not finite for inputs 100 times as large as usual, where the original is")


def test_the_smallest_factor_is_named(note):
    assert "10 times" in note(File(lambda x: np.where(np.abs(x) > 15, np.nan, x)))


def test_nothing_is_said_of_a_file_that_is_finite(note):
    file = File(right)
    assert note(file) == ""
    assert [np.abs(x).max() for x in file.seen] == [20, 200]


def test_nothing_is_said_where_the_original_overflows_too(note):
    assert note(File(literal), original=literal) == ""


@pytest.mark.parametrize(
    "case", [{"strict": True}, {"costly": True}, {"component": Component.GENERATOR}, {"component": Component.SCORER}]
)
def test_what_takes_no_large_numbers_or_takes_seconds_is_not_run(note, case):
    file = File(literal)
    assert note(file, **case) == ""
    assert file.seen == []


def test_integers_are_not_scaled(note):
    assert note(File(literal, dtype="int32")) == ""
