"""The training configuration: every setting, checked when it is constructed."""

from __future__ import annotations

import enum
import json
import math
from dataclasses import asdict, dataclass
from typing import Any

from pocketvae.errors import SpecError
from pocketvae.fields import LogMel
from pocketvae.parsing import shortened
from pocketvae.train.ranges import MOST, MOST_UNITS, NOT_NEGATIVE
from pocketvae.vae_spec import DataKind, Likelihood, PriorKind


class Architecture(enum.StrEnum):
    """The kind of encoder and decoder.

    CONV: plain stride-2 convolutions. RESIDUAL: the same with residual blocks between them. MLP: gated dense layers
    (Tomczak and Welling 2018, section 5). DENSE: plain dense layers with ReLU, which cost half as much.
    """

    CONV = "conv"
    RESIDUAL = "residual"
    MLP = "mlp"
    DENSE = "dense"

    @property
    def is_dense(self) -> bool:
        """Whether it has dense layers alone."""
        return self in (Architecture.MLP, Architecture.DENSE)


class Activation(enum.StrEnum):
    """The nonlinearity of convolutional and plain dense networks.

    RELU: max(0, x), or ReLU6 in networks for 8 bits. SILU: x * sigmoid(x) (Elfwing et al. 2018; Ramachandran et al.
    2017 as Swish), which is smooth, and of two operators in exported files.
    """

    RELU = "relu"
    SILU = "silu"


class Objective(enum.StrEnum):
    """What training maximizes.

    ELBO: the evidence lower bound (Kingma and Welling 2014). IWAE: the bound of `importance_samples` samples, which is
    closer to log p(x) (Burda et al. 2016).
    """

    ELBO = "elbo"
    IWAE = "iwae"


class Binarization(enum.StrEnum):
    """How grey values become binary pixels.

    DYNAMIC redraws at every use, STATIC draws once for the whole run. Results of the two cannot be compared: they
    differ by about two nats on MNIST.
    """

    DYNAMIC = "dynamic"
    STATIC = "static"


class Schedule(enum.StrEnum):
    """How the learning rate goes from its highest value to its final fraction after the warm-up."""

    COSINE = "cosine"
    LINEAR = "linear"
    CONSTANT = "constant"


