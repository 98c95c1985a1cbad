import json
from dataclasses import replace

import pytest

from pocketvae.benchmarks import Baseline, BenchConfig, Extra, baseline_table, bench_bundle
from pocketvae.benchmarks.latency.analyse.verdicts import judge_instructions
from pocketvae.benchmarks.latency.measure import regression
from pocketvae.benchmarks.latency.measure.regression import (
    Opened,
    compare_with_bundle,
    compare_with_results,
    machine_slowdown,
    open_baseline,
    other_machine,
)
from pocketvae.benchmarks.latency.results import (
    NOT_IN_BASELINE,
    BaselineComparison,
    MachinePeaks,
    MemorySpeed,
    Verdict,
)
from pocketvae.benchmarks.not_run import NotRun
from pocketvae.bundle.bundle import open_bundle
from pocketvae.cli.main import main
from pocketvae.documents import encode
from pocketvae.errors import ChannelError, ManifestError, ParityError, SpecError
from pocketvae.fields import Channel, ChannelKind
from pocketvae.outputs import Meaning, Output
from pocketvae.progress import ignore_progress
from pocketvae.system.environment import current_environment
from pocketvae.vae_spec import DataKind, Likelihood, VaeSpec, vector_latent

pytestmark = pytest.mark.usefixtures("few_values")
NO_ORIGINAL = BenchConfig(include_original=False)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory, bundles):
    """A bundle. Do not change it."""
    return bundles.make_bundle(tmp_path_factory.mktemp("regression") / "b")


@pytest.fixture(scope="module")
def result(bundle, few_values):
    return bench_bundle(bundle, NO_ORIGINAL)


def opened(path, bundle, config=NO_ORIGINAL, **options):
    now = open_bundle(bundle)
    return open_baseline(Baseline(path=path, **options), now, now.manifest.artifacts, config, current_environment())


def test_the_same_machine_is_no_other():
    assert other_machine(current_environment(), current_environment()) == ()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"cpu": "VAX-11"}, "different processor: VAX-11 in the baseline"),
        ({"machine": "riscv64"}, "different architecture: riscv64 in the baseline"),
        ({"logical_cores": 4096}, "different number of cores: 4096 in the baseline"),
        ({"versions": {}}, "different onnxruntime: none in the baseline"),
    ],
)
def test_a_result_of_another_machine_is_refused_with_the_reason(tmp_path, bundle, result, change, reason):
    other = tmp_path / "other.json"
    other.write_text(encode(replace(result, environment=replace(result.environment, **change))))
    with pytest.raises(SpecError, match=f"{reason}.*--force-compare"):
        opened(other, bundle)
    assert any(reason in forced for forced in opened(other, bundle, force=True).forced)


def test_a_result_of_another_bundle_is_refused(tmp_path, bundle, result):
    other = tmp_path / "other.json"
    other.write_text(encode(replace(result, bundle="faces")))
    with pytest.raises(SpecError, match="different bundle: 'faces' in the baseline, 'tiny' here"):
        opened(other, bundle)


def test_a_bundle_of_another_model_is_refused_even_by_force(tmp_path, bundle, bundles):
    other = bundles.make_bundle(tmp_path / "other")
    manifest = open_bundle(other).manifest
    (other / "manifest.json").write_text(encode(replace(manifest, vae=replace(manifest.vae, latents=vector_latent(9)))))
    with pytest.raises(SpecError, match=r"same model.*has latents z \[9\] instead of z \[3\]$"):
        opened(other, bundle, force=True)


def test_a_result_of_another_model_is_refused_even_by_force(tmp_path, bundle, result):
    """Both runs of one preset have its name, whatever their latent is."""
    path = tmp_path / "other.json"
    assert result.interface["latents"] == "z [3]"
    path.write_text(encode(replace(result, interface=result.interface | {"latents": "z [9]"})))
    with pytest.raises(SpecError, match=r"same model.*has latents z \[9\] instead of z \[3\]$"):
        opened(path, bundle, force=True)
    path.write_text(encode(replace(result, interface={})))
    opened(path, bundle, force=True)


