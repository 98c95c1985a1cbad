"""The roles of a user-supplied model's inputs and outputs, decided from names, shapes and sampled values."""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from pocketvae.errors import ExportError
from pocketvae.keras.loading import Tensor
from pocketvae.keras.model_form import DROPPED, JOINED, SPREADS, Role
from pocketvae.vae_spec import DataKind, Likelihood


class DecoderOutput(enum.StrEnum):
    """The kind of values that a decoder returns.

    PROBABILITIES: values in [0, 1]. LOGITS: the export appends the sigmoid. TANH: values in [-1, 1]. IMAGE: values of
    any range, taken as they are.
    """

    PROBABILITIES = "probabilities"
    LOGITS = "logits"
    IMAGE = "image"
    TANH = "tanh"


@dataclass(frozen=True, kw_only=True)
class OutputMeaning:
    """The interpretation of a decoder's output.

    Attributes:
        likelihood: BERNOULLI for logits, else UNKNOWN: no head is appended.
        data_range: Values of black and white.
        is_strict: Whether a value outside this range fails.
        reason: The reason as text.
        doubt: What may be wrong with this, as text; empty if there is no doubt.
    """

    likelihood: Likelihood
    data_range: tuple[float, float]
    is_strict: bool
    reason: str
    doubt: str = ""


# A square number of values with sides shorter than this is rather a table than a picture.
_LEAST_SIDE = 16
_UNIT, _TANH = (0.0, 1.0), (-1.0, 1.0)
_SLACK = 1e-6
# The share of a proven range that samples must span for it to be the image's, and not a loose bound.
_FILLED = 0.25
_SQUASHING: Mapping[str, DecoderOutput] = {
    "Sigmoid": DecoderOutput.PROBABILITIES,
    "Softmax": DecoderOutput.PROBABILITIES,
    "Tanh": DecoderOutput.TANH,
}
_CLIPPING = frozenset({"ClipByValue", "Maximum", "Minimum", "Relu6"})
_NAME_IT = "name it with --decoder-output (probabilities, logits, image or tanh)"


def output_meaning(
    named: DecoderOutput | None, last_operator: str, low: float, high: float, bounds: tuple[float, float] | None = None
) -> OutputMeaning:
    """Decides what a decoder's output is.

    Args:
        named: Stated by the user; None to detect it.
        last_operator: TensorFlow's name of the last operator that changes values.
        low: Smallest sampled output.
        high: Largest sampled output.
        bounds: The range that the last operators prove; None if they do not.

    Raises:
        ExportError: the samples contradict what the user stated.
    """
    found = named or _SQUASHING.get(last_operator) or _bounded_as(bounds)
    if found is None and last_operator in _CLIPPING and _inside(_UNIT, low, high):
        found = DecoderOutput.PROBABILITIES
    why = f"stated with --decoder-output {named}" if named else f"the last operator is {last_operator}"
    if found is DecoderOutput.LOGITS:
        if last_operator in _SQUASHING:
            raise ExportError(f"the decoder's output cannot be logits if its last operator is {last_operator}")
        reason = f"logits ({why}); a sigmoid was appended"
        return OutputMeaning(likelihood=Likelihood.BERNOULLI, data_range=_UNIT, is_strict=True, reason=reason)
    if found in (DecoderOutput.PROBABILITIES, DecoderOutput.TANH):
        limits = _UNIT if found is DecoderOutput.PROBABILITIES else _TANH
        if not _inside(limits, low, high):
            raise ExportError(
                f"--decoder-output {found} needs values in [{limits[0]:g}, {limits[1]:g}], got {low:.4g} to {high:.4g}"
            )
        reason = f"values in [{limits[0]:g}, {limits[1]:g}] ({why})"
        return OutputMeaning(likelihood=Likelihood.UNKNOWN, data_range=limits, is_strict=True, reason=reason)
    if named is None and bounds is not None and high - low >= _FILLED * (bounds[1] - bounds[0]):
        reason = f"image in [{bounds[0]:g}, {bounds[1]:g}] (its last operators allow no other values)"
        return OutputMeaning(likelihood=Likelihood.UNKNOWN, data_range=bounds, is_strict=True, reason=reason)
    return _as_returned(named, why, low, high)


