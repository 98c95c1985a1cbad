"""What a VAE can be: kinds of data, likelihoods, priors, posteriors."""

from __future__ import annotations

import enum


class Likelihood(enum.StrEnum):
    """The distribution p(x|z) whose parameters the decoder computes.

    BERNOULLI: binary pixels; the decoder returns C logits per pixel. GAUSSIAN: one standard deviation shared by all
    pixels, or one for each channel of other data; the decoder returns C means. STUDENT_T: the same with heavier tails,
    for data with outliers. MIXED: each channel has the distribution of its kind, Gaussian, Bernoulli or categorical.
    DISCRETIZED_LOGISTIC: 256 pixel values; the decoder has two outputs, C means and C logarithms of scales per pixel.
    UNKNOWN: a user-supplied model; its decoder returns the image itself.
    """

    BERNOULLI = "bernoulli"
    GAUSSIAN = "gaussian"
    DISCRETIZED_LOGISTIC = "discretized_logistic"
    STUDENT_T = "student_t"
    MIXED = "mixed"
    UNKNOWN = "unknown"

    @property
    def decoder_outputs(self) -> int:
        """Number of outputs of a decoder, each in the shape of the image."""
        return 2 if self is Likelihood.DISCRETIZED_LOGISTIC else 1


class PriorKind(enum.StrEnum):
    """The distribution p(z).

    STANDARD: N(0, I) of real numbers; integer codes beside them are each equally likely. UNIFORM: of latents that all
    are codes, each equally likely. MIXTURE: diagonal Gaussians of equal weights, or with weights and full covariances
    where it was fitted to latents. VAMP: a mixture whose components are the posteriors of learned pseudo-inputs
    (Tomczak and Welling 2018). REALNVP: a flow of affine couplings (Dinh et al. 2017).
    """

    STANDARD = "standard"
    UNIFORM = "uniform"
    MIXTURE = "mixture"
    VAMP = "vamp"
    REALNVP = "realnvp"

    @property
    def is_learned(self) -> bool:
        """Whether it is a model of its own, which turns noise into latents."""
        return self not in (PriorKind.STANDARD, PriorKind.UNIFORM)

    @property
    def is_mixture(self) -> bool:
        """Whether sampling selects a component, which takes one more noise value than there are dimensions."""
        return self in (PriorKind.MIXTURE, PriorKind.VAMP)


class PosteriorKind(enum.StrEnum):
    """What an encoder computes: GAUSSIAN, mean and log-variance of q(z|x); or NONE, a latent alone.

    The encoder of a plain autoencoder has no posterior: its only output is named like a mean, `z_mean`. Nor has one of
    integer codes, whose only output is `z`. Of codes beside real numbers it is that of the real numbers.
    """

    GAUSSIAN = "gaussian"
    NONE = "none"


class DataKind(enum.StrEnum):
    """The kind of data that a VAE models; the value is also the name of a decoder's output.

    IMAGE: `[H, W, C]`, pixels from black to white. VECTOR: `[F]`, a row of a table or a curve. SEQUENCE: `[T, C]`, C
    channels over time. VOLUME: `[D, H, W, C]`, voxels.
    """

    IMAGE = "image"
    VECTOR = "vector"
    SEQUENCE = "sequence"
    VOLUME = "volume"

    @property
    def rank(self) -> int:
        """Number of dimensions of one item."""
        return {DataKind.IMAGE: 3, DataKind.VECTOR: 1, DataKind.SEQUENCE: 2, DataKind.VOLUME: 4}[self]

    @property
    def axes(self) -> str:
        """The dimensions of one item in words."""
        return {
            DataKind.IMAGE: "height, width, channels",
            DataKind.VECTOR: "values",
            DataKind.SEQUENCE: "time steps, channels",
            DataKind.VOLUME: "depth, height, width, channels",
        }[self]
