"""The model card: a description of a bundle for the person who embeds it."""

from __future__ import annotations

from collections.abc import Mapping

from pocketvae.bundle.manifest import ArtifactRecord, Manifest
from pocketvae.export.guide.portability_notes import portability_sources, portability_table
from pocketvae.export.guide.quantization_notes import quantization_section
from pocketvae.spec import Component, Likelihood, PriorKind, VaeSpec

_PRIORS: Mapping[PriorKind, str] = {
    PriorKind.STANDARD: "prior N(0, I)",
    PriorKind.MIXTURE: "a learned mixture of Gaussians as the prior",
    PriorKind.VAMP: "a VampPrior",
    PriorKind.REALNVP: "a RealNVP flow as the prior",
}
_LIKELIHOODS: Mapping[Likelihood, str] = {
    Likelihood.BERNOULLI: "Bernoulli",
    Likelihood.GAUSSIAN: "Gaussian",
    Likelihood.DISCRETIZED_LOGISTIC: "discretized logistic",
    Likelihood.UNKNOWN: "unknown",
}
_REPRODUCIBLE = (
    "A sampler and a generator draw by themselves: image number `index` of the stream `seed`. The same two numbers "
    "give the same noise, bit for bit, in TFLite, in onnxruntime and in numpy (`pocketvae.normal_noise`)."
)
_LEARNED_LATENTS = " The prior behind it is computed in floating point, so latents agree within rounding."
_FIGURES: Mapping[str, str] = {
    "test_negative_elbo_nats": "Negative ELBO on the test images, nats per image",
    "test_reconstruction_nats": "Reconstruction term, nats",
    "test_kl_nats": "KL term, nats",
    "active_units": "Active latent dimensions",
    "test_images": "Test images",
    "training_images": "Training images",
    "test_psnr_db": "Reconstruction of grey values, dB PSNR",
    "encoder_parameters": "Encoder parameters",
    "decoder_parameters": "Decoder parameters",
    "prior_parameters": "Prior parameters",
}


def model_card(manifest: Manifest) -> str:
    """Returns the card as Markdown."""
    height, width, channels = manifest.vae.image_shape
    lines = [
        f"# {manifest.name}",
        "",
        f"A variational autoencoder for {width}x{height} images with {channels} channel{'s' if channels > 1 else ''}: "
        f"{manifest.vae.latent_dim} latent dimensions, {_PRIORS[manifest.vae.prior]}, "
        f"{_LIKELIHOODS[manifest.vae.likelihood]} likelihood.",
        "",
        "## Use",
        "",
        *_interface(manifest),
        "",
        *_generation(manifest),
        "",
        "## Files",
        "",
        "| file | bytes | inputs | outputs | held to | notes |",
        "|---|---|---|---|---|---|",
        *(_row(artifact) for artifact in manifest.artifacts),
        "",
    ]
    lines += ["## Where it runs", "", *_runs(manifest), ""]
    if manifest.failures:
        lines += ["Could not be made:", "", *(f"- {item.artifact}: {item.reason}" for item in manifest.failures), ""]
    lines += ["## Quantization", "", *quantization_section(manifest), ""]
    lines += ["## Training", "", *_training(manifest), "", "## Limits", "", *_limits(manifest), ""]
    return "\n".join(lines)


def _interface(manifest: Manifest) -> list[str]:
    kinds = {artifact.component for artifact in manifest.artifacts}
    rows = []
    if Component.ENCODER in kinds:
        pixels = f"in {_limits_of(manifest.vae)}" if manifest.vae.range_is_strict else "scaled as in its training"
        rows.append(
            f"- encoder: `x`, pixels {pixels}{_flat(manifest.vae, Component.ENCODER)}, to `z_mean` and `z_log_var` of "
            f"the posterior q(z|x)"
        )
    if Component.DECODER in kinds:
        about = "in" if manifest.vae.range_is_strict else "about in"
        rows.append(
            f"- decoder: latent `z` to `image` {about} {_limits_of(manifest.vae)}"
            f"{_flat(manifest.vae, Component.DECODER)}"
        )
    if Component.PRIOR in kinds:
        rows.append("- prior: standard normal noise `eps` to a latent `z`")
    if Component.SAMPLER in kinds:
        rows.append("- sampler: `seed` and `index`, any two int32 numbers, to a latent `z`")
    if Component.GENERATOR in kinds:
        rows.append("- generator: `seed` and `index` to `image`, a sampler and a decoder in one file")
    if manifest.vae.label_count:
        last = manifest.vae.label_count - 1
        rows.append(f"- what takes or makes an image also takes a `label`, 0 to {last}")
    if any(artifact.precision == "int8_io" for artifact in manifest.artifacts):
        rows.append(
            "- int8_io files take and return integers: real = scale * (integer - zero_point), see manifest.json"
        )
    return rows


