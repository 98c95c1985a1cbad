"""The kind of data of a VAE."""

from __future__ import annotations

from collections.abc import Mapping

from pocketvae.kinds.base import Kind
from pocketvae.kinds.images import Images
from pocketvae.kinds.sequences import Sequences
from pocketvae.kinds.vectors import Vectors
from pocketvae.kinds.volumes import Volumes
from pocketvae.vae_spec import DataKind, VaeSpec

_KINDS: Mapping[DataKind, Kind] = {
    DataKind.IMAGE: Images(),
    DataKind.VECTOR: Vectors(),
    DataKind.SEQUENCE: Sequences(),
    DataKind.VOLUME: Volumes(),
}


def kind_of(data: DataKind) -> Kind:
    """Returns what a kind of data says about itself."""
    return _KINDS[data]


def described(vae: VaeSpec) -> str:
    """Returns what a VAE's data are: the kind and the shape, and for spectrograms what they are made of."""
    made = "" if vae.log_mel is None else f" (a spectrogram made of {vae.log_mel.description})"
    return f"{kind_of(vae.data).description(vae.data_shape)}{made}"
