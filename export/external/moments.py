"""What an encoder returns for the samples that it no longer draws: moments, with names and roles."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pocketvae.export.external.encoder_roles import named_role
from pocketvae.export.external.flat_graph import name_of, size_of
from pocketvae.export.external.samplings import POSITIVE, Sampling, activation_of
from pocketvae.keras.model_form import SPREADS, Role

_PAIR = 2
LOST_PRIOR = (
    "a latent depends on another one: if the model has a prior of one given the other, it is not exported, and "
    "generators draw both independently from N(0, I)"
)


def with_roles(sampling: Sampling) -> Sampling:
    """Returns a sampling with the roles of its moments where layers and names do not say both of them.

    By far most sampling layers take the mean first and the log-variance second.
    """
    if sampling.roles is not None or len(sampling.moments) != _PAIR:
        return sampling
    mean, spread = sampling.moments
    said = tuple(named_role(name_of(tensor)) for tensor in (mean, spread))
    if said[0] not in (Role.X, Role.MEAN) or said[1] not in (Role.X, Role.LOG_VAR) or Role.X not in said:
        return sampling
    if activation_of(spread) in POSITIVE:
        return sampling
    doubt = (
        f"{name_of(mean)!r} and {name_of(spread)!r}, which {sampling.layer!r} draws from, were assumed to be the mean "
        f"and the log-variance; state this with --encoder-outputs (for example mean,log_var or mean,std)"
    )
    return replace(sampling, roles=(Role.MEAN, Role.LOG_VAR), doubt=doubt)


@dataclass(frozen=True, kw_only=True)
class Moments:
    """What an encoder returns for the samples that it no longer draws.

    Attributes:
        outputs: The tensors.
        keys: Their names, sorted, as Keras sorts those of a dict; empty for one latent, whose tensors keep their own.
        roles: What they are; None where their names say it.
        doubts: What was assumed.
    """

    outputs: tuple[Any, ...]
    keys: tuple[str, ...] = ()
    roles: tuple[Role, ...] | None = None
    doubts: tuple[str, ...] = ()


def moments_of(drawn: Mapping[str, Sampling]) -> Moments:
    """Returns the moments of the samplings of one or several latents, given by the latents' names."""
    known = {name: with_roles(item) for name, item in drawn.items()}
    doubts = tuple(item.doubt for item in known.values() if item.doubt)
    if len(known) == 1:
        (item,) = known.values()
        return Moments(outputs=item.moments, roles=item.roles, doubts=doubts)
    found = [
        (key, tensor, role)
        for name, item in known.items()
        for key, tensor, role in zip(_keys(name, item), item.moments, _roles(item), strict=True)
    ]
    named = sorted(found, key=lambda item: item[0])
    roles = tuple(role for _, _, role in named if role is not None)
    return Moments(
        outputs=tuple(tensor for _, tensor, _ in named),
        keys=tuple(key for key, _, _ in named),
        roles=roles if len(roles) == len(named) else None,
        doubts=doubts,
    )


def _roles(sampling: Sampling) -> Sequence[Role | None]:
    """Returns the roles of moments; none where the inspection has to ask, as for a scale that may be a variance."""
    if sampling.roles is not None:
        return sampling.roles
    if len(sampling.moments) == 1:
        (only,) = sampling.moments
        return (Role.MEAN if size_of(only) == size_of(sampling.latent) else Role.MEAN_LOG_VAR,)
    spread = sampling.moments[1]
    is_known = named_role(name_of(spread)) is Role.LOG_VAR and activation_of(spread) not in POSITIVE
    return (Role.MEAN, Role.LOG_VAR if is_known else None)


def _keys(name: str, sampling: Sampling) -> list[str]:
    if len(sampling.moments) == 1:
        return [f"{name}_moments" if sampling.layer else f"{name}_mean"]
    spread = named_role(name_of(sampling.moments[1]))
    known = sampling.roles[1] if sampling.roles else spread if spread in SPREADS else Role.LOG_VAR
    return [f"{name}_mean", f"{name}_{known}"]


def notes_of(names: Sequence[str]) -> tuple[str, ...]:
    """Returns what is to be said of an encoder in which means stand for samples, given the names of the latents."""
    if not names:
        return ()
    each = f"{names[0]!r} stands" if len(names) == 1 else f"each of {', '.join(map(repr, names))} stands"
    return (f"the encoder is deterministic: where a latent depends on another one, the mean of {each} for its sample",)


def latent_names(latents: Collection[Any]) -> tuple[str, ...]:
    """Returns the names of the latents of a model that is cut: `z`, or those of their layers, or `z1`, `z2`, ..."""
    if len(latents) == 1:
        return ("z",)
    own = [name_of(latent).lower() for latent in latents]
    plain = all(re.fullmatch(r"z\w*", name) for name in own) and len(set(own)) == len(own)
    return tuple(own) if plain else tuple(f"z{index + 1}" for index in range(len(own)))