def test_the_field_in_which_models_differ_is_named(tmp_path, bundle, bundles):
    other = bundles.make_bundle(tmp_path / "other")
    manifest = open_bundle(other).manifest
    (other / "manifest.json").write_text(encode(replace(manifest, vae=replace(manifest.vae, data_range=(0.0, 255.0)))))
    with pytest.raises(SpecError, match=r"data_range \(0\.0, 255\.0\) instead of \(0\.0, 1\.0\)$"):
        opened(other, bundle)


def test_what_training_learns_is_no_other_model(tmp_path, bundles):
    def made(name, degrees, channels):
        # Of samples, since nothing bounds them.
        noise = Output(
            name="spread",
            data=DataKind.SEQUENCE,
            shape=(18, 2),
            meaning=Meaning.LOG_VAR,
            data_range=(-degrees, 1.0),
            range_is_strict=False,
        )
        vae = VaeSpec(
            data=DataKind.SEQUENCE,
            data_shape=(18, 2),
            latents=vector_latent(3),
            likelihood=Likelihood.STUDENT_T,
            channels=channels,
            degrees_of_freedom=degrees,
            data_range=(-degrees, degrees),
            range_is_strict=False,
            more_outputs=(noise,),
        )
        return bundles.make_bundle(tmp_path / name, vae=vae)

    new = made("new", 3.5, (Channel(noise_scale=0.2), Channel(noise_scale=0.3, mean=4.0, scale=2.0)))
    old = made("old", 4.5, (Channel(noise_scale=0.4), Channel(noise_scale=0.5, name="rpm")))
    assert opened(old, new).bundle.path == old
    manifest = open_bundle(old).manifest
    vae = replace(manifest.vae, likelihood=Likelihood.MIXED, degrees_of_freedom=None)
    other = replace(vae, channels=(Channel(), Channel(kind=ChannelKind.BINARY)))
    (old / "manifest.json").write_text(encode(replace(manifest, vae=other)))
    with pytest.raises(SpecError, match="channels real 1, binary 1 instead of real 1, real 1$"):
        opened(old, new)
    vae = replace(manifest.vae, range_is_strict=True, more_outputs=())
    (old / "manifest.json").write_text(encode(replace(manifest, vae=vae)))
    with pytest.raises(
        SpecError, match=r"data_range \(-4\.5, 4\.5\) instead of unbounded; .*more_outputs none instead of"
    ):
        opened(old, new)


def test_a_bundle_with_nothing_of_what_is_timed_is_refused(tmp_path, bundle, bundles):
    other = bundles.make_bundle(tmp_path / "other")
    manifest = open_bundle(other).manifest
    (other / "manifest.json").write_text(encode(replace(manifest, artifacts=manifest.artifacts[1:])))
    config = replace(NO_ORIGINAL, artifacts=("decoder.float32.onnx",), baseline=Baseline(path=other))
    with pytest.raises(SpecError, match=r"^the baseline has none of: decoder\.float32\.onnx$"):
        bench_bundle(bundle, config)


@pytest.mark.parametrize("change", [{"threads": 64}, {"batch": 8}, {"artifact": "decoder.int8.onnx"}])
def test_results_with_nothing_of_what_is_timed_are_refused(tmp_path, bundle, result, change):
    other = tmp_path / "other.json"
    other.write_text(encode(replace(result, results=(replace(result.results[0], **change),))))
    with pytest.raises(SpecError, match=r"none of: decoder\.float32\.onnx, 1 thread, batch 1; encoder"):
        opened(other, bundle)


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"schema_version": 2}', '{"schema_version": 99}'])
def test_a_file_that_is_no_result_is_refused(tmp_path, bundle, text):
    file = tmp_path / "r.json"
    file.write_text(text)
    with pytest.raises(ManifestError, match=r"r\.json"):
        opened(file, bundle)


