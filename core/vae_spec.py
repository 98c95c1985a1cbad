"""The interface of a VAE: what its parts take and return."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from pocketvae.errors import SpecError
from pocketvae.fields import Channel, ChannelKind, LogMel
from pocketvae.fields import Condition as Condition
from pocketvae.fields import ConditionKind as ConditionKind
from pocketvae.fields import DataKind as DataKind
from pocketvae.fields import Likelihood as Likelihood
from pocketvae.fields import PosteriorKind as PosteriorKind
from pocketvae.fields import PriorKind as PriorKind
from pocketvae.fields import class_label as class_label
from pocketvae.outputs import Output as Output
from pocketvae.spec import SEED_INPUTS, STRICT, Component, TensorSpec

# `numerics.noise.uniform_codes` multiplies 16 bits with this in an int32.
MOST_CODES = 32_768
# Names of other inputs and of outputs.
RESERVED = frozenset(
    {"x", "z", "eps", "seed", "index", "image", "z_mean", "z_log_var", "window", "score", "alarm", "contributions"}
)
# A scorer's input in the unit of a user's data, and its outputs.
WINDOW, SCORE, ALARM, CONTRIBUTIONS = "window", "score", "alarm", "contributions"
# Of samples of a sound.
FULL_SCALE = (-1.0, 1.0)
_WITH_CHANNELS = (DataKind.VECTOR, DataKind.SEQUENCE)
# An encoder's output has the name of its latent and one of these.
MEAN_ENDING, LOG_VAR_ENDING = "_mean", "_log_var"
# Names of the outputs that hold data; all others hold latents.
DATA_OUTPUTS = frozenset(str(kind) for kind in DataKind)


@dataclass(frozen=True, kw_only=True)
class Latent:
    """One latent tensor of a VAE, as its decoder takes it.

    Attributes:
        name: Name of the tensor: `z`, or the decoder's own name of it where there are several.
        shape: Without the batch: `(D,)`, spatial `(h, w, c)`, or any other.
        codes: How many integer codes there are, of which each value is the number of one; 0 for real numbers.

    Raises:
        SpecError: a dimension is not positive, or there are too many codes.
    """

    __pydantic_config__ = STRICT
    name: str = "z"
    shape: tuple[int, ...]
    codes: int = 0

    def __post_init__(self) -> None:
        if not self.shape or min(self.shape) < 1:
            raise SpecError(f"a latent must be positive in every dimension, got {list(self.shape)}")
        if not 0 <= self.codes <= MOST_CODES:
            raise SpecError(f"a latent must have at most {MOST_CODES} codes, got {self.codes}")

    @property
    def tensor(self) -> TensorSpec:
        """The input of an artifact."""
        return TensorSpec(name=self.name, dtype="int32" if self.codes else "float32", shape=(1, *self.shape))

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    def encoded(self, posterior: PosteriorKind) -> tuple[str, ...]:
        """Returns the names of an encoder's outputs for it: `z_mean` and `z_log_var` of `z`, or `z` itself of codes."""
        if self.codes:
            return (self.name,)
        mean, log_var = f"{self.name}{MEAN_ENDING}", f"{self.name}{LOG_VAR_ENDING}"
        return (mean,) if posterior is PosteriorKind.NONE else (mean, log_var)


def vector_latent(dim: int) -> tuple[Latent, ...]:
    """Returns the latents of a VAE that has a single vector `[dim]`."""
    return (Latent(shape=(dim,)),)


