"""The kind of data of a VAE."""

from __future__ import annotations

from collections.abc import Mapping

from pocketvae.kinds.base import Kind
from pocketvae.kinds.images import Images
from pocketvae.kinds.sequences import Sequences
from pocketvae.kinds.vectors import Vectors
from pocketvae.kinds.volumes import Volumes
from pocketvae.outputs import Output
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


def deviation(output: Output, share: float) -> str:
    """Returns a deviation of an output as text: in grey steps of an image, else as a share of its range.

    Args:
        output: The output.
        share: Of its span.
    """
    kind = _KINDS[output.data]
    is_shaped_alike = output.data is DataKind.IMAGE and not output.is_picture
    return Kind.deviation(kind, share) if is_shaped_alike else kind.deviation(share)


def described(vae: VaeSpec) -> str:
    """Returns what a VAE's data are: the kind and the shape, and for spectrograms what they are made of."""
    made = "" if vae.log_mel is None else f" (a spectrogram made of {vae.log_mel.description})"
    return f"{kind_of(vae.data).description(vae.data_shape)}{made}"
