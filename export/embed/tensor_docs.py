"""Descriptions of the inputs and outputs of artifacts."""

from __future__ import annotations

from pocketvae.bundle.embedded import TensorDoc
from pocketvae.kinds.registry import kind_of
from pocketvae.outputs import Meaning, Output
from pocketvae.spec import Component, TensorSpec
from pocketvae.vae_spec import (
    ALARM,
    CONTRIBUTIONS,
    LOG_VAR_ENDING,
    MEAN_ENDING,
    SCORE,
    WINDOW,
    Condition,
    DataKind,
    Latent,
    PosteriorKind,
    PriorKind,
    VaeSpec,
)

_VERBS = {Component.RECONSTRUCTOR: "reconstruct", Component.SCORER: "score"}
_INT32 = (-2147483648.0, 2147483647.0)


def tensor_doc(tensor: TensorSpec, component: Component, vae: VaeSpec) -> TensorDoc:
    """Returns a tensor of an artifact with its meaning, its unit and the range of its values.

    Args:
        tensor: The tensor as a caller sees it.
        component: The component that it belongs to.
        vae: The interface of the VAE.
    """
    meaning, unit, limits = _known(component, vae)[tensor.name]
    if tensor.holds_pixels:
        unit, limits = "pixel, 0 black to 255 white", (0.0, 255.0)
    return TensorDoc(tensor=tensor, meaning=meaning, unit=unit, range=limits)


def _known(component: Component, vae: VaeSpec) -> dict[str, tuple[str, str, tuple[float, float] | None]]:
    noun, item = kind_of(vae.data).noun, _item(component, vae)
    limits = vae.data_range if vae.range_is_strict else None
    pixel = f"pixel, {vae.data_range[0]:g} black to {vae.data_range[1]:g} white"
    other = "(value - mean) / scale of its channel" if vae.channels else "as in the training data"
    unit = pixel if vae.data is DataKind.IMAGE else other
    window = f"the {noun} to score: {item}", "as the sensor or table has it", None
    x = f"the {noun} to {_VERBS.get(component, 'encode')}: {item}", unit, limits
    if vae.log_mel is not None:
        samples = f"{vae.log_mel.samples} samples of sound, {vae.log_mel.rate_hz:g} of them a second"
        x = window = samples, "full scale is 1 and -1", None
    return {
        "x": x,
        vae.output: (
            f"the {'reconstructed' if component is Component.RECONSTRUCTOR else 'decoded'} {noun}: {item}",
            unit,
            limits,
        ),
        **{output.name: _output_doc(output, noun) for output in vae.more_outputs},
        "eps": ("standard normal noise, which the prior turns into a latent", "1", None),
        **{name: doc for latent in vae.latents for name, doc in _latent_docs(latent, component, vae).items()},
        **{condition.name: _condition(condition, noun) for condition in vae.conditions},
        WINDOW: window,
        SCORE: (f"how unlike the training data the {noun} is; higher is stranger", "nats", None),
        ALARM: ("1 if the score is above the threshold or no number, else 0", "1", (0.0, 1.0)),
        CONTRIBUTIONS: ("each channel's part of the score, without the part of the posterior", "nats", None),
        "seed": (f"selects a stream of {kind_of(vae.data).plural}", "1", _INT32),
        "index": (f"position in the stream of {kind_of(vae.data).plural}", "1", _INT32),
    }


def _output_doc(output: Output, noun: str) -> tuple[str, str, tuple[float, float] | None]:
    """Returns what is known of an output beside the data."""
    kind, limits = kind_of(output.data), output.data_range if output.range_is_strict else None
    item = kind.item(output.shape) if output.shape else "one number"
    if output.meaning.is_noise:
        unit = "nats" if output.meaning in (Meaning.LOG_VAR, Meaning.LOG_STD) else f"as the {noun}, {output.meaning}"
        return f"{output.meaning.words} of p(x|z), the noise of the {noun}: {item}", unit, None
    if output.meaning in (Meaning.LOGITS, Meaning.PROBABILITIES):
        return f"{output.meaning} of {output.size} classes", "nats" if output.meaning is Meaning.LOGITS else "1", limits
    unit = "as in the training data"
    if output.is_picture:
        unit = f"pixel, {output.data_range[0]:g} black to {output.data_range[1]:g} white"
    return f"a further output of the decoder: {item}", unit, limits


def _latent_docs(
    latent: Latent, component: Component, vae: VaeSpec
) -> dict[str, tuple[str, str, tuple[float, float] | None]]:
    """Returns what is known of a latent and of its posterior."""
    posterior, noun = f"posterior q({latent.name}|x)", kind_of(vae.data).noun
    encoded = f"codes of the {noun}, whole numbers from 0 to {latent.codes - 1}"
    alone = f"latent of the {noun}; it has no posterior"
    return {
        latent.name: (encoded if component is Component.ENCODER else _latent(latent, vae.prior), "1", None),
        f"{latent.name}{MEAN_ENDING}": (
            alone if vae.posterior is PosteriorKind.NONE else f"mean of the {posterior}",
            "1",
            None,
        ),
        f"{latent.name}{LOG_VAR_ENDING}": (f"logarithm of the variance of the {posterior}", "nats", None),
    }


def _condition(condition: Condition, noun: str) -> tuple[str, str, tuple[float, float]]:
    if condition.is_label:
        return f"class of the {noun}", "class number", (0.0, float(condition.count - 1))
    return f"condition of the {noun}, real numbers", "as in the training data", condition.range


def _item(component: Component, vae: VaeSpec) -> str:
    item = kind_of(vae.data).item(vae.data_shape)
    if vae.data is not DataKind.IMAGE:
        return item
    part = Component.DECODER if component is Component.GENERATOR else component
    order = "one vector, row by row" if part in vae.flat else "rows, columns, channels"
    return f"{item}, {order}"


def _latent(latent: Latent, prior: PriorKind) -> str:
    if latent.codes:
        return f"codes, whole numbers from 0 to {latent.codes - 1}; draw each equally likely to generate"
    what = "latent vector" if len(latent.shape) == 1 else "spatial latent"
    source = "N(0, I)" if prior is PriorKind.STANDARD else f"the {prior} prior"
    return f"{what}; draw it from {source} to generate"
