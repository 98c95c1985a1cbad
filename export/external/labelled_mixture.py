"""A mixture of Gaussians for each label, in one network: what belongs to another label has the probability 0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pocketvae.errors import InternalError
from pocketvae.export.external.labels import LabelledLatents
from pocketvae.export.external.mixture import DoubleArray, Labels, Mixture, fit_mixture
from pocketvae.keras.mixtures import build_weighted_mixture


@dataclass(frozen=True, kw_only=True)
class LabelledMixture:
    """A mixture for each of L labels.

    Attributes:
        mixtures: All that a label has.
        of_label: `[L]`, the place of each label's among them.
        sharing: How many labels have the mixture of all labels together.
    """

    mixtures: tuple[Mixture, ...]
    of_label: tuple[int, ...]
    sharing: int

    @property
    def takes_label(self) -> bool:
        """True: samples and densities are those of a label."""
        return True

    @property
    def description(self) -> str:
        """What it is, in words."""
        counts = sorted(len(mixture.weights) for mixture in self.mixtures)
        each = f"{counts[0]} to {counts[-1]}" if counts[0] < counts[-1] else str(counts[0])
        forms = " or ".join(sorted({"full" if mixture.is_full else "diagonal" for mixture in self.mixtures}))
        shared = f", for {self.sharing} of {len(self.of_label)} labels those of all labels" if self.sharing else ""
        return f"{each} Gaussian{'s' if counts[-1] > 1 else ''} with {forms} covariance for each label{shared}"

    def build(self, shape: tuple[int, ...]) -> Any:
        """Returns the sampling model: `eps [N, D + 1], label [N] int32 -> z [N, *shape]`."""
        ends = np.cumsum([len(mixture.weights) for mixture in self.mixtures])
        weights = np.zeros((len(self.of_label), ends[-1]))
        for row, place in zip(weights, self.of_label, strict=True):
            row[ends[place] - len(self.mixtures[place].weights) : ends[place]] = self.mixtures[place].weights
        is_full = any(mixture.is_full for mixture in self.mixtures)
        factors = np.concatenate([_square(mixture) if is_full else mixture.factors for mixture in self.mixtures])
        means = np.concatenate([mixture.means for mixture in self.mixtures])
        return build_weighted_mixture(weights, means.astype(np.float32), factors.astype(np.float32), shape)

    def log_density(self, z: DoubleArray, labels: Labels | None = None) -> DoubleArray:
        """Returns log p(z|label) in nats, `[N]`, of latents `[N, D]` with labels `[N]`."""
        return self._by_mixture(labels, (), lambda mixture, chosen: mixture.log_density(z[chosen]))

    def sample(self, count: int, rng: np.random.Generator, labels: Labels | None = None) -> DoubleArray:
        """Returns `[count, D]` latents of labels `[count]`."""
        shape = self.mixtures[0].means.shape[1:]
        return self._by_mixture(labels, shape, lambda mixture, chosen: mixture.sample(int(chosen.sum()), rng))

    def _by_mixture(self, labels: Labels | None, shape: tuple[int, ...], compute: Any) -> DoubleArray:
        if labels is None:
            raise InternalError("a mixture for each label needs labels")
        places = np.asarray(self.of_label)[labels]
        found = np.empty((len(places), *shape))
        for place in np.unique(places):
            chosen = places == place
            found[chosen] = compute(self.mixtures[place], chosen)
        return found


def _square(mixture: Mixture) -> DoubleArray:
    """Returns factors `[K, D, D]` of any mixture."""
    if mixture.is_full:
        return mixture.factors
    squares: DoubleArray = mixture.factors[:, :, None] * np.eye(mixture.factors.shape[1])
    return squares


def fit_labelled_mixture(train: LabelledLatents, validation: LabelledLatents, seed: int) -> LabelledMixture | Mixture:
    """Fits a mixture to the latents of each label, see `fit_mixture`.

    A label of too few latents, or whose other latents are likelier under the mixture of all labels, has that one.

    Args:
        train: To fit to.
        validation: Others, which choose among the fits.
        seed: Of the clusters that EM starts from.

    Returns:
        The mixture of all labels if every label has it.

    Raises:
        TargetError: scikit-learn is not installed.
    """
    common = fit_mixture(train.latents, validation.latents, seed)
    own = {
        label: mixture for label in sorted(train.frequent) if (mixture := _own(label, train, validation, seed, common))
    }
    if not own:
        return common
    sharing = train.label_count - len(own)
    mixtures = [*([common] if sharing else []), *own.values()]
    places = {label: place for place, label in enumerate(own, len(mixtures) - len(own))}
    of_label = tuple(places.get(label, 0) for label in range(train.label_count))
    return LabelledMixture(mixtures=tuple(mixtures), of_label=of_label, sharing=sharing)


def _own(label: int, train: LabelledLatents, validation: LabelledLatents, seed: int, common: Mixture) -> Mixture | None:
    """Returns a label's own mixture if other latents of the label are likelier under it than under that of all."""
    others = validation.of(label)
    if not len(others):
        return None
    own = fit_mixture(train.of(label), others, seed)
    return own if own.log_density(others).mean() > common.log_density(others).mean() else None
