"""A prior for user-supplied models that have none: what is asked of the process that fits it, and what comes back."""

from __future__ import annotations

import enum
import importlib.util
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pocketvae.data.window_values import value_blocks
from pocketvae.errors import SpecError, missing_package
from pocketvae.export.external.data import Splits
from pocketvae.export.external.labels import LEAST_OF_A_LABEL
from pocketvae.keras.custom_code import NO_CUSTOM_CODE, CustomCode
from pocketvae.keras.model_form import ModelForm
from pocketvae.vae_spec import PriorKind, VaeSpec

# The method of the process that fits priors: takes `FittingRequest` and returns `FittedPrior`.
FIT = "fit"
# More fit no better, and take longer to encode.
_MOST_ITEMS, _MOST_TEST_ITEMS = 20_000, 4000
_MOST_VALUES = 20_000_000
# Of the variance of latents; that of latents that ignore the label is below 1 % with hundreds of items.
_MOST_BETWEEN_LABELS = 0.1
_MOST_SHOWN_LABELS = 12


class PriorFit(enum.StrEnum):
    """What is fitted to the latents: GMM, a mixture of Gaussians, or FLOW, a RealNVP flow."""

    GMM = "gmm"
    FLOW = "flow"

    @property
    def kind(self) -> PriorKind:
        """The prior that it becomes."""
        return PriorKind.MIXTURE if self is PriorFit.GMM else PriorKind.REALNVP


# The largest latent, whose file stays small and whose fit takes minutes at most, and the fewest items.
_LIMITS = {PriorFit.GMM: (4096, 200), PriorFit.FLOW: (512, 1000)}


@dataclass(frozen=True, kw_only=True)
class FittingRequest:
    """What to fit to.

    Attributes:
        fit: What to fit.
        vae: The interface of the model.
        encoder: The original encoder.
        form: How it is called.
        code: Which custom code may run.
        data: `.npz` with `train`, `train_labels`, `test` and `test_labels`, as they are read.
        seed: Of the latents that are drawn, and of the fit.
        out: Where the prior is written, as a `.keras` file.
    """

    fit: PriorFit
    vae: VaeSpec
    encoder: str
    form: ModelForm
    code: CustomCode = NO_CUSTOM_CODE
    data: str
    seed: int
    out: str


@dataclass(frozen=True, kw_only=True)
class Quality:
    """How well a prior fits held-out latents.

    Attributes:
        log_likelihood_nats: Their mean log-density.
        mmd_squared: MMD² between them and as many samples of the prior; None for a single latent.
    """

    log_likelihood_nats: float
    mmd_squared: float | None

    @property
    def text(self) -> str:
        """The figures."""
        return f"{self.log_likelihood_nats:.2f} nats{_mmd_text(self)}"


def _mmd_text(*found: Quality) -> str:
    """Returns MMD² of one quality, or of one after another."""
    values = [f"{quality.mmd_squared:.2g}" for quality in found if quality.mmd_squared is not None]
    return f", MMD² {' to '.join(values)}" if values else ""


@dataclass(frozen=True, kw_only=True)
class LabelGain:
    """What a fit gains for one label.

    Attributes:
        label: The label.
        count: Held-out latents.
        standard: How well N(0, I) fits them; MMD² with their own median distance as the bandwidth.
        fitted: How well the fitted prior does, given the label if it takes it.
    """

    label: int
    count: int
    standard: Quality
    fitted: Quality

    @property
    def text(self) -> str:
        """The figures."""
        nats = f"{self.standard.log_likelihood_nats:.2f} to {self.fitted.log_likelihood_nats:.2f} nats"
        return f"{self.label}: {nats}{_mmd_text(self.standard, self.fitted)} ({self.count})"

    @property
    def gained_nats(self) -> float:
        """How much likelier the fitted prior makes them."""
        return self.fitted.log_likelihood_nats - self.standard.log_likelihood_nats


