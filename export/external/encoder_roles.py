"""The roles of an encoder's outputs, decided from names, shapes and what differs from call to call."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence, Set

from pocketvae.errors import ExportError
from pocketvae.export.external.roles import listed
from pocketvae.keras.loading import Tensor
from pocketvae.keras.model_form import DROPPED, JOINED, SPREADS, Role


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


def _doubtful(role: Role) -> str:
    return {
        Role.LOG_STD: "seems to be the logarithm of a standard deviation",
        Role.COV: "seems to be a covariance",
        Role.TRIL: "seems to be the triangle of a covariance",
    }.get(role, "may be a standard deviation or a variance")


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
                f"artifacts return a log-variance, but {output.name!r} {_doubtful(likely)}: "
                f"state which with --encoder-outputs (log_var, var, std, log_std, cov or tril), for example {command}"
            )
        if is_positive:
            command = ",".join(Role.STD if place == index else other for place, other in enumerate(roles))
            raise ExportError(
                f"{output.name!r} ends in {last}, so it is never negative and probably not a log-variance: state "
                f"what it is with --encoder-outputs (var, std or log_var), for example {command}"
            )
