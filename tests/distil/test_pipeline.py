"""Whole distillations. Targets are sizes here, so that no test depends on the clock."""

import json
import shlex
from dataclasses import replace

import numpy as np
import pytest

from pocketvae.distil import DistilConfig, Targets
from pocketvae.errors import DataError, ManifestError, OutputExistsError, SpecError, TrainingError

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("few_students")]

CONFIG = DistilConfig(targets=Targets(max_kb=40), steps=200, finalists=2, learning_rate=5e-3)


def distil(*given, **options):
    from pocketvae.distil import distil as run

    return run(*given, **options)


def weights(run):
    from pocketvae.keras.io import load_model

    return load_model(run / "decoder.keras").get_weights()


@pytest.fixture(scope="module")
def distilled(tmp_path_factory, tiny_run):
    """A run and the record of what was made of it."""
    out = tmp_path_factory.mktemp("distilled") / "run"
    return out, distil(tiny_run, out, CONFIG)


def test_the_student_takes_the_decoder_s_place_in_a_run(distilled, tiny_run):
    from pocketvae.bundle.run import open_run

    out, record = distilled
    run, teacher = open_run(out), open_run(tiny_run)
    assert run.record.vae == teacher.record.vae
    assert run.record.config == teacher.record.config
    assert run.record.distilled_from == f"mnist-tiny, {tiny_run}"
    assert (out / "encoder.keras").read_bytes() == (tiny_run / "encoder.keras").read_bytes()
    assert (out / "reference.npz").read_bytes() == (tiny_run / "reference.npz").read_bytes()
    assert {path.name for path in out.iterdir()} == {
        *("decoder.keras", "encoder.keras", "reference.npz", "run.json", "distilled.json", "samples.png")
    }
    assert record.size_bytes <= 40_000
    assert run.record.metrics["decoder_parameters"] == sum(values.size for values in weights(out))


def test_export_takes_it_as_it_is_and_makes_the_file_that_was_judged(distilled, command, tmp_path):
    import pocketvae

    out, record = distilled
    words = ("--components", "decoder,sampler", "--precisions", "float32", "--formats", "tflite", "--rewrites", "none")
    done = command("export", out, "--out", tmp_path / "bundle", *words, "--quiet")
    assert done.code == 0, done
    with pocketvae.open(tmp_path / "bundle") as bundle:
        file = bundle.bundle.artifact_path(bundle.manifest.artifact("decoder.float32.tflite"))
        assert abs(file.stat().st_size - record.size_bytes) < 10_000  # metadata and golden pairs
        assert bundle.decoder().decode(bundle.sample_latents(7, np.arange(3))).shape == (3, 28, 28, 1)


def test_it_has_learned_from_its_teacher(distilled, tiny_run):
    from pocketvae.distil.networks import build_student
    from pocketvae.keras.io import load_model

    out, record = distilled
    eps = np.random.default_rng(5).normal(size=(200, 4)).astype(np.float32)
    teacher, student = (load_model(run / "decoder.keras") for run in (tiny_run, out))
    untrained = build_student(record.student, json_vae(out), CONFIG.seed)
    wanted, found, before = (1 / (1 + np.exp(-np.asarray(model(eps)))) for model in (teacher, student, untrained))
    assert np.mean((found - wanted) ** 2) < 0.2 * np.mean((before - wanted) ** 2)
    assert [item.kind for item in record.closeness] == ["prior", "posterior", "tails"]


def json_vae(run):
    from pocketvae.bundle.run import open_run

    return open_run(run).record.vae


def test_the_record_says_what_was_tried_and_what_was_missed(distilled):
    from pocketvae.distil.record import Distilled
    from pocketvae.documents import decode

    out, record = distilled
    assert decode(Distilled, (out / "distilled.json").read_bytes(), "the record") == record
    assert record.student == record.finalists[0].student
    assert {item.student for item in record.finalists} <= {item.student for item in record.tried}
    assert record.finalists[0].losses[-1] == min(item.losses[-1] for item in record.finalists)
    elbo, psnr = record.losses
    assert (elbo.name, elbo.limit, psnr.limit) == ("ELBO", 0.5, None)
    assert elbo.value > 0.5
    assert not record.passed
    assert record.failures == (elbo.text(),)


def test_the_loss_of_elbo_is_that_of_evaluate(distilled, tiny_run, mnist_npz):
    from pocketvae.train import evaluate

    out, record = distilled
    before, after = (
        evaluate(run, source=str(mnist_npz), importance_samples=1).elbo.negative_elbo_nats for run in (tiny_run, out)
    )
    assert record.losses[0].value == pytest.approx(after - before, rel=0.15)


class Interrupted(Exception):
    pass