def test_a_baseline_that_is_not_there(tmp_path, bundle):
    with pytest.raises(ManifestError, match="cannot be read"):
        opened(tmp_path / "no.json", bundle)


def test_results_are_compared_row_by_row(tmp_path, bundle, result):
    # Twice as fast a past: the decoder is slower now than it was, whatever the machine does meanwhile.
    decoder = result.results[0]
    past = replace(decoder, values_s=tuple(value / 100 for value in decoder.values_s))
    file = tmp_path / "past.json"
    file.write_text(encode(replace(result, results=(past,), peaks=())))
    compared = bench_bundle(bundle, replace(NO_ORIGINAL, baseline=Baseline(path=file))).comparison
    assert not compared.side_by_side
    assert compared.regressed
    assert [item.verdict for item in compared.artifacts] == [Verdict.REGRESSED]
    assert [(item.artifact, item.reason) for item in compared.not_compared] == [
        ("encoder.float32.onnx", "the baseline has no row with 1 thread and batch 1")
    ]


def test_rows_of_one_artifact_are_told_apart(result):
    first = result.results[0]
    rows = (first, replace(first, threads=2), replace(first, batch=8), replace(first, threads=2, batch=8))
    now = replace(result, results=tuple(replace(row, instructions=9) for row in rows))
    then = Opened(result=replace(result, results=(replace(rows[0], instructions=9), replace(rows[2], instructions=9))))
    compared = compare_with_results(now, then, Baseline(path="r.json"))
    latencies = [item for item in compared.artifacts if item.metric == "latency"]
    assert [(item.threads, item.batch) for item in latencies] == [(1, 1), (1, 8)]
    assert [item.metric for item in compared.artifacts].count("instructions") == 1
    assert [item.reason for item in compared.not_compared] == [
        f"the baseline has no row with 2 threads and batch {batch}" for batch in (1, 8)
    ]
    headers, table = baseline_table(compared)
    places = [headers.index(name) for name in ("artifact", "threads", "batch", "metric")]
    assert len({tuple(row[place] for place in places) for row in table[:3]}) == 3


def test_instructions_that_the_baseline_has_not_got_are_told(result):
    now = replace(result, results=tuple(replace(row, instructions=9) for row in result.results))
    compared = compare_with_results(now, Opened(result=result), Baseline(path="r.json"))
    assert {item.artifact: item.reason for item in compared.not_compared} == dict.fromkeys(
        ("decoder.float32.onnx", "encoder.float32.onnx"), "instructions: the baseline has none"
    )


def test_instructions_that_could_not_be_counted_are_told(bundle, monkeypatch):
    # decoder: the baseline's and now; encoder: the baseline's
    outcomes = [100, ParityError("it was tired"), ChannelError("it hung")]

    def count(load):
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(regression, "count_instructions", count)
    monkeypatch.setattr(regression, "compare", lambda contests, **_: ([], {}))
    config = replace(NO_ORIGINAL, baseline=Baseline(path=bundle), extras=frozenset([Extra.INSTRUCTIONS]))
    now = open_bundle(bundle)
    compared = compare_with_bundle(now, now.manifest.artifacts, Opened(bundle=now), config, ignore_progress)
    assert compared.artifacts == ()
    assert {item.artifact: item.reason for item in compared.not_compared} == {
        "decoder.float32.onnx": "instructions, now: it was tired",
        "encoder.float32.onnx": "instructions, the baseline's: it hung",
    }


