from pathlib import Path

import pytest

from pocketvae.benchmarks import Baseline, BenchConfig, Constraints
from pocketvae.bundle.bundle import open_bundle
from pocketvae.errors import SpecError
from pocketvae.spec import Component


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"threads": ()}, "at least one number of threads must be given"),
        ({"threads": (1, 0)}, "a number of threads must be at least 1, got 0"),
        ({"batches": (8, -1)}, "a batch size must be at least 1, got -1"),
        ({"paced_calls_per_s": (0.0,)}, r"a pace must be above 0 and at most 1000 calls/s, got 0"),
        ({"paced_calls_per_s": (1e6,)}, r"at most 1000 calls/s, got 1e\+06"),
        ({"paced_calls_per_s": (float("nan"),)}, "got nan"),
        (
            {"include_original": False, "original_paths": {Component.DECODER: Path("d")}},
            "both named and left out",
        ),
    ],
)
def test_what_cannot_be_timed_is_refused(values, message):
    with pytest.raises(SpecError, match=message):
        BenchConfig(**values)


@pytest.mark.parametrize(("margin", "percent"), [(0.0, "0"), (-0.1, "-10"), (1.5, "150"), (float("nan"), "nan")])
def test_a_margin_that_is_none(margin, percent):
    with pytest.raises(SpecError, match=f"margin must be above 0 and at most 100 percent, got {percent}$"):
        Baseline(path=Path("b"), margin=margin)


@pytest.mark.parametrize(
    ("values", "message"), [({"target_s": 0.0}, "--target-ms must be above 0"), ({"max_bytes": 0}, "--max-kb must be")]
)
def test_a_wish_that_nothing_can_meet(values, message):
    with pytest.raises(SpecError, match=message):
        Constraints(**values)


def test_artifacts_are_named_or_fit_a_pattern(tmp_path, bundles):
    artifacts = open_bundle(bundles.make_bundle(tmp_path / "b")).manifest.artifacts
    names = [artifact.name for artifact in artifacts]

    def chosen(*patterns):
        return [artifact.name for artifact in BenchConfig(artifacts=patterns or None).chosen(artifacts)]

    assert chosen() == chosen("*") == names
    assert chosen("encoder.*", "*.onnx") == ["encoder.float32.onnx", "decoder.float32.onnx"]
    with pytest.raises(SpecError, match="unknown artifact 'decodr.float32.onnx': did you mean 'decoder.float32.onnx'"):
        chosen("decoder.*", "decodr.float32.onnx")