def test_a_resumed_distillation_ends_with_the_same_weights(distilled, tiny_run, tmp_path, monkeypatch):
    from pocketvae.distil import pipeline

    def interrupt(step):
        if step.stage == "training" and step.done >= 90:
            raise Interrupted

    monkeypatch.setattr(pipeline, "_CHECKPOINT_STEPS", 7)
    out = tmp_path / "run"
    with pytest.raises(Interrupted):
        distil(tiny_run, out, CONFIG, progress=interrupt)
    with pytest.raises(OutputExistsError, match="--resume to continue"):
        distil(tiny_run, out, CONFIG)
    with pytest.raises(SpecError, match=r"was started with --seed 0 \(now 1\): resume it with the same") as refused:
        distil(tiny_run, out, replace(CONFIG, seed=1), resume=True)
    assert not getattr(refused.value, "__notes__", [])  # That it can be resumed, which was tried.
    again = distil(tiny_run, out, CONFIG, resume=True)
    whole, record = distilled
    for resumed, uninterrupted in zip(weights(out), weights(whole), strict=True):
        np.testing.assert_array_equal(resumed, uninterrupted)
    assert again.closeness == record.closeness


def test_what_cannot_take_the_name_of_the_output_keeps_the_progress(tiny_run, tmp_path):
    out, config = tmp_path / "run", replace(CONFIG, steps=20)

    def occupied(step):
        if step.stage == "verifying":
            out.mkdir(exist_ok=True)

    with pytest.raises(OutputExistsError):
        distil(tiny_run, out, config, progress=occupied)
    assert (tmp_path / "run.unfinished" / "checkpoints" / "distil.json").is_file()
    assert not list(out.iterdir())


def test_another_teacher_is_not_gone_on_with(tiny_run, tiny_bundle, tmp_path):
    def interrupt(step):
        if step.stage == "training":
            raise Interrupted

    with pytest.raises(Interrupted):
        distil(tiny_run, tmp_path / "run", CONFIG, progress=interrupt)
    with pytest.raises(DataError, match="another teacher"):
        distil(tiny_bundle, tmp_path / "run", CONFIG, resume=True)


def test_real_items_lower_what_is_lost(distilled, tiny_run, mnist_npz, tmp_path):
    record = distil(tiny_run, tmp_path / "run", CONFIG, data=str(mnist_npz))
    assert record.data == str(mnist_npz)
    assert record.losses[0].value < 0.8 * distilled[1].losses[0].value


def test_with_real_items_a_distillation_is_gone_on_with_only_with_these(tiny_run, mnist_npz, tmp_path):
    def interrupt(step):
        if step.stage == "training" and step.done >= 40:
            raise Interrupted

    config, data = replace(CONFIG, steps=60), str(mnist_npz)
    with pytest.raises(Interrupted):
        distil(tiny_run, tmp_path / "run", config, data=data, progress=interrupt)
    with pytest.raises(DataError, match="was started with other data: resume it with the same --data"):
        distil(tiny_run, tmp_path / "run", config, resume=True)
    distil(tiny_run, tmp_path / "run", config, data=data, resume=True)
    distil(tiny_run, tmp_path / "whole", config, data=data)
    for resumed, uninterrupted in zip(weights(tmp_path / "run"), weights(tmp_path / "whole"), strict=True):
        np.testing.assert_array_equal(resumed, uninterrupted)


def test_a_bundle_of_a_run_gives_a_run_too(tiny_run, tiny_bundle, tmp_path, command):
    from pocketvae.bundle.run import open_run

    record = distil(tiny_bundle, tmp_path / "run", replace(CONFIG, steps=10))
    run, first = open_run(tmp_path / "run"), open_run(tiny_run)
    # What it was trained with, not its preset's: evaluate reads the data by it.
    assert run.record.config == first.record.config
    assert run.record.metrics["training_images"] == first.record.metrics["training_images"] == 1200
    reference = run.reference_images()
    assert len(reference.calibration) == len(reference.golden) > 10
    assert reference.golden.max() == 255
    assert record.losses[0].source == "goldens of the bundle"
    done = command("export", tmp_path / "run", "--out", tmp_path / "bundle", "--precisions", "float32", "--quiet")
    assert done.code == 0, done


def test_targets_that_no_student_meets_are_refused_before_training(tiny_run, tmp_path):
    with pytest.raises(SpecError, match=r"no student reaches at most 1 kB with 5% to spare: the closest of \d+, .*\)"):
        distil(tiny_run, tmp_path / "run", replace(CONFIG, targets=Targets(max_kb=1)))
    assert not list(tmp_path.iterdir())


