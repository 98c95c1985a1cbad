"""The interface of a VAE as older documents state it, brought up to the names of today."""

from __future__ import annotations

from typing import Any


def with_named_latents(document: dict[str, Any]) -> dict[str, Any]:
    """Returns a document whose `vae` was written when every VAE had images and a single latent vector."""
    vae = dict(document["vae"])
    vae["data_shape"] = vae.pop("image_shape")
    vae["latents"] = [{"name": "z", "shape": [vae.pop("latent_dim")]}]
    if "image_range" in vae:
        vae["data_range"] = vae.pop("image_range")
    return {**document, "vae": vae}


def with_conditions(document: dict[str, Any]) -> dict[str, Any]:
    """Returns a document whose `vae` was written when a VAE had one class label at most."""
    vae = dict(document["vae"])
    count = vae.pop("label_count", 0)
    vae["conditions"] = [{"name": "label", "kind": "label", "count": count}] if count else []
    return {**document, "vae": vae}


def with_channels(document: dict[str, Any]) -> dict[str, Any]:
    """Returns a document that was written when no `vae` said anything of its channels: none is the default."""
    return document


def with_more_outputs(document: dict[str, Any]) -> dict[str, Any]:
    """Returns a document that was written when every decoder had one output: none beside it is the default."""
    return document