class Optimizer(enum.StrEnum):
    """What turns gradients into steps."""

    ADAM = "adam"
    MUON = "muon"


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Everything that decides how a VAE is built and trained, apart from the data.

    Attributes:
        architecture: Kind of network.
        latent_dim: Number of latent dimensions that have no place in the image; D where there are no latent maps.
        latent_maps: Channels of a map of latents behind each stage, outermost first; 0 for none.
        channels: Filters of each stride-2 stage of a convolutional encoder, outermost first; the decoder mirrors them.
        blocks: Residual blocks of each stage.
        activation: Nonlinearity of all networks but gated dense layers.
        hidden_units: Width of the dense layers.
        hidden_layers: Dense layers of an MLP or DENSE network.
        data: Kind of data: images, sequences or vectors.
        window: T, time steps of a window of recordings, or of sequences in arrays.
        stride: Time steps from the beginning of a window to that of the next; 0 for windows that do not overlap.
        columns: Which columns of tables are used; all but the time where none are named.
        truth: Which column of recordings in tables is 1 where a time step is an anomaly; it is no channel, and windows
            that hold an anomaly are left out. Empty for none.
        fill_gaps: Time steps of the longest run of missing values in recordings that is filled in by a straight line;
            0 refuses them.
        mel_bands: Bands of a log-mel spectrogram that encoders make of samples; 0 for windows as they are.
        frame: Samples of a frame of the spectrogram, a multiple of `hop`.
        hop: Samples from one frame to the next; `window` is a multiple of it.
        low_hz: Where the first band begins.
        high_hz: Where the last band ends; 0 for half the rate.
        categories: Columns of tables that are categories although they hold numbers.
        resize: Scale all images to this height and width; 0 keeps their own.
        validation_images: Images for validation at most, the others are learned from; 0 for all that the source has.
        conditional: Give encoder and decoder the label of every image.
        mirror: Mirror half of the training images, left to right.
        shift_pixels: Move training images by up to so many rows and columns.
        zoom: Scale the drawing in training images by a factor within 1 +- this.
        augmented_epochs: Epochs whose images are mirrored, moved and scaled, before those as they are; 0 for all.
        likelihood: p(x|z).
        degrees_of_freedom: Of the Student's t likelihood; 0 fits them.
        binarization: How grey values are binarized for the Bernoulli likelihood.
        prior: p(z).
        components: Components of a mixture or VampPrior.
        couplings: Affine coupling layers of a RealNVP prior.
        coupling_units: Width of the two hidden layers of each coupling.
        refit_components: Components of a mixture that takes the prior's place when training has ended, see
            `pocketvae.train.refitting`; 0 keeps the prior.
        objective: What to maximize.
        importance_samples: K of the IWAE bound.
        importance_warmup_epochs: Epochs with one sample before those of K, which cost more.
        doubly_reparameterized: Take its gradient without the posterior's score, see `pocketvae.train.objective`.
        beta: Weight of the KL divergence (Higgins et al. 2017).
        kl_warmup_epochs: Epochs over which that weight rises linearly from 0 (Sonderby et al. 2016).
        free_bits_nats: KL per latent dimension, averaged over the batch, below which there is no penalty (Kingma et al.
            2016, appendix C.8).
        epochs: Passes over the training images.
        batch_size: Images in one optimizer step, over all workers.
        optimizer: What turns gradients into steps, see `pocketvae.train.optimizer`.
        learning_rate: Highest rate, reached after the warm-up.
        schedule: Learning-rate schedule.
        warmup_steps: Steps of linear warm-up.
        final_rate_fraction: The schedule ends at this fraction of `learning_rate`.
        max_gradient_norm: Gradients are scaled down to this global norm.
        weight_decay: Every step scales kernels by 1 - learning rate * this (Loshchilov and Hutter 2019).
        ema_decay: Decay of the exponential moving average of the weights that is evaluated and exported; 0 for none.
        patience_epochs: Stop when the validation ELBO has not improved for so many epochs; 0 for never.
        checkpoint_steps: Steps between checkpoints, besides the one after every epoch; 0 for none.
        jit_compile: Compile the step with XLA.
        threads: Threads used by one operation; 0 for one per core.
        quantization_friendly: Bound activations to [0, 6] and hold the logits of Bernoulli pixels within +-9, so that 8
            bits lose less.
        onednn: Use oneDNN's operations, see `pocketvae.keras.io.import_tensorflow`.
        bfloat16: Multiply in bfloat16 in training steps, see `pocketvae.train.mixed_precision`.
        seed: Determines initial weights, batches, binarization and latent noise.

    Raises:
        SpecError: a value is out of range, or two contradict each other.
    """

    architecture: Architecture = Architecture.CONV
    latent_dim: int = 16
    latent_maps: tuple[int, ...] = ()
    channels: tuple[int, ...] = (16, 32)
    blocks: int = 0
    activation: Activation = Activation.RELU
    hidden_units: int = 256
    hidden_layers: int = 1
    data: DataKind = DataKind.IMAGE
    window: int = 0
    stride: int = 0
    columns: tuple[str, ...] = ()
    truth: str = ""
    fill_gaps: int = 0
    mel_bands: int = 0
    frame: int = 0
    hop: int = 0
    low_hz: float = 0.0
    high_hz: float = 0.0
    categories: tuple[str, ...] = ()
    resize: int = 0
    validation_images: int = 0
    conditional: bool = False
    mirror: bool = False
    shift_pixels: int = 0
    zoom: float = 0.0
    augmented_epochs: int = 0
    likelihood: Likelihood = Likelihood.BERNOULLI
    degrees_of_freedom: float = 0.0
    binarization: Binarization = Binarization.DYNAMIC
    prior: PriorKind = PriorKind.STANDARD
    components: int = 0
    couplings: int = 0
    coupling_units: int = 0
    refit_components: int = 0
    objective: Objective = Objective.ELBO
    importance_samples: int = 1
    importance_warmup_epochs: int = 0
    doubly_reparameterized: bool = False
    beta: float = 1.0
    kl_warmup_epochs: int = 0
    free_bits_nats: float = 0.0
    epochs: int = 6
    batch_size: int = 64
    optimizer: Optimizer = Optimizer.ADAM
    learning_rate: float = 2e-3
    schedule: Schedule = Schedule.COSINE
    warmup_steps: int = 200
    final_rate_fraction: float = 0.01
    max_gradient_norm: float = 200.0
    weight_decay: float = 0.0
    ema_decay: float = 0.0
    patience_epochs: int = 0
    checkpoint_steps: int = 0
    jit_compile: bool = False
    threads: int = 0
    quantization_friendly: bool = False
    onednn: bool = False
    bfloat16: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        self._check_ranges()
        self._check_data()
        self._check_networks()
        self._check_objective()

    @property
    def image_size(self) -> tuple[int, int] | None:
        """Height and width that images are scaled to; None if they keep their own."""
        return (self.resize, self.resize) if self.resize else None

    @property
    def is_remapped(self) -> bool:
        """Whether TensorFlow's remapper can fuse layers; with oneDNN it fails on a sum that a ReLU and a sum read."""
        return not (self.onednn and self.blocks > 1 and self.activation is Activation.RELU)

    @property
    def is_augmented(self) -> bool:
        """Whether training images are changed at random."""
        return self.mirror or self.shift_pixels > 0 or self.zoom > 0

    def log_mel(self, rate_hz: float) -> LogMel:
        """Returns the front end for sounds of `rate_hz` samples in a second.

        Raises:
            SpecError: frames do not fill a window, or the bands do not fit the rate.
        """
        return LogMel(
            rate_hz=rate_hz,
            samples=self.window,
            frame=self.frame,
            hop=self.hop,
            bands=self.mel_bands,
            low_hz=self.low_hz,
            high_hz=self.high_hz or rate_hz / 2,
        )

    def as_dict(self) -> dict[str, Any]:
        """Returns every value by name."""
        return asdict(self)

    def as_json(self) -> dict[str, Any]:
        """Returns the same as plain JSON values, as in documents: lists for tuples, strings for choices."""
        values: dict[str, Any] = json.loads(json.dumps(self.as_dict()))
        return values

    def _check_ranges(self) -> None:
        for name in ("latent_dim", "hidden_units", "hidden_layers", "epochs", "batch_size", "importance_samples"):
            _check(getattr(self, name) >= 1, name, "at least 1", getattr(self, name))
        for name, most in MOST.items():
            _check(getattr(self, name) <= most, name, f"at most {most}", getattr(self, name))
        for name in NOT_NEGATIVE:
            _check(getattr(self, name) >= 0, name, "at least 0", getattr(self, name))
        # So deep, the layers of a component still find a seed among its first 100, but for maps of latents.
        _check(self.hidden_layers <= 40, "hidden_layers", "at most 40", self.hidden_layers)
        _check(self.blocks <= 15, "blocks", "at most 15", self.blocks)
        _check(
            len(self.channels) <= 6 and all(size >= 1 for size in self.channels),
            "channels",
            "at most 6 positive sizes",
            self.channels,
        )
        _check(max(self.channels, default=0) <= MOST_UNITS, "channels", f"at most {MOST_UNITS} each", self.channels)
        for name in ("learning_rate", "max_gradient_norm", "beta"):
            value = getattr(self, name)
            _check(value > 0 and math.isfinite(value), name, "positive and finite", value)
        _check(math.isfinite(self.free_bits_nats), "free_bits_nats", "finite", self.free_bits_nats)
        _check(0 <= self.final_rate_fraction <= 1, "final_rate_fraction", "between 0 and 1", self.final_rate_fraction)
        _check(0 <= self.zoom < 1, "zoom", "at least 0 and below 1", self.zoom)
        # Above it, a step would turn the sign of kernels.
        fits = 0 <= self.weight_decay * self.learning_rate < 1
        _check(fits, "weight_decay", "at least 0 and below 1 / learning_rate", self.weight_decay)
        _check(0 <= self.ema_decay < 1, "ema_decay", "at least 0 and below 1", self.ema_decay)
        _check(0 <= self.seed < 2**31, "seed", "between 0 and 2147483647", self.seed)

    def _check_data(self) -> None:
        image, sequence = self.data is DataKind.IMAGE, self.data is DataKind.SEQUENCE
        other = f"data = '{self.data}'"
        _check(self.data is not DataKind.VOLUME, "data", "image, sequence or vector", str(self.data))
        _check(not sequence or self.window >= 1, "window", "at least 1 for sequences", self.window)
        for name in ("window", "stride", "fill_gaps"):
            _refuse(not sequence and getattr(self, name) > 0, name, other, "0")
        _refuse(image and bool(self.columns), "columns", other, "[]")
        _refuse(not sequence and bool(self.truth), "truth", other, "''")
        _check(self.truth not in self.columns or not self.truth, "truth", "none of the columns", self.truth)
        _refuse(self.data is not DataKind.VECTOR and bool(self.categories), "categories", other, "[]")
        for name in ("resize", "validation_images", "shift_pixels", "zoom"):
            _refuse(not image and getattr(self, name) > 0, name, other, "0")
        _refuse(not image and self.mirror, "mirror", other, "false")
        _refuse(
            not self.is_augmented and self.augmented_epochs > 0,
            "augmented_epochs",
            "neither mirror, shift_pixels nor zoom",
            "0",
        )
        _refuse(not sequence and self.mel_bands > 0, "mel_bands", other, "0")
        framed = not self.mel_bands or self.frame >= self.hop >= 1
        _check(framed, "frame", "at least hop, and hop at least 1", (self.frame, self.hop))
        for name in ("frame", "hop", "low_hz", "high_hz"):
            _refuse(not self.mel_bands and getattr(self, name) > 0, name, "mel_bands = 0", "0")
        likelihoods = _LIKELIHOODS_OF_IMAGES if image else _LIKELIHOODS_OF_VALUES
        known = f"{', '.join(likelihoods[:-1])} or {likelihoods[-1]} for {self.data}s"
        _check(self.likelihood in likelihoods, "likelihood", known, str(self.likelihood))
        _check(self.data is not DataKind.VECTOR or self.architecture.is_dense, "architecture", "mlp or dense", other)
        _check(image or self.prior is not PriorKind.VAMP, "prior", "standard, mixture or realnvp for such data", other)
        fits = self.likelihood is Likelihood.STUDENT_T
        _refuse(
            not fits and self.degrees_of_freedom > 0, "degrees_of_freedom", f"likelihood = '{self.likelihood}'", "0"
        )

    def _check_networks(self) -> None:
        mlp, dense = self.architecture is Architecture.MLP, self.architecture.is_dense
        _check(dense or len(self.channels) >= 1, "channels", "at least one size for a convolutional network", [])
        _refuse(dense and bool(self.channels), "channels", f"architecture = '{self.architecture}'", "[]")
        _refuse(not dense and self.hidden_layers > 1, "hidden_layers", f"architecture = '{self.architecture}'", "1")
        muon = self.optimizer is Optimizer.MUON
        _refuse(dense and muon, "optimizer", f"architecture = '{self.architecture}'", "'adam'")
        silu = self.activation is Activation.SILU
        _refuse(mlp and silu, "activation", "architecture = 'mlp'", "'relu'")
        _refuse(mlp and self.quantization_friendly, "quantization_friendly", "architecture = 'mlp'", "false")
        _check(
            not silu or not self.quantization_friendly, "activation", "relu for quantization_friendly networks", "silu"
        )
        residual = self.architecture is Architecture.RESIDUAL
        _refuse(not residual and self.blocks > 0, "blocks", f"architecture = '{self.architecture}'", "0")
        self._check_latent_maps()
        mixture, flow = self.prior.is_mixture, self.prior is PriorKind.REALNVP
        _refuse(not mixture and self.components > 0, "components", f"prior = '{self.prior}'", "0")
        _check(not mixture or self.components >= 1, "components", f"at least 1 for a {self.prior} prior", 0)
        _refuse(self.prior is PriorKind.VAMP and self.conditional, "conditional", "prior = 'vamp'", "false")
        for name in ("couplings", "coupling_units"):
            value = getattr(self, name)
            _refuse(not flow and value > 0, name, f"prior = '{self.prior}'", "0")
            _check(not flow or value >= 1, name, "at least 1 for a realnvp prior", value)
        halved = not flow or bool(self.latent_maps) or self.latent_dim % 2 == 0
        _check(halved, "latent_dim", "even for a realnvp prior", self.latent_dim)

    def _check_latent_maps(self) -> None:
        maps, stages = self.latent_maps, len(self.channels)
        _refuse(self.architecture.is_dense and bool(maps), "latent_maps", f"architecture = '{self.architecture}'", "[]")
        fits = not maps or (len(maps) == stages and min(maps) >= 0 and 0 < max(maps) <= MOST_UNITS)
        _check(fits, "latent_maps", f"{stages} sizes, one for each of channels, not all 0", maps)

    def _check_objective(self) -> None:
        iwae = self.objective is Objective.IWAE
        _refuse(not iwae and self.importance_samples > 1, "importance_samples", "objective = 'elbo'", "1")
        weighted = self.importance_samples > 1
        _refuse(
            not weighted and self.importance_warmup_epochs > 0,
            "importance_warmup_epochs",
            "importance_samples = 1",
            "0",
        )
        _refuse(not iwae and self.doubly_reparameterized, "doubly_reparameterized", "objective = 'elbo'", "false")
        _refuse(iwae and self.beta != 1.0, "beta", "objective = 'iwae'", "1")
        _refuse(iwae and self.kl_warmup_epochs > 0, "kl_warmup_epochs", "objective = 'iwae'", "0")
        _check(self.prior is not PriorKind.UNIFORM, "prior", "standard, mixture, vamp or realnvp", str(self.prior))
        free, analytic = self.free_bits_nats > 0, self.prior is PriorKind.STANDARD and not iwae
        _check(not free or analytic, "free_bits_nats", "0, but for the ELBO with a standard prior", self.free_bits_nats)
        static = self.binarization is Binarization.STATIC
        binary = self.likelihood is Likelihood.BERNOULLI
        _refuse(static and not binary, "binarization", f"likelihood = '{self.likelihood}'", "'dynamic'")
        constant, usual = self.schedule is Schedule.CONSTANT, type(self).final_rate_fraction
        changed = self.final_rate_fraction != usual
        _refuse(constant and changed, "final_rate_fraction", "schedule = 'constant'", str(usual))
        _check(not self.bfloat16 or self.onednn, "bfloat16", "false without onednn = true", "true")
        _refuse(self.bfloat16 and self.jit_compile, "bfloat16", "jit_compile = true", "false")


_LIKELIHOODS_OF_IMAGES = (Likelihood.BERNOULLI, Likelihood.GAUSSIAN, Likelihood.DISCRETIZED_LOGISTIC)
_LIKELIHOODS_OF_VALUES = (Likelihood.GAUSSIAN, Likelihood.STUDENT_T, Likelihood.MIXED)


def _check(holds: bool, name: str, must_be: str, value: object) -> None:
    if not holds:
        shown = list(value) if isinstance(value, tuple) else value  # As it is written in a configuration.
        raise SpecError(f"{name} must be {must_be}, got {shortened(shown)}")


def _refuse(contradicts: bool, name: str, other: str, neutral: str) -> None:
    if contradicts:
        raise SpecError(f"{name} has no effect with {other}: set {name} = {neutral}")
