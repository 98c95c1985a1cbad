"""The model card: a description of a bundle for the person who embeds it."""

from __future__ import annotations

from collections.abc import Mapping

from pocketvae.bundle.manifest import Manifest
from pocketvae.export.guide.page import image_values
from pocketvae.formats.layers import summarize_layers
from pocketvae.kinds.registry import kind_of
from pocketvae.reporting.templates import render
from pocketvae.vae_spec import Likelihood, PriorKind, VaeSpec

_PRIORS: Mapping[PriorKind, str] = {
    PriorKind.STANDARD: "prior N(0, I)",
    PriorKind.UNIFORM: "codes that are drawn equally likely, for lack of a prior",
    PriorKind.MIXTURE: "a learned mixture of Gaussians as the prior",
    PriorKind.VAMP: "a VampPrior",
    PriorKind.REALNVP: "a RealNVP flow as the prior",
}
_LIKELIHOODS: Mapping[Likelihood, str] = {
    Likelihood.BERNOULLI: "Bernoulli",
    Likelihood.GAUSSIAN: "Gaussian",
    Likelihood.DISCRETIZED_LOGISTIC: "discretized logistic",
    Likelihood.STUDENT_T: "Student's t",
    Likelihood.MIXED: "Gaussian, Bernoulli or categorical for each column",
    Likelihood.UNKNOWN: "unknown",
}
# In braces the names of the kind of data.
_FIGURES: Mapping[str, str] = {
    "test_negative_elbo_nats": "Negative ELBO on the test {plural}, nats per {noun}",
    "test_reconstruction_nats": "Reconstruction term, nats",
    "test_kl_nats": "KL term, nats",
    "active_units": "Active latent dimensions",
    "test_{plural}": "Test {plural}",
    "training_{plural}": "Training {plural}",
    "test_psnr_db": "Reconstruction of grey values, dB PSNR",
    "test_explained_variance": "Share of the variance that reconstructions explain",
    "encoder_parameters": "Encoder parameters",
    "decoder_parameters": "Decoder parameters",
    "prior_parameters": "Prior parameters",
}


def model_card(manifest: Manifest) -> str:
    """Returns the card as Markdown."""
    vae, artifacts = manifest.vae, manifest.artifacts
    values = {
        "scorings": [(item.name, item.scoring) for item in manifest.artifacts if item.scoring],
        "name": manifest.name,
        "vae": vae,
        "prior": _prior(vae),
        "likelihood": _LIKELIHOODS[vae.likelihood],
        "learned": vae.prior.is_learned,
        "components": {artifact.component for artifact in artifacts},
        "precisions": {artifact.precision for artifact in artifacts},
        "artifacts": artifacts,
        "sources": {item.backend: item.source for artifact in artifacts for item in artifact.portability},
        "layer_summaries": {artifact.name: summarize_layers(artifact.layers) for artifact in artifacts},
        "coverage": manifest.calibration.coverage,
        "failures": manifest.failures,
        "left_out": manifest.left_out,
        "chips": manifest.chips,
        "compiled": manifest.compiled,
        **_training(manifest),
        "golden_counts": sorted(_golden_counts(manifest).items()),
    }
    return render("pocketvae.export.guide", "card.md.j2", values | image_values(vae))


def _prior(vae: VaeSpec) -> str:
    if vae.codes and not vae.is_discrete:
        return f"{_PRIORS[vae.prior]} of the numbers, {_PRIORS[PriorKind.UNIFORM]}"
    return f"{_PRIORS[vae.prior]}{', given the label' if vae.prior_takes_label else ''}"


def _training(manifest: Manifest) -> dict[str, object]:
    kind = kind_of(manifest.vae.data)
    names = {"plural": kind.plural, "noun": kind.noun}
    figures = {key.format(**names): text.format(**names) for key, text in _FIGURES.items()}
    return {
        "provenance": sorted(manifest.provenance.items()),
        "figures": [(text, manifest.training[key]) for key, text in figures.items() if key in manifest.training],
        "trained_here": bool(manifest.training),
        "licence": manifest.licence,
        "author": manifest.author,
    }


def _golden_counts(manifest: Manifest) -> dict[str, int]:
    return {golden.component: sum(stratum.count for stratum in golden.strata) for golden in manifest.goldens}
