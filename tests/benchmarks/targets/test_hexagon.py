"""The target `hexagon`: files of floats are held to the limits of half precision on every generation."""

from dataclasses import replace

import pytest

from pocketvae.benchmarks.execution.half_precision import judged_in_half_precision
from pocketvae.benchmarks.targets import make_target
from pocketvae.benchmarks.targets.hexagon import HexagonRun
from pocketvae.bundle.bundle import open_bundle
from pocketvae.bundle.manifest import CompiledRecord, FileRecord


@pytest.mark.parametrize("name", ["hexagon", "hexagon:v68"])
def test_floats_are_held_to_half_precision(name, tmp_path, bundles):
    bundle = open_bundle(bundles.make_bundle(tmp_path / "b"))
    artifact = bundle.manifest.artifact("decoder.float32.onnx")
    assert make_target(name).judged(bundle, artifact) == judged_in_half_precision(bundle, artifact) != artifact


def test_a_compiled_file_runs_in_place_of_what_it_came_from(tmp_path, bundles):
    bundle = open_bundle(bundles.make_bundle(tmp_path / "b"))
    artifact = bundle.manifest.artifacts[0]
    made = CompiledRecord(
        artifact=artifact.name,
        chip="hexagon:v75",
        compiler="qnn 1",
        source_sha256=artifact.file.sha256,
        file=FileRecord.of("compiled/x.onnx", b""),
    )
    manifest = replace(bundle.manifest, compiled=(made,))

    def location(generation, given, batch=1):
        run = HexagonRun.__new__(HexagonRun)
        run._chip, run._bundle, run._batch = f"hexagon:{generation}", replace(bundle, manifest=given), batch
        return run.job(artifact, 1).location, run.remarks(artifact)

    assert location("v75", manifest) == ("compiled/x.onnx", ("ran compiled/x.onnx, compiled by qnn 1",))
    assert location("v75", manifest, batch=8)[0] == artifact.file.path
    assert location("v79", manifest) == (artifact.file.path, ())
    stale = replace(made, source_sha256="0" * 64)
    assert location("v75", replace(manifest, compiled=(stale,)))[0] == artifact.file.path