def _limits_of(vae: VaeSpec) -> str:
    return f"[{vae.image_range[0]:g}, {vae.image_range[1]:g}]"


def _flat(vae: VaeSpec, component: Component) -> str:
    return ", as one vector, row by row" if component in vae.flat else ""


def _generation(manifest: Manifest) -> list[str]:
    vae = manifest.vae
    draw = "draw z from a standard normal distribution"
    if vae.prior is not PriorKind.STANDARD:
        draw = f"draw {vae.eps_dim} values from a standard normal distribution, run the prior on them to get z"
    meaning = {
        Likelihood.BERNOULLI: "A grey value is the probability that the pixel is on.",
        Likelihood.GAUSSIAN: f"A pixel is a mean; the standard deviation around it is {vae.noise_scale or 0:.3g}.",
        Likelihood.DISCRETIZED_LOGISTIC: "A pixel is the mode of its distribution.",
        Likelihood.UNKNOWN: f"A pixel is what the original returns; {_limits_of(vae)} is black to white.",
    }
    text = f"To generate an image, {draw} and run a decoder. {meaning[vae.likelihood]}"
    if not any(artifact.component.is_composed for artifact in manifest.artifacts):
        return [text]
    learned = "" if vae.prior is PriorKind.STANDARD else _LEARNED_LATENTS
    return [text, "", _REPRODUCIBLE + learned]


def _row(artifact: ArtifactRecord) -> str:
    def tensors(specs: tuple[object, ...]) -> str:
        return ", ".join(f"{s.name} {list(s.shape)} {s.dtype}" for s in specs)  # type: ignore[attr-defined]

    limits = ", ".join(f"{t.output} {t.metric} <= {t.limit:.2g}" for t in artifact.tolerances)
    cells = (artifact.name, str(artifact.file.size_bytes), tensors(artifact.inputs), tensors(artifact.outputs), limits)
    return f"| {' | '.join(cells)} | {'; '.join(artifact.notes)} |"


def _runs(manifest: Manifest) -> list[str]:
    return [
        "Each file loads in the runtime that it needs or a newer one, with built-in operators alone. An accelerator "
        "runs the operators that it takes; the CPU runs the others, but on a microcontroller nothing does. "
        "[EMBED.md](EMBED.md) has code for apps.",
        "",
        *portability_table(manifest.artifacts),
        "",
        *portability_sources(manifest.artifacts),
    ]


def _training(manifest: Manifest) -> list[str]:
    rows = [f"- {key}: {value}" for key, value in sorted(manifest.provenance.items())]
    rows += [f"- {text}: {manifest.training[key]:g}" for key, text in _FIGURES.items() if key in manifest.training]
    rows.append(f"- Licence of the model: {manifest.licence or 'not stated'}")
    rows += [f"- Author: {manifest.author}"] if manifest.author else []
    if not manifest.training:
        rows.append("- The model was not trained by pocketvae; nothing is known of its training.")
    return rows


def _limits(manifest: Manifest) -> list[str]:
    goldens = {golden.component: sum(stratum.count for stratum in golden.strata) for golden in manifest.goldens}
    checked = ", ".join(f"{count} {component} inputs" for component, count in sorted(goldens.items()))
    return [
        f"- Parity was stated on {checked}; `pocketvae verify` repeats the comparison on your machine.",
        "- The model knows nothing but its training images: it shows what is likely among them, not what is true.",
    ]
