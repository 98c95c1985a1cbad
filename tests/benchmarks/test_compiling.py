"""Files that are compiled ahead of time, with a compiler that stands for onnxruntime-qnn."""

import pytest

from pocketvae.benchmarks import check_compiled, compile_for_apps
from pocketvae.benchmarks import compiling as module
from pocketvae.bundle.bundle import open_bundle
from pocketvae.errors import SpecError, TargetError
from pocketvae.portability.chips import Chip, parse_chips


@pytest.fixture
def bundle(tmp_path, bundles, monkeypatch):
    # The bundle for tests has float32 files alone, which are not for this chip.
    monkeypatch.setattr(Chip, "declines", lambda self, spec: "")
    return open_bundle(bundles.make_bundle(tmp_path / "b"))


def test_each_file_is_recorded_with_what_it_came_from(bundle, monkeypatch):
    def compiled(source, out, generation):
        if source.name.startswith("encoder"):
            raise TargetError("Hexagon v68 does not take the whole graph")
        out.parent.mkdir(parents=True)
        out.write_bytes(generation.encode())
        return generation.encode()

    monkeypatch.setattr(module, "compile_on_hexagon", compiled)
    made = compile_for_apps(bundle, parse_chips(["hexagon:v68"]))
    (record,) = made.records
    assert (record.artifact, record.chip) == ("decoder.float32.onnx", "hexagon:v68")
    assert record.file.path == "compiled/hexagon-v68/decoder.float32.onnx"
    assert record.source_sha256 == bundle.manifest.artifacts[0].file.sha256
    assert made.problems == (
        "encoder.float32.onnx was not compiled for hexagon:v68: Hexagon v68 does not take the whole graph",
    )


def test_a_compiler_that_was_ended_leaves_nothing(bundle, monkeypatch):
    def compiled(source, out, generation):
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_bytes(b"half")
        raise TargetError("it took longer than 600 s")

    monkeypatch.setattr(module, "compile_on_hexagon", compiled)
    made = compile_for_apps(bundle, parse_chips(["hexagon"]))
    assert (made.records, len(made.problems)) == ((), 2)
    assert not (bundle.path / "compiled").exists()


def test_other_chips_are_refused():
    with pytest.raises(SpecError, match=r"context files for hexagon\[:GENERATION\], not for gpu$"):
        check_compiled(parse_chips(["gpu"]))
    with pytest.raises(SpecError, match="not for ethos-u55-128: embed-c --for compiles for it"):
        check_compiled(parse_chips(["ethos-u55-128"]))
