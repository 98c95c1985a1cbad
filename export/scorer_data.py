"""Whether there are the data that a scorer needs, before anything is made."""

from __future__ import annotations

from pocketvae.bundle.reference import held_out_count
from pocketvae.errors import SpecError
from pocketvae.export.config import ExportConfig
from pocketvae.export.subject import Subject
from pocketvae.kinds.registry import kind_of
from pocketvae.numerics.conformal import check_rate
from pocketvae.spec import Component

_MORE = "more data with --calibrate-scores DATA, or "


def check_through(config: ExportConfig, subject: Subject) -> None:
    """Checks that what takes data through encoder and decoder can be made.

    Raises:
        SpecError: a model or the data are missing, or the latent is integer codes.
        DataError: there are too few held-out items for the rate of false alarms.
    """
    asked = [component for component in config.components if component.takes_data_through]
    for component in asked:
        missing = [part for part in (Component.ENCODER, Component.DECODER) if part not in subject.models]
        if missing:
            raise SpecError(f"a {component} needs a model of the {missing[0]}: name it with --{missing[0]} FILE")
        if subject.vae.codes:
            raise SpecError(
                f"a {component} needs real numbers as latents, but those of this VAE are integer codes, which have no "
                f"likelihood: export encoder and decoder"
            )
    if Component.SCORER not in asked:
        return
    plural = kind_of(subject.vae.data).plural
    if subject.reference is None:
        raise SpecError(f"a scorer needs normal {plural} for its threshold: name them with --data SRC")
    check_rate(config.false_positive_rate, held_out_count(subject.reference), plural, _MORE)