@dataclass(frozen=True, kw_only=True)
class FittedPrior:
    """A prior that was fitted.

    Attributes:
        description: What it is, in words.
        train_count: Latents that it was fitted to.
        test_count: Held-out latents.
        bandwidth: Of the kernel of MMD: their median distance.
        standard: Of N(0, I).
        fitted: Of the fitted prior.
        label_share: Of the variance of the latents, between labels; 0 without labels.
        takes_label: Whether it is p(z|label).
        by_label: What it gains for each label with held-out latents.
    """

    description: str
    train_count: int
    test_count: int
    bandwidth: float
    standard: Quality
    fitted: Quality
    label_share: float = 0.0
    takes_label: bool = False
    by_label: tuple[LabelGain, ...] = ()

    @property
    def doubt(self) -> str:
        """What speaks against the prior, as a sentence; empty if nothing does."""
        if self.takes_label or self.label_share <= _MOST_BETWEEN_LABELS:
            return ""
        return (
            f"the latents depend on the label ({100 * self.label_share:.0f} % of their variance lies between labels), "
            f"but the fitted prior is one for all labels, of which none has {LEAST_OF_A_LABEL} items to fit to and a "
            f"likelier prior of its own: what is drawn with a label may show another"
        )

    @property
    def gain(self) -> str:
        """What the fit gains, in a sentence."""
        return (
            f"{self.test_count} held-out latents: {self.standard.text} under N(0, I); {self.fitted.text} under the "
            f"fitted prior (MMD² with a Gaussian kernel of bandwidth {self.bandwidth:.3g}, their median distance)"
        )

    @property
    def gain_by_label(self) -> str:
        """What the fit gains for each label; of many, for those with the least gain. Empty without labels."""
        least = sorted(self.by_label, key=lambda item: item.gained_nats)[:_MOST_SHOWN_LABELS]
        shown = ", ".join(item.text for item in sorted(least, key=lambda item: item.label))
        rest = len(self.by_label) - len(least)
        more = f"; {rest} other labels gain more" if rest else ""
        return f"from N(0, I) to the fitted prior (held-out latents): {shown}{more}" if shown else ""


def check_installed(fit: PriorFit) -> None:
    """Checks, before anything is loaded, that what fits a prior is installed.

    Raises:
        TargetError: scikit-learn is not.
    """
    if fit is PriorFit.GMM and importlib.util.find_spec("sklearn") is None:
        raise missing_package("sklearn", "export")


def check_fit(fit: PriorFit, vae: VaeSpec, splits: Splits) -> None:
    """Checks, before anything is encoded, that a prior can be fitted.

    Raises:
        SpecError: the latent is too large, of integer codes or not one tensor, or there are too few items.
    """
    if vae.codes:
        raise SpecError("--fit-prior fits a prior of real numbers, but this decoder takes integer codes: leave it out")
    if len(vae.latents) > 1:
        raise SpecError(f"--fit-prior fits the prior of one latent, but this decoder takes {len(vae.latents)}")
    largest, least = _LIMITS[fit]
    if vae.latent_dim > largest:
        raise SpecError(f"--fit-prior {fit} takes latents of at most {largest} values, got {vae.latent_dim}")
    if fit is PriorFit.FLOW and vae.latent_dim % 2:
        raise SpecError(f"--fit-prior flow needs an even number of latent dimensions, got {vae.latent_dim}: use gmm")
    if len(splits.train) < least:
        raise SpecError(
            f"--fit-prior {fit} needs at least {least} items to fit to, got {len(splits.train)} in {splits.name} "
            f"beside those that are held out"
        )
    first = splits.train.items[0]
    if all((block == first).all() for _, block in value_blocks(splits.train.items)):
        raise SpecError(
            f"--fit-prior {fit} needs items that differ, but all {len(splits.train)} of {splits.name} to fit to are "
            f"the same"
        )


def write_items(splits: Splits, path: Path, seed: int, latent_dim: int) -> None:
    """Writes the items to encode, at most 20,000 and 4,000 held-out ones, and fewer where a latent is large."""
    rng = np.random.default_rng(seed)
    most = min(_MOST_ITEMS, _MOST_VALUES // latent_dim)
    train, test = splits.train.some(most, rng), splits.test.some(min(most, _MOST_TEST_ITEMS), rng)
    np.savez(
        path,
        allow_pickle=False,
        train=train.items,
        train_labels=train.labels_or_zeros(),
        test=test.items,
        test_labels=test.labels_or_zeros(),
    )