def _bounded_as(bounds: tuple[float, float] | None) -> DecoderOutput | None:
    """Returns what the range of a sigmoid or tanh stands for, also behind a crop or a rescaling."""
    for limits, kind in ((_UNIT, DecoderOutput.PROBABILITIES), (_TANH, DecoderOutput.TANH)):
        if bounds is not None and max(abs(a - b) for a, b in zip(bounds, limits, strict=True)) <= _SLACK:
            return kind
    return None


def _as_returned(named: DecoderOutput | None, why: str, low: float, high: float) -> OutputMeaning:
    limits = _UNIT if _inside(_UNIT, low, high) else outward(low, high)
    doubt = ""
    if named is None:
        doubt = f"the decoder's output ({low:.4g} to {high:.4g}) was assumed to be the image itself; {_NAME_IT}"
    return OutputMeaning(
        likelihood=Likelihood.UNKNOWN,
        data_range=limits,
        is_strict=False,
        reason=f"as returned, {limits[0]:g} to {limits[1]:g} in samples ({why})",
        doubt=doubt,
    )


def _inside(limits: tuple[float, float], low: float, high: float) -> bool:
    return low >= limits[0] - _SLACK and high <= limits[1] + _SLACK


def outward(low: float, high: float) -> tuple[float, float]:
    """Rounds a range outward to three digits of its span, for readability."""
    unit = 10.0 ** math.floor(math.log10(max(high - low, 1e-6)) - 2)
    return math.floor(low / unit) * unit, math.ceil(high / unit) * unit


def output_index(outputs: Sequence[Tensor], named: str, decoder: Path) -> int:
    """Returns which output of a decoder is exported: the only one, or the one that was named.

    Args:
        outputs: The outputs as the decoder declares them.
        named: By the user; empty if no name was given.
        decoder: The model, for messages.

    Raises:
        ExportError: there are several and none was named, or it does not have this one.
    """
    names = [output.name for output in outputs]
    if named and named not in names:
        raise ExportError(f"{decoder} does not have the output {named!r}: it has {', '.join(map(repr, names))}")
    if not named and len(names) > 1:
        found = ", ".join(f"{output.name!r} [N, {listed(output.shape[1:])}]" for output in outputs)
        raise ExportError(
            f"a decoder must have one output, but {decoder} has {found}: name the one to export with "
            f"--decoder-output-name (if these are a mean and a variance of a latent, this is an encoder)"
        )
    return names.index(named) if named else 0


# An image with more is taken for one with its channels first.
_MOST_CHANNELS = 16


