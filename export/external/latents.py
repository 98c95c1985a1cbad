"""The latents of a user-supplied decoder: of real numbers, several of them, or of integer codes."""

from __future__ import annotations

from pocketvae.errors import ExportError
from pocketvae.export.external.conditions import code_count
from pocketvae.export.external.inputs import InputRoles, latent_names
from pocketvae.export.external.messages import ExternalModels
from pocketvae.export.external.open_sizes import fixed_sizes
from pocketvae.export.external.roles import listed
from pocketvae.keras.loading import OpenModel
from pocketvae.keras.model_form import Role
from pocketvae.spec import Component
from pocketvae.vae_spec import Latent

_RANKS = (2, 3, 4, 5)


def decoder_latents(models: ExternalModels, opened: OpenModel, inputs: InputRoles) -> tuple[Latent, ...]:
    """Returns the latents in the order of the decoder's inputs; one that ends in a label is the front of its input.

    Raises:
        ExportError: an input's sizes are open, or a number of codes is unknown.
    """
    mains = inputs.of(Role.Z, Role.Z_LABEL, Role.CODES)
    tensors = [opened.inputs[index] for index in mains]
    if models.code_count is not None and Role.CODES not in inputs.roles:
        raise ExportError("--code-count needs a decoder that takes integer codes: see --decoder-inputs codes")
    for tensor in tensors:
        if len(tensor.shape) not in _RANKS:
            raise ExportError(
                f"a decoder must take a float32 latent of 1 to 4 dimensions, got [{listed(tensor.shape)}]"
            )
    codes = [code_count(models, opened, index) if inputs.roles[index] is Role.CODES else 0 for index in mains]
    shapes = [fixed_sizes(Component.DECODER, tensor) for tensor in tensors]
    if models.latent_dim is not None:
        shapes = [(models.latent_dim,)]
    named = zip(latent_names(tensors), shapes, codes, strict=True)
    return tuple(Latent(name=name, shape=shape, codes=count) for name, shape, count in named)