@dataclass(frozen=True, kw_only=True)
class VaeSpec:
    """The interface of a trained VAE.

    Attributes:
        data: The kind of data.
        data_shape: Of one item, see `DataKind`.
        latents: What the decoder takes, one after another; together they have D dimensions.
        likelihood: p(x|z); determines which head turns the decoder's outputs into an image.
        noise_scale: The Gaussian likelihood's standard deviation, for pixels in [0, 1]; None for the others.
        channels: The channels of sequences or columns of vectors, in the order of the last dimension; none where the
            model takes values in their own unit. Images have none.
        degrees_of_freedom: Of the Student's t likelihood; None for the others.
        rate_hz: Time steps in a second of sequences; None where unknown.
        log_mel: What makes spectrograms, the sequences that this VAE is of, of the samples that encoder, reconstructor
            and scorer take; None for all that take the data themselves.
        prior: p(z).
        prior_takes_label: Whether a learned prior is p(z|label): the prior and the sampler take the label too.
        posterior: q(z|x), or none.
        conditions: What the decoder, and mostly the encoder too, takes beside data and latent; none for an
            unconditional VAE.
        data_range: The lowest and highest value, of an image black and white; calibration and pictures use it.
        range_is_strict: Whether a value outside `data_range` fails.
        flat: The components whose image is a vector `[H * W * C]`, row by row, as in the original.
        more_outputs: What the decoder returns beside the data: its noise, other scales, other heads.

    Raises:
        SpecError: a dimension is not positive or the shape not of its kind, the range is empty, or an input or output
            has the name of another.
    """

    __pydantic_config__ = STRICT
    data: DataKind = DataKind.IMAGE
    data_shape: tuple[int, ...]
    latents: tuple[Latent, ...]
    likelihood: Likelihood = Likelihood.BERNOULLI
    noise_scale: float | None = None
    channels: tuple[Channel, ...] = ()
    degrees_of_freedom: float | None = None
    rate_hz: float | None = None
    log_mel: LogMel | None = None
    prior: PriorKind = PriorKind.STANDARD
    prior_takes_label: bool = False
    posterior: PosteriorKind = PosteriorKind.GAUSSIAN
    conditions: tuple[Condition, ...] = ()
    data_range: tuple[float, float] = (0.0, 1.0)
    range_is_strict: bool = True
    flat: tuple[Component, ...] = ()
    more_outputs: tuple[Output, ...] = ()

    def __post_init__(self) -> None:
        if self.data_range[0] >= self.data_range[1]:
            raise SpecError(f"data_range must be (low, high), got {self.data_range}")
        if len(self.data_shape) != self.data.rank or min(self.data_shape) < 1:
            raise SpecError(f"data_shape must be {self.data.axes}, each positive, got {list(self.data_shape)}")
        self._check_channels()
        names = [latent.name for latent in self.latents]
        if not names or len(set(names)) != len(names):
            raise SpecError(f"latents must have different names, got {names}")
        if self.codes and self.prior not in (PriorKind.STANDARD, PriorKind.UNIFORM):
            raise SpecError(f"the prior of integer codes must be uniform, got {self.prior}")
        if self.is_discrete is not (self.prior is PriorKind.UNIFORM):
            raise SpecError(
                f"the prior must be uniform if all latents are integer codes, else another, got {self.prior}"
            )
        if len(names) > 1 and (self.prior.is_learned or (RESERVED - {"z"}) & set(names)):
            raise SpecError(
                f"several latents must have names of their own and the prior standard (uniform of codes), got {names}"
            )
        if self.prior_takes_label and not (self.prior.is_learned and self.has_one_label):
            raise SpecError("a prior that takes a label must be a learned one of a VAE whose only condition is a label")
        inputs = [*names, *(condition.name for condition in self.conditions)]
        if len(set(inputs)) != len(inputs) or RESERVED & set(inputs[len(names) :]):
            raise SpecError(f"latents and conditions must have different names, got {inputs}")
        more = [output.name for output in self.more_outputs]
        if len({*inputs, *more}) != len(inputs) + len(more) or (RESERVED | DATA_OUTPUTS) & set(more):
            raise SpecError(f"more_outputs must have names that no other tensor has, got {more}")
        if more and self.likelihood.decoder_outputs > 1:
            raise SpecError(f"a decoder of the likelihood {self.likelihood} has no more outputs, got {more}")

    def _check_channels(self) -> None:
        width = sum(channel.width for channel in self.channels)
        if self.channels and (self.data not in _WITH_CHANNELS or width != self.data_shape[-1]):
            raise SpecError(
                f"channels must take the {self.data_shape[-1]} values of the last dimension of vectors or sequences, "
                f"got {width} of a VAE of {self.data}s"
            )
        is_mixed = self.likelihood is Likelihood.MIXED
        if any(channel.kind is not ChannelKind.REAL for channel in self.channels) and not is_mixed:
            raise SpecError(f"channels that are not real numbers need the likelihood mixed, got {self.likelihood}")
        if self.likelihood in (Likelihood.STUDENT_T, Likelihood.MIXED) and not self.channels:
            raise SpecError(f"the likelihood {self.likelihood} needs channels, got none")
        degrees = self.degrees_of_freedom
        if (degrees is not None) != (self.likelihood is Likelihood.STUDENT_T) or (degrees is not None and degrees <= 0):
            raise SpecError(
                f"degrees_of_freedom must be positive with the likelihood student_t and None with others, got {degrees}"
            )
        if self.rate_hz is not None and (self.data is not DataKind.SEQUENCE or self.rate_hz <= 0):
            raise SpecError(f"rate_hz must be positive, and of sequences alone, got {self.rate_hz} of {self.data}s")
        front = self.log_mel
        made = front and (DataKind.SEQUENCE, (front.frames, front.bands), front.bands)
        if made and made != (self.data, self.data_shape, len(self.channels)):
            raise SpecError(
                f"log_mel must make the data, sequences {list(self.data_shape)} with as many channels, got {made[1]}"
            )

    @property
    def encoder_conditions(self) -> tuple[Condition, ...]:
        """The conditions that the encoder takes."""
        return tuple(condition for condition in self.conditions if condition.encoded)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """`(height, width, channels)` of one image.

        Raises:
            SpecError: the data are not images.
        """
        if self.data is not DataKind.IMAGE:
            raise SpecError(f"this needs a VAE of images, but this one is of {self.data}s {list(self.data_shape)}")
        height, width, channels = self.data_shape
        return height, width, channels

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of one item as a user has it and an encoder takes it: `[T, 1]` samples of a sound, else `data_shape`."""
        return self.data_shape if self.log_mel is None else (self.log_mel.samples, 1)

    @property
    def input_rate_hz(self) -> float | None:
        """Time steps in a second of what a user has; None where unknown."""
        return self.rate_hz if self.log_mel is None else self.log_mel.rate_hz

    @property
    def input_range(self) -> tuple[float, float]:
        """The lowest and highest value of what an encoder takes: of samples full scale, else `data_range`."""
        return self.data_range if self.log_mel is None else FULL_SCALE

    @property
    def input_channels(self) -> tuple[Channel, ...]:
        """The channels of what a user has: samples are used as they are, so that of sounds there are none."""
        return self.channels if self.log_mel is None else ()

    @property
    def behind_front_end(self) -> VaeSpec:
        """The same VAE without the front end: its encoder takes spectrograms."""
        return self if self.log_mel is None else replace(self, log_mel=None)

    @property
    def output(self) -> str:
        """Name of the decoder's output, of several the one that holds the data."""
        return self.data.value

    @property
    def outputs(self) -> tuple[Output, ...]:
        """What the decoder returns: the data first, as an artifact does."""
        data = Output(
            name=self.output,
            data=self.data,
            shape=self.tensor_shape(Component.DECODER),
            data_range=self.data_range,
            range_is_strict=self.range_is_strict,
        )
        return (data, *self.more_outputs)

    @property
    def own_noise(self) -> Output | None:
        """The decoder's output that is the noise of p(x|z), for each value or for several; None without exactly one."""
        found = [output for output in self.more_outputs if output.meaning.is_noise]
        return found[0] if len(found) == 1 else None

    def output_of(self, name: str) -> Output | None:
        """Returns the decoder's output of a name; None where it has none."""
        return next((output for output in self.outputs if output.name == name), None)

    def span_of(self, name: str) -> float:
        """Returns the range that an output is made for, of a latent a standard deviation of 1."""
        output = self.output_of(name)
        return 1.0 if output is None else output.span

    @property
    def label_count(self) -> int:
        """Classes of the label of a VAE that has no other condition; 0 for every other VAE."""
        return self.conditions[0].count if self.has_one_label else 0

    @property
    def has_one_label(self) -> bool:
        """Whether a class label is the only condition."""
        return len(self.conditions) == 1 and self.conditions[0].is_label

    @property
    def codes(self) -> int:
        """How many integer codes there are for a value, at most if several latents are codes; 0 if none is."""
        return max(latent.codes for latent in self.latents)

    @property
    def is_discrete(self) -> bool:
        """Whether every latent is of integer codes."""
        return all(latent.codes for latent in self.latents)

    @property
    def continuous(self) -> tuple[Latent, ...]:
        """The latents of real numbers."""
        return tuple(latent for latent in self.latents if not latent.codes)

    @property
    def latent_dim(self) -> int:
        """D, the number of latent dimensions, all latents together."""
        return sum(latent.size for latent in self.latents)

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """Shape of the latents as one array without the batch: of the only one, or `(D,)` for several."""
        return self.latents[0].shape if len(self.latents) == 1 else (self.latent_dim,)

    @property
    def has_posterior(self) -> bool:
        """Whether its encoder returns the log-variance of q(z|x), of all that z is: integer codes have none."""
        return self.posterior is not PosteriorKind.NONE and not self.codes

    def check_posterior(self, command: str) -> None:
        """Checks that the latent can have posteriors.

        Raises:
            SpecError: it is, or has in it, integer codes.
        """
        if self.codes:
            which = "the latent" if self.is_discrete else "a latent"
            raise SpecError(
                f"{command} needs posteriors, but {which} of this VAE is integer codes, which have none: encode "
                f"writes the codes"
            )

    @property
    def eps_dim(self) -> int:
        """E, the number of standard normal values that the prior turns into one latent."""
        return self.latent_dim + 1 if self.prior.is_mixture else self.latent_dim

    @property
    def components(self) -> tuple[Component, ...]:
        """The components that this VAE was trained as, each a separate model."""
        parts = (Component.ENCODER, Component.DECODER)
        return (*parts, Component.PRIOR) if self.prior.is_learned else parts

    @property
    def exports(self) -> tuple[Component, ...]:
        """The components that are exported unless others are named: the trained ones, and those that make noise."""
        return (*self.components, Component.SAMPLER, Component.GENERATOR)

    @property
    def parts_of_score(self) -> int:
        """C, the number of channels that a score is made of: of data with channels, of columns, or of an image 1."""
        if self.channels:
            return len(self.channels)
        return self.data_shape[-1]

    @property
    def range_span(self) -> float:
        """The difference between the highest and the lowest value, of an image between white and black."""
        return self.data_range[1] - self.data_range[0]

    def tensor_shape(self, component: Component) -> tuple[int, ...]:
        """Returns the shape of one item as a component takes or returns it."""
        shape = self.input_shape if component is Component.ENCODER else self.data_shape
        return (math.prod(shape),) if component in self.flat else shape

    def inputs(self, component: Component) -> tuple[TensorSpec, ...]:
        """Returns the inputs of a component for one sample.

        They are `x`, the latents, `eps`, or `seed` and `index`; in a conditional VAE, components that return data also
        have its conditions, an encoder those that are its too, and all components where the prior takes the label. A
        scorer takes `window`, in the unit of a user's data, where the VAE has channels, else `x`.
        """
        main = {
            Component.ENCODER: (self._encoded,),
            Component.DECODER: tuple(latent.tensor for latent in self.latents),
            Component.PRIOR: (TensorSpec(name="eps", dtype="float32", shape=(1, self.eps_dim)),),
            Component.RECONSTRUCTOR: (self._encoded,),
            Component.SCORER: (replace(self._encoded, name=WINDOW) if self.channels else self._encoded,),
        }.get(component, SEED_INPUTS)
        if component in (Component.PRIOR, Component.SAMPLER) and not self.prior_takes_label:
            return main
        taken = self.encoder_conditions if component is Component.ENCODER else self.conditions
        return (*main, *(condition.tensor for condition in taken))

    def output_names(self, component: Component) -> tuple[str, ...]:
        """Returns the names of a component's outputs in order."""
        names = tuple(latent.name for latent in self.latents)
        decoded = (self.output, *(output.name for output in self.more_outputs))
        return {
            Component.ENCODER: tuple(name for latent in self.latents for name in latent.encoded(self.posterior)),
            Component.DECODER: decoded,
            Component.PRIOR: names,
            Component.SAMPLER: names,
            Component.GENERATOR: decoded,
            Component.RECONSTRUCTOR: decoded,
            Component.SCORER: (SCORE, ALARM, *((CONTRIBUTIONS,) if self.parts_of_score > 1 else ())),
        }[component]

    @property
    def _encoded(self) -> TensorSpec:
        return TensorSpec(name="x", dtype="float32", shape=(1, *self.tensor_shape(Component.ENCODER)))
