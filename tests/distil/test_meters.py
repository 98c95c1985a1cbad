from dataclasses import replace

import pytest

from pocketvae.bundle.embedded import metadata_bytes
from pocketvae.errors import SpecError, TargetError
from pocketvae.portability.ethos_u import EthosU
from pocketvae.portability.vela import NpuEstimate, NpuOperator, vela_step
from pocketvae.spec import Format

CHIP = EthosU.parse("ethos-u55-128")


def student(width, family="dense"):
    from pocketvae.distil.students import Family, Student

    if family == "dense":
        return Student(family=Family.DENSE, width=width, depth=1)
    return Student(family=Family.SHUFFLE, width=width, hidden=16, block=4, depth=1)


@pytest.fixture(scope="module")
def parts(tiny_run, tmp_path_factory):
    """A run as a source, and its decoder as a teacher."""
    from pocketvae.distil.pipeline import _teacher
    from pocketvae.distil.source import open_source, teacher_bundle

    source = open_source(tiny_run)
    with _teacher(source, teacher_bundle(source, tmp_path_factory.mktemp("t") / "b", lambda _: None)) as teacher:
        yield source, teacher


def cost_of(meter, source, shapes, **options):
    from pocketvae.distil.networks import build_student, with_biases

    return meter.measure(with_biases(build_student(shapes, source.vae, 0), 0), **options)


@pytest.mark.slow
def test_without_a_chip_it_is_the_float32_file_that_counts(parts):
    from pocketvae.distil.meters import meter_for

    source, teacher = parts
    with meter_for(source, teacher, None, 0) as meter:
        small, large = (cost_of(meter, source, student(width)) for width in (8, 256))
        assert meter.teacher_bytes == teacher.decoder_path.stat().st_size
        assert meter.teacher_multiply_adds > 0
    # Of the file as export writes it: weights of four bytes, metadata and golden pairs.
    metadata = metadata_bytes(Format.TFLITE, teacher.decoder_path.read_bytes())
    assert metadata > 3000
    assert small.size_bytes > 4 * (784 + 4) * 8 + metadata
    # 784 outputs of 248 more units, of four bytes each.
    assert large.size_bytes - small.size_bytes == pytest.approx(4 * 784 * 248, rel=0.05)
    assert large.multiply_adds == 4 * 256 + 256 * 784
    assert min(large.latency_us, large.teacher_us, small.latency_us) > 0


@pytest.mark.slow
def test_with_a_chip_it_is_its_compiler_s_estimate_of_int8_files(parts):
    from pocketvae.distil.meters import meter_for

    if not vela_step().is_done():
        pytest.skip("ethos-u-vela is not set up: pocketvae targets setup ethos-u")
    source, teacher = parts
    with meter_for(source, teacher, CHIP, 0) as meter:
        small, large = (cost_of(meter, source, student(width)) for width in (8, 256))
        again = cost_of(meter, source, student(256), final=True)
        shuffled = cost_of(meter, source, student(16, "shuffle"))
    assert again == large
    assert small.latency_us < large.latency_us
    assert small.size_bytes < large.size_bytes < 784 * 256 * 1.5
    assert small.teacher_us == large.teacher_us > 0
    assert shuffled.multiply_adds > 0
    assert meter.teacher_bytes < teacher.decoder_path.stat().st_size


def estimate(*left_names):
    from pocketvae.portability.vela import LeftOnCpu

    left = tuple(LeftOnCpu(operator=name, tensor="x", reason="because") for name in left_names)
    operators = (NpuOperator(kind="Conv2D", name="conv", on_npu=True, cycles=50),)
    return NpuEstimate(
        chip=CHIP,
        cycles=50,
        time_s=1e-6,
        sram_bytes=1,
        flash_bytes=1,
        operators=operators,
        left=left,
        compiled=b"file",
    )


@pytest.mark.slow
def test_what_the_npu_leaves_to_the_cpu_is_not_taken_for_free(parts, monkeypatch):
    from pocketvae.distil import meters

    source, teacher = parts
    monkeypatch.setattr(meters, "compile_for", lambda *_: estimate("ONE_HOT", "DEQUANTIZE"))
    refused = pytest.raises(
        SpecError, match=r"leaves operators of the teacher on the CPU, .* \(ONE_HOT\): distil for this"
    )
    with refused, meters.meter_for(source, teacher, CHIP, 0):
        pass
    monkeypatch.setattr(meters, "compile_for", lambda *_: estimate("QUANTIZE", "DEQUANTIZE"))
    with meters.meter_for(source, teacher, CHIP, 0) as meter:
        found = cost_of(meter, source, student(8))
    assert (found.latency_us, found.size_bytes) == (pytest.approx(1.0), 4)


@pytest.mark.slow
def test_a_user_supplied_decoder_has_to_have_a_file_of_int8(tiny_bundle, monkeypatch):
    from pocketvae.distil.source import Source, integer_decoder, open_source

    source = open_source(tiny_bundle)
    assert integer_decoder(source) is None
    monkeypatch.setattr(Source, "is_user_supplied", property(lambda _: True))
    content = integer_decoder(source)
    assert content == (tiny_bundle / "decoder.int8_io.tflite").read_bytes()
    without = [item for item in source.bundle.manifest.artifacts if item.precision != "int8_io"]
    manifest = replace(source.bundle.manifest, artifacts=tuple(without))
    with pytest.raises(
        SpecError, match="--for compares with the teacher's file of int8, .* --precisions float32,int8_io"
    ):
        integer_decoder(replace(source, bundle=replace(source.bundle, manifest=manifest)))


@pytest.mark.slow
def test_a_chip_whose_compiler_is_not_set_up_is_refused_before_anything_is_made(tiny_run, tmp_path, monkeypatch):
    from pocketvae.distil import DistilConfig, Targets, distil
    from pocketvae.portability import vela

    monkeypatch.setattr(vela, "vela_step", lambda: replace(vela_step(), is_done=lambda: False))
    config = DistilConfig(targets=Targets(speedup=2, chip="ethos-u55-128"))
    with pytest.raises(TargetError, match="ethos-u-vela is not set up: run pocketvae targets setup ethos-u"):
        distil(tiny_run, tmp_path / "out", config)
    assert not list(tmp_path.iterdir())