def test_two_bundles_are_compared_side_by_side(bundle, monkeypatch):
    asked = {}

    def compare(contests, **options):
        asked.update(options, artifacts=[contest.artifact for contest in contests])
        return [], {"decoder.float32.onnx": "it was tired"}

    monkeypatch.setattr(regression, "compare", compare)
    config = replace(NO_ORIGINAL, baseline=Baseline(path=bundle, margin=0.07))
    compared = bench_bundle(bundle, config).comparison
    assert compared.side_by_side
    assert asked["margin"] == compared.margin == 0.07
    assert asked["artifacts"] == ["decoder.float32.onnx", "encoder.float32.onnx"]
    assert compared.not_compared[0].reason == "it was tired"


LOST = NotRun(artifact="decoder.float32.onnx", target="host", reason="its process was lost")
UNKNOWN = replace(LOST, target=NOT_IN_BASELINE, reason="the baseline does not have this artifact")


@pytest.mark.parametrize(("lost", "code"), [((), 0), ((UNKNOWN,), 0), ((LOST,), 3), ((UNKNOWN, LOST), 3)])
def test_what_could_not_be_compared_does_not_pass(bundle, result, monkeypatch, lost, code):
    passing = judge_instructions("encoder.float32.onnx", 100, 100)
    compared = BaselineComparison(
        baseline="b", side_by_side=True, margin=0.03, level=0.01, artifacts=(passing,), not_compared=lost
    )
    monkeypatch.setattr("pocketvae.benchmarks.bench_bundle", lambda *_, **__: replace(result, comparison=compared))
    assert main(["bench", str(bundle), "--baseline", str(bundle), "--quiet"]) == code


def test_an_artifact_whose_process_is_lost_is_no_fault_of_the_baseline(bundle, monkeypatch):
    monkeypatch.setattr(regression, "compare", lambda contests, **_: ([], {"decoder.float32.onnx": "it was tired"}))
    now = open_bundle(bundle)
    config = replace(NO_ORIGINAL, baseline=Baseline(path=bundle))
    old = replace(now, manifest=replace(now.manifest, artifacts=now.manifest.artifacts[:1]))
    compared = compare_with_bundle(now, now.manifest.artifacts, Opened(bundle=old), config, ignore_progress)
    targets = {item.artifact: item.target for item in compared.not_compared}
    assert targets == {"decoder.float32.onnx": "host", "encoder.float32.onnx": NOT_IN_BASELINE}


def test_instructions_are_counted_with_the_one_thread_that_is_reported(bundle, monkeypatch):
    counted = []
    monkeypatch.setattr(regression, "count_instructions", lambda load: counted.append(load.threads) or 100)
    monkeypatch.setattr(regression, "compare", lambda contests, **_: ([], {}))
    extras = frozenset([Extra.INSTRUCTIONS])
    config = replace(NO_ORIGINAL, threads=(2,), baseline=Baseline(path=bundle), extras=extras)
    now = open_bundle(bundle)
    compared = compare_with_bundle(now, now.manifest.artifacts, Opened(bundle=now), config, ignore_progress)
    assert set(counted) == {item.threads for item in compared.artifacts} == {1}


def peaks(flops, memory):
    speed = MemorySpeed(block_bytes=1 << 20, copy_bytes_per_s=memory, read_bytes_per_s=memory)
    return (MachinePeaks(threads=1, sgemm_flops=flops, memory=(speed,)),)


@pytest.mark.parametrize(
    ("now", "slowdown"), [((1e9, 1e9), 1.0), ((0.99e9, 1e9), 1.0), ((0.5e9, 1e9), 2.0), ((2e9, 2e9), 1.0)]
)
def test_the_machine_s_own_speed_is_compared(now, slowdown):
    assert machine_slowdown(peaks(1e9, 1e9), peaks(*now), 1) == pytest.approx(slowdown)
    assert machine_slowdown((), peaks(*now), 1) == 1.0


def test_a_result_is_read_back_as_it_was(result):
    from pocketvae.benchmarks import BenchResult
    from pocketvae.documents import decode

    assert decode(BenchResult, encode(result), "r") == result
    assert json.loads(encode(result))["results"][0]["execution"]["delegate"] == "CPUExecutionProvider"