def image_shape_of(shape: tuple[int, ...], named: tuple[int, int, int] | None) -> tuple[int, int, int]:
    """Returns `(height, width, channels)` of a decoder's output.

    Args:
        shape: Shape of one output: `(H, W, C)`, or `(P,)` for a flat one.
        named: By the user.

    Raises:
        ExportError: the shape is not supported, contradicts the stated one, or is flat and not one or three squares.
    """
    if len(shape) == 3:
        found = (shape[0], shape[1], shape[2])
        if named is not None and named != found:
            raise ExportError(f"--image-shape must be {listed(found, ',')} as in the decoder, got {listed(named, ',')}")
        if named is None and found[0] <= _MOST_CHANNELS < found[2]:
            raise ExportError(
                f"the decoder returns [N, {listed(found)}], which looks like channels first: end it with a "
                f"Permute((2, 3, 1)) layer, or state --image-shape {listed(found, ',')} if it has {found[2]} channels"
            )
        return found
    if len(shape) != 1:
        raise ExportError(f"an image must be [N, H, W, C] or a flat [N, P], got [N, {listed(shape)}]")
    if named is not None:
        if math.prod(named) != shape[0]:
            raise ExportError(f"--image-shape must have the decoder's {shape[0]} values, got {math.prod(named)}")
        return named
    for channels in (1, 3):
        side = math.isqrt(shape[0] // channels)
        if side * side * channels == shape[0]:
            return side, side, channels
    raise ExportError(f"{shape[0]} values are not a square image: state the shape with --image-shape H,W,C")


def data_kind_of(
    shape: tuple[int, ...],
    stated: DataKind | None,
    *,
    named: tuple[int, int, int] | None,
    taken: tuple[int, ...] | None,
    is_bounded: bool,
    has_steps: bool = True,
) -> tuple[DataKind, str]:
    """Returns the kind of data that a decoder returns, and what may be wrong with this as text.

    Args:
        shape: Of one output.
        stated: By the user, as `--data-kind`.
        named: `(height, width, channels)` if the user stated an image's shape.
        taken: What the encoder takes, without the batch; None if there is no encoder or its sizes are open.
        is_bounded: Whether the output has a range like that of pixels, such as that of a sigmoid.
        has_steps: Whether layers over time, such as convolutions of one dimension, make the output, or may.

    Raises:
        ExportError: the shape is not of the stated kind, or of none.
    """
    if stated is not None or named is not None:
        kind = stated or DataKind.IMAGE
        if kind.rank != len(shape) and not (kind is DataKind.IMAGE and len(shape) in (1, 2)):
            raise ExportError(f"a decoder of {kind}s returns [N, {kind.axes}], got [N, {listed(shape)}]")
        return kind, ""
    kinds = {kind.rank: kind for kind in DataKind}
    if len(shape) not in kinds:
        raise ExportError(f"the decoder must return [N, ...] of 1 to 4 dimensions, got [N, {listed(shape)}]")
    if len(shape) == DataKind.SEQUENCE.rank:
        is_plane = is_bounded and not has_steps and _LEAST_SIDE <= max(shape) <= 2 * min(shape)
        if taken == (*shape, 1):
            return DataKind.IMAGE, ""
        if is_plane:
            doubt = f"the decoder's [N, {listed(shape)}] were assumed to be images, to which a channel was added"
            return DataKind.IMAGE, f"{doubt}: --data-kind sequence says that they are not"
    if len(shape) != 1:
        return kinds[len(shape)], ""
    if taken is not None and len(taken) == DataKind.IMAGE.rank and math.prod(taken) == shape[0]:
        return DataKind.IMAGE, ""
    sides = {channels: math.isqrt(shape[0] // channels) for channels in (1, 3)}
    square = next((side for channels, side in sides.items() if side**2 * channels == shape[0]), 0)
    if is_bounded and square >= _LEAST_SIDE:
        doubt = f"the decoder's {shape[0]} values were assumed to be a {square}x{square} image: "
        return DataKind.IMAGE, f"{doubt}--data-kind vector says that they are not"
    return DataKind.VECTOR, ""


def listed(shape: Sequence[int | None], separator: str = ", ") -> str:
    """Returns sizes as text, `?` for an open one."""
    return separator.join("?" if size is None else str(size) for size in shape)


def encoder_roles(
    outputs: Sequence[Tensor],
    random: Set[int],
    named: Sequence[Role] | None,
    last_operators: Sequence[str],
    latent: tuple[int, ...],
) -> tuple[Role, ...]:
    """Returns what each output of an encoder is.

    Args:
        outputs: The outputs as the encoder declares them.
        random: Positions of samples, which differ from run to run.
        named: Stated by the user, one per output; None to detect them.
        last_operators: TensorFlow's name of the last operator of each.
        latent: Shape of the latent; a single output that is twice as wide in the last dimension is taken to be the
            mean followed by the log-variance.

    Raises:
        ExportError: there is not exactly one mean and at most one spread, or the names are ambiguous; the message says
            what was found.
    """
    if named is not None:
        roles = tuple(named)
    elif (joined := _joined_output(outputs, random, latent)) is not None:
        roles = tuple(Role.MEAN_LOG_VAR if index == joined else Role.SAMPLE for index in range(len(outputs)))
    else:
        roles = tuple(
            Role.SAMPLE if index in random else named_role(output.name) for index, output in enumerate(outputs)
        )
        roles = _others(_alone(outputs, roles, latent))
        _refuse_doubt(outputs, roles, last_operators)
    if len(roles) != len(outputs):
        raise ExportError(f"--encoder-outputs must name {len(outputs)} outputs, got {len(roles)}: {_found(outputs)}")
    if _is_mean_alone(outputs, roles, latent):
        return roles
    spreads = [role for role in roles if role in SPREADS]
    joined_roles = [role for role in roles if role in JOINED]
    if (roles.count(Role.MEAN), len(spreads), len(joined_roles)) not in ((1, 1, 0), (0, 0, 1)):
        raise ExportError(
            f"an encoder must return one mean and one log-variance: {_found(outputs)}; {_how(outputs, roles, latent)}"
        )
    for index in sorted(random):
        if roles[index] is not Role.SAMPLE:
            raise ExportError(f"the encoder's {roles[index]} ({outputs[index].name!r}) differs from run to run")
    return roles


def _alone(outputs: Sequence[Tensor], roles: tuple[Role, ...], latent: tuple[int, ...]) -> tuple[Role, ...]:
    """Returns the roles with the only output that is not a sample as the mean, if it has the latent's shape."""
    steady = [index for index, role in enumerate(roles) if role is not Role.SAMPLE]
    if len(steady) != 1 or outputs[steady[0]].shape[1:] != latent or roles[steady[0]] not in (Role.X, Role.MEAN):
        return roles
    return tuple(Role.MEAN if index == steady[0] else role for index, role in enumerate(roles))


def _is_mean_alone(outputs: Sequence[Tensor], roles: Sequence[Role], latent: tuple[int, ...]) -> bool:
    """Whether there is a mean in the latent's shape and nothing else to export: a plain autoencoder's encoder."""
    kept = [index for index, role in enumerate(roles) if role not in DROPPED]
    return len(kept) == 1 and roles[kept[0]] is Role.MEAN and outputs[kept[0]].shape[1:] == latent


def _joined_output(outputs: Sequence[Tensor], random: Set[int], latent: tuple[int, ...]) -> int | None:
    """Returns the only output that is not a sample, if it is twice as wide as the latent."""
    steady = [index for index in range(len(outputs)) if index not in random]
    wide = len(steady) == 1 and outputs[steady[0]].shape[1:] == doubled(latent)
    return steady[0] if wide else None


def doubled(latent: tuple[int, ...]) -> tuple[int, ...]:
    """Returns the shape of mean and log-variance in one tensor: twice as wide in the last dimension."""
    return (*latent[:-1], 2 * latent[-1])


def _others(roles: tuple[Role, ...]) -> tuple[Role, ...]:
    """Returns the roles with what nothing is known of left out, if there is a mean and a spread without it."""
    if roles.count(Role.MEAN) == 1 and sum(role in SPREADS for role in roles) == 1:
        return tuple(Role.OTHER if role is Role.X else role for role in roles)
    return roles


def _how(outputs: Sequence[Tensor], roles: Sequence[Role], latent: tuple[int, ...]) -> str:
    """Returns the advice for outputs whose roles are not known: the option with what fits their shapes."""
    fits = [index for index, output in enumerate(outputs) if output.shape[1:] == latent]
    mean = next((index for index in fits if roles[index] is Role.MEAN), fits[0] if fits else None)
    guessed = {mean: Role.MEAN} if mean is not None else {}
    spread = next((index for index in fits if index != mean and roles[index] is not Role.SAMPLE), None)
    wide = next(
        (index for index, output in enumerate(outputs) if output.shape[1:] in shapes_of(Role.TRIL, latent)), None
    )
    if spread is not None:
        guessed[spread] = roles[spread] if roles[spread] in SPREADS else Role.LOG_VAR
    elif wide is not None and wide != mean:
        guessed[wide] = Role.TRIL
    elif mean is not None:
        named = ",".join(
            Role.MEAN if index == mean else Role.SAMPLE if index in fits else Role.OTHER
            for index in range(len(outputs))
        )
        return f"--encoder-outputs {named} exports the mean alone, without a posterior"
    named = ",".join(guessed.get(index, Role.SAMPLE if index in fits else Role.OTHER) for index in range(len(outputs)))
    return f"state them in order with --encoder-outputs, for example {named if guessed else 'mean,log_var,sample'}"


def shapes_of(role: Role, latent: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """Returns the shapes that an output of this role may have, without the batch; none if any will do."""
    if role in DROPPED:
        return ()
    if role in JOINED:
        return (doubled(latent),)
    square = (*latent, *latent)
    if role is Role.COV:
        return (square,)
    return ((math.prod(latent) * (math.prod(latent) + 1) // 2,), square) if role is Role.TRIL else (latent,)


def _found(outputs: Sequence[Tensor]) -> str:
    return "it returns " + ", ".join(f"{output.name!r} [N, {listed(output.shape[1:])}]" for output in outputs)


# The order matters: the name of a log-variance contains "var", too.
_PATTERNS: tuple[tuple[Role, str], ...] = (
    (Role.LOG_VAR, r"logvar|logvariance|logsigma(2|sq)|lnvar"),
    (Role.LOG_STD, r"logstd|logsigma|logscale"),
    (Role.TRIL, r"tril|cholesky"),
    (Role.COV, r"^cov|cov$|covariance"),
    (Role.STD, r"std|sigma|scale|stddev"),
    (Role.VAR, r"variance|var"),
    (Role.MEAN, r"mean|mu$|^mu|loc$"),
    (Role.SAMPLE, r"sampl|reparam|^z$"),
)


def named_role(name: str) -> Role:
    """Returns the role that an output's name indicates; X if it indicates none."""
    # Keras numbers equal names: z_log_var_1.
    compact = re.sub(r"[^a-z0-9]", "", re.sub(r"_\d+$", "", name.rsplit("/", 1)[-1]).lower())
    return next((role for role, pattern in _PATTERNS if re.search(pattern, compact)), Role.X)


_POSITIVE = frozenset({"Softplus", "Exp", "Sigmoid", "Relu"})


def _refuse_doubt(outputs: Sequence[Tensor], roles: Sequence[Role], last_operators: Sequence[str]) -> None:
    for index, (output, role, last) in enumerate(zip(outputs, roles, last_operators, strict=True)):
        if role not in SPREADS:
            continue
        is_positive = last in _POSITIVE
        if role is not Role.LOG_VAR:
            # What may be negative is a logarithm, whatever it is called.
            likely = role if is_positive or role in (Role.LOG_STD, Role.COV, Role.TRIL) else Role.LOG_VAR
            command = ",".join(likely if place == index else other for place, other in enumerate(roles))
            raise ExportError(
                f"artifacts return a log-variance, but {output.name!r} may be a standard deviation or a variance: "
                f"state which with --encoder-outputs (log_var, var, std, log_std, cov or tril), for example {command}"
            )
        if is_positive:
            command = ",".join(Role.STD if place == index else other for place, other in enumerate(roles))
            raise ExportError(
                f"{output.name!r} ends in {last}, so it is never negative and probably not a log-variance: state "
                f"what it is with --encoder-outputs (var, std or log_var), for example {command}"
            )
