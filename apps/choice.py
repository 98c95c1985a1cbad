"""Which of a bundle's artifacts to use."""

from __future__ import annotations

from dataclasses import dataclass

from pocketvae.models.components import Decoder, Encoder, Generator
from pocketvae.models.model_bundle import ModelBundle
from pocketvae.spec import Format, Precision
from pocketvae.system.limits import check_threads


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Precision, format and threads of the models that are used.

    Attributes:
        precision: Precision of encoder and decoder.
        format: None for the first format that the bundle has and this machine can run.
        num_threads: Threads used by one call.

    Raises:
        SpecError: `num_threads` is below 1 or above four for each core.
    """

    precision: Precision = Precision.FLOAT32
    format: Format | None = None
    num_threads: int = 1

    def __post_init__(self) -> None:
        check_threads(self.num_threads)

    def encoder(self, bundle: ModelBundle) -> Encoder:
        """Returns the chosen encoder."""
        return bundle.encoder(self.precision, self.format, num_threads=self.num_threads)

    def generator(self, bundle: ModelBundle) -> Generator:
        """Returns the chosen generator."""
        return bundle.generator(self.precision, self.format, num_threads=self.num_threads)

    def decoder(self, bundle: ModelBundle) -> Decoder:
        """Returns the chosen decoder."""
        return bundle.decoder(self.precision, self.format, num_threads=self.num_threads)
