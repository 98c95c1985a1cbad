"""Descriptions of the inputs and outputs of artifacts."""

from __future__ import annotations

from pocketvae.bundle.embedded import TensorDoc
from pocketvae.spec import Component, PriorKind, TensorSpec, VaeSpec

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
    image = _image(component, vae)
    limits = vae.data_range if vae.range_is_strict else None
    pixel = f"pixel, {vae.data_range[0]:g} black to {vae.data_range[1]:g} white"
    return {
        "x": (f"the image to encode: {image}", pixel, limits),
        "image": (f"the decoded image: {image}", pixel, limits),
        "z": (_latent(vae), "1", None),
        "eps": ("standard normal noise, which the prior turns into a latent", "1", None),
        "z_mean": ("mean of the posterior q(z|x)", "1", None),
        "z_log_var": ("logarithm of the variance of the posterior q(z|x)", "nats", None),
        "label": ("class of the image", "class number", (0.0, float(max(vae.label_count - 1, 0)))),
        "seed": ("selects a stream of images", "1", _INT32),
        "index": ("position in the stream of images", "1", _INT32),
    }


def _image(component: Component, vae: VaeSpec) -> str:
    height, width, channels = vae.image_shape
    colours = {1: "grey", 3: "red, green, blue"}.get(channels, f"{channels} channels")
    part = Component.DECODER if component is Component.GENERATOR else component
    order = "one vector, row by row" if part in vae.flat else "rows, columns, channels"
    return f"{width}x{height}, {colours}, {order}"


def _latent(vae: VaeSpec) -> str:
    if vae.prior is PriorKind.STANDARD:
        return "latent vector; draw it from N(0, I) to generate"
    return f"latent vector; draw it from the {vae.prior} prior to generate"
