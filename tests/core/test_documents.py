import json
import math
from dataclasses import dataclass
from typing import ClassVar

import pytest

from pocketvae.bundle.manifest import FileRecord
from pocketvae.bundle.run import RunRecord
from pocketvae.documents import decode, decode_line, encode, encode_line, from_data, to_data
from pocketvae.errors import ManifestError, NotFiniteError
from pocketvae.numerics.tolerance import Tolerance
from pocketvae.vae_spec import VaeSpec, vector_latent

RECORD = RunRecord(
    vae=VaeSpec(data_shape=(8, 8, 1), latents=vector_latent(2)),
    data="mnist",
    preset="p",
    seed=1,
    config={"channels": [1, 2]},
    metrics={"b": 1.5, "a": 2},
)


def changed(**changes):
    return json.dumps({**json.loads(encode(RECORD)), **changes})


def test_a_document_survives_the_way_to_json_and_back():
    assert decode(RunRecord, encode(RECORD), "run.json") == RECORD


def test_the_text_is_deterministic_and_sorted():
    text = encode(RECORD)
    assert text == json.dumps(json.loads(text), indent=2, sort_keys=True) + "\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "run.json is not valid JSON"),
        ("[" * 100_000, "run.json is not valid JSON: its values are nested too deeply"),
        (changed(metrics={"a": math.nan}), "run.json is not valid JSON: its numbers must be finite, got NaN"),
        (changed(metrics={"a": math.inf}), "run.json is not valid JSON: its numbers must be finite, got Infinity"),
        (changed(seed=1).replace(": 1,", ": 1e999,"), "its numbers must be finite, got 1e999"),
        (changed(surprise_is_long={}).replace("long", "long" * 10_000), "^.{,300}$"),
        ("[]", "must be a JSON object with a schema_version"),
        (changed(schema_version=99), "has schema_version 99, .* upgrade pocketvae"),
        (changed(schema_version="1"), "schema_version of 1 to 5, got '1'"),
        (changed(seed="one"), "damaged at seed: .*valid integer"),
        (changed(surprise=1), "damaged at surprise: Unexpected"),
        (
            changed(vae={"data_shape": [8, 8], "latents": [{"shape": [2]}]}),
            "data_shape must be height, width, channels",
        ),
        (changed(vae={"data_shape": [8, 8, 1], "latents": [{"shape": [0]}]}), "latent must be positive"),
    ],
)
def test_a_damaged_document_is_refused_with_its_place(text, message):
    with pytest.raises(ManifestError, match=message):
        decode(RunRecord, text, "run.json")


def test_nan_is_refused_instead_of_written_as_invalid_json():
    with pytest.raises(ValueError, match="JSON compliant"):
        encode(RunRecord(**{**RECORD.__dict__, "metrics": {"a": float("nan")}}))


def test_a_recorded_path_cannot_leave_its_folder():
    with pytest.raises(ManifestError, match="must stay inside the bundle, got '../x'"):
        FileRecord(path="../x", sha256="", size_bytes=0)


@dataclass(frozen=True, kw_only=True)
class Message:
    value: float


def test_a_number_that_json_cannot_hold_is_named():
    limit = Tolerance(output="image", metric="max_abs", limit=math.inf, source="")
    with pytest.raises(NotFiniteError, match="every number in a Tolerance must be JSON compliant, got inf at limit"):
        encode(limit)


def test_a_line_between_processes_can_carry_nan():
    line = encode_line(Message(value=float("nan")))
    assert "\n" not in line
    assert decode_line(Message, line).value != decode_line(Message, line).value


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Message, Message(value=math.inf)),
        (tuple[Message, ...], (Message(value=-math.inf), Message(value=1.0))),
        (dict[str, Message], {"a": Message(value=math.inf)}),
        (dict[str, float], {"a": math.inf}),
        (float, math.inf),
        (type(None), None),
    ],
)
def test_data_between_processes_comes_back_infinite_numbers_included(kind, message):
    assert from_data(kind, json.loads(json.dumps(to_data(message)))) == message


def test_data_of_another_kind_is_refused():
    with pytest.raises(ValueError, match="value"):
        from_data(Message, {"values": 1})


@dataclass(frozen=True, kw_only=True)
class Third:
    UPGRADES: ClassVar = {
        1: lambda data: {"names": [data["name"]]},
        2: lambda data: {"words": tuple(data["names"])},
    }
    schema_version: int = 3
    words: tuple[str, ...]


@pytest.mark.parametrize(
    "document",
    [
        {"schema_version": 1, "name": "a"},
        {"schema_version": 2, "names": ["a"]},
        {"schema_version": 3, "words": ["a"]},
    ],
)
def test_an_older_document_is_brought_up_to_date_step_by_step(document):
    assert decode(Third, json.dumps(document), "x.json") == Third(words=("a",))