def test_a_loss_that_is_not_finite_is_an_error(tiny_bundle, tmp_path):
    with pytest.raises(TrainingError, match="the loss became .* at step .*: choose another --seed"):
        distil(tiny_bundle, tmp_path / "run", replace(CONFIG, learning_rate=1e30))


def test_a_bundle_without_a_float_file_cannot_teach(tiny_run, tmp_path, command):
    words = ("--components", "decoder", "--precisions", "float16", "--formats", "tflite")
    assert command("export", tiny_run, "--out", tmp_path / "bundle", *words, "--quiet").code == 0
    with pytest.raises(
        ManifestError, match="float32 decoder, but the bundle has no float32 decoder: it has decoder.fl"
    ):
        distil(tmp_path / "bundle", tmp_path / "run", CONFIG)


@pytest.fixture(scope="module")
def supplied(tmp_path_factory):
    """A bundle of a decoder and an encoder that pocketvae did not train, and the folder of their files."""
    from pocketvae.cli.main import main
    from pocketvae.keras.io import import_keras, save_model

    folder, keras = tmp_path_factory.mktemp("supplied"), import_keras()
    layers, start = keras.layers, keras.initializers.HeNormal
    z = layers.Input((3,), name="z")
    x = layers.Dense(4 * 4 * 8, "relu", kernel_initializer=start(seed=1))(z)
    x = layers.Conv2DTranspose(8, 3, 2, "same", activation="relu", kernel_initializer=start(seed=2))(
        layers.Reshape((4, 4, 8))(x)
    )
    image = layers.Conv2DTranspose(1, 3, 1, "same", activation="sigmoid", kernel_initializer=start(seed=3))(x)
    save_model(keras.Model(z, image), folder / "decoder.keras")
    x = layers.Input((8, 8, 1), name="x")
    y = layers.Dense(16, "relu", kernel_initializer=start(seed=4))(layers.Flatten()(x))
    outputs = [layers.Dense(3, name=name, kernel_initializer=start(seed=5))(y) for name in ("z_mean", "z_log_var")]
    save_model(keras.Model(x, outputs), folder / "encoder.keras")
    models = ["--decoder", str(folder / "decoder.keras"), "--encoder", str(folder / "encoder.keras")]
    few = ["--precisions", "float32", "--formats", "tflite", "--quiet"]
    assert main(["export", *models, "--out", str(folder / "bundle"), *few]) == 0
    return folder


def test_a_student_of_a_user_supplied_model_is_exported_with_the_printed_command(supplied, tmp_path, command):
    import pocketvae

    done = command("distil", supplied / "bundle", "--max-kb", 12, "--steps", 300, "--out", tmp_path / "student")
    assert done.code in (0, 1), done
    (printed,) = [line for line in done.out.splitlines() if line.startswith("export them with: pocketvae ")]
    words = shlex.split(printed.removeprefix("export them with: pocketvae "))
    exported = command(*words, "--precisions", "float32", "--formats", "tflite", "--quiet")
    assert exported.code == 0, exported
    record = json.loads((tmp_path / "student" / "distilled.json").read_text("utf-8"))
    assert (done.code == 0) is (record["failures"] == [])
    with pocketvae.open(supplied / "bundle") as teacher, pocketvae.open(tmp_path / "student-bundle") as student:
        assert student.vae.latents == teacher.vae.latents
        assert student.vae.data_range == teacher.vae.data_range == (0.0, 1.0)
        z = teacher.sample_latents(3, np.arange(50))
        np.testing.assert_array_equal(z, student.sample_latents(3, np.arange(50)))
        wanted, found = (bundle.decoder().decode(z) for bundle in (teacher, student))
    assert np.mean((found - wanted) ** 2) < 0.5 * np.mean((wanted - wanted.mean(axis=0)) ** 2)


def test_a_budget_that_cannot_be_measured_is_refused(supplied, tmp_path):
    with pytest.raises(SpecError, match="--budget-nats needs a likelihood that is known"):
        distil(supplied / "bundle", tmp_path / "run", replace(CONFIG, budget_nats=1.0))
    with pytest.raises(SpecError, match="--budget-db compares reconstructions of data, and the bundle has none"):
        distil(supplied / "bundle", tmp_path / "run", replace(CONFIG, budget_db=1.0))


def test_without_data_and_likelihood_a_picture_must_be_like_the_teacher_s(supplied, tmp_path):
    record = distil(supplied / "bundle", tmp_path / "run", replace(CONFIG, targets=Targets(max_kb=12), steps=2))
    (loss,) = record.losses
    assert (loss.name, loss.limit, loss.is_least) == ("PSNR to the teacher", 30.0, True)
    assert loss.value == min(item.psnr_db for item in record.closeness)
    assert record.passed is (loss.value >= 30)
