import contextlib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from pocketvae.distil import source
from pocketvae.distil.source import _check_interface, open_source
from pocketvae.errors import ManifestError, SpecError
from pocketvae.outputs import Output
from pocketvae.vae_spec import Condition, ConditionKind, DataKind, Latent, Likelihood, PriorKind, VaeSpec, vector_latent

VAE = VaeSpec(data_shape=(8, 8, 1), latents=vector_latent(4))


def test_a_folder_that_is_neither_run_nor_bundle_is_refused(tmp_path):
    with pytest.raises(ManifestError, match="is neither a run nor a bundle"):
        open_source(tmp_path)
    with pytest.raises(ManifestError, match="is not a bundle"):
        open_source(tmp_path / "missing")


@pytest.mark.parametrize(
    ("vae", "message"),
    [
        (replace(VAE, latents=(Latent(shape=(2, 2, 3)),)), r"one latent \[N, D\] of real numbers, .* \[2, 2, 3\]"),
        (replace(VAE, latents=(Latent(name="a", shape=(2,)), Latent(name="b", shape=(3,)))), r"takes \[2\], \[3\]"),
        (
            VaeSpec(data=DataKind.VOLUME, data_shape=(8, 8, 8, 1), latents=vector_latent(4)),
            "images, vectors and sequences, not for volumes",
        ),
        (
            replace(VAE, conditions=(Condition(name="age", kind=ConditionKind.CONTINUOUS, shape=(1,)),)),
            "at most one condition, a class label, but this decoder takes age",
        ),
        (
            replace(VAE, more_outputs=(Output(name="x_log_var", data=DataKind.IMAGE, shape=(8, 8, 1)),)),
            "returns the data alone, but this decoder returns x_log_var too: export it with --more-outputs none",
        ),
    ],
)
def test_a_decoder_that_no_student_can_stand_for_is_refused(vae, message):
    with pytest.raises(SpecError, match=message):
        _check_interface(vae)


@pytest.mark.parametrize(
    ("vae", "is_refused"),
    [
        (VAE, False),
        (replace(VAE, likelihood=Likelihood.GAUSSIAN), True),
        (replace(VAE, prior=PriorKind.MIXTURE), True),
    ],
)
def test_a_bundle_of_a_run_without_its_encoder_teaches_only_what_a_student_alone_says(vae, is_refused, monkeypatch):
    manifest = SimpleNamespace(vae=vae, forms={}, goldens=(), original={})
    monkeypatch.setattr(source, "open_bundle", lambda path: SimpleNamespace(manifest=manifest, path=path))
    monkeypatch.setattr(source, "find_artifact", lambda *given: None)
    refusal = pytest.raises(SpecError, match="does not hold its run's encoder, .*: give the run, or export it with all")
    with refusal if is_refused else contextlib.nullcontext():
        open_source(Path("no-folder"))


def test_usual_decoders_can_have_a_student():
    _check_interface(VAE)
    _check_interface(replace(VAE, likelihood=Likelihood.UNKNOWN, conditions=(Condition(count=3),)))
