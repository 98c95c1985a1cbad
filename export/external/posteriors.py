"""The outputs of a user-supplied encoder by latent: the mean and spread of each, or its integer codes."""

from __future__ import annotations

import re
from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from pocketvae.errors import ExportError
from pocketvae.export.external.encoder_roles import doubled, encoder_roles, named_role
from pocketvae.export.external.roles import listed
from pocketvae.keras.loading import Tensor
from pocketvae.keras.model_form import JOINED, SPREADS, Role
from pocketvae.vae_spec import Latent


@dataclass(frozen=True, kw_only=True)
class PosteriorRoles:
    """What each output of an encoder is, and the position of its latent, which is 0 where it does not matter."""

    roles: tuple[Role, ...]
    places: tuple[int, ...]


def encoded_roles(
    outputs: Sequence[Tensor],
    values: Sequence[npt.NDArray[Any]],
    random: Set[int],
    stated: Sequence[Role] | None,
    last_operators: Sequence[str],
    latents: Sequence[Latent],
) -> PosteriorRoles:
    """Returns what each output of an encoder is: `posterior_roles` of real latents, `code_roles` of codes.

    Where a decoder takes both, outputs of integers are for the codes, and the others for the real numbers.

    Args:
        outputs: See `posterior_roles`.
        values: See `code_roles`.
        random: See `posterior_roles`.
        stated: See `posterior_roles`; of all outputs, or of those that are no integers.
        last_operators: See `posterior_roles`.
        latents: Of the decoder.

    Raises:
        ExportError: see both.
    """
    if not any(latent.codes for latent in latents):
        return posterior_roles(outputs, random, stated, last_operators, latents)
    if all(latent.codes for latent in latents):
        return code_roles(outputs, values, random, latents)
    roles, places = dict.fromkeys(range(len(outputs)), Role.OTHER), dict.fromkeys(range(len(outputs)), 0)
    for are_codes in (True, False):
        own = [i for i, item in enumerate(values) if (item.dtype.kind in "iu") is are_codes]
        of = [place for place, latent in enumerate(latents) if bool(latent.codes) is are_codes]
        tensors, some = [outputs[i] for i in own], {own.index(i) for i in random if i in own}
        theirs = [latents[place] for place in of]
        if are_codes:
            found = code_roles(tensors, [values[i] for i in own], some, theirs)
        else:
            said = [stated[i] for i in own] if stated and len(stated) == len(outputs) else stated
            found = posterior_roles(tensors, some, said, [last_operators[i] for i in own], theirs)
        roles |= dict(zip(own, found.roles, strict=True))
        places |= {i: of[place] for i, place in zip(own, found.places, strict=True)}
    return PosteriorRoles(roles=tuple(roles.values()), places=tuple(places.values()))


def posterior_roles(
    outputs: Sequence[Tensor],
    random: Set[int],
    stated: Sequence[Role] | None,
    last_operators: Sequence[str],
    latents: Sequence[Latent],
) -> PosteriorRoles:
    """Returns what each output of an encoder is.

    Of several latents, an output belongs to the one of its shape, else to the one whose name it contains, else to the
    first that has no output of the same role yet.

    Args:
        outputs: The outputs as the encoder declares them.
        random: Positions of samples, which differ from run to run.
        stated: By the user, one per output; None to detect them.
        last_operators: TensorFlow's name of the last operator of each.
        latents: Of the decoder.

    Raises:
        ExportError: a latent does not have exactly one mean and at most one spread, or some have a spread and others
            do not; the message says what was found.
    """
    if len(latents) == 1:
        roles = encoder_roles(outputs, random, stated, last_operators, latents[0].shape)
        return PosteriorRoles(roles=roles, places=(0,) * len(outputs))
    if stated is not None and len(stated) != len(outputs):
        raise ExportError(f"--encoder-outputs must name {len(outputs)} outputs, got {len(stated)}: {_found(outputs)}")
    guessed = stated or [Role.SAMPLE if i in random else named_role(item.name) for i, item in enumerate(outputs)]
    places = _places(outputs, guessed, latents)
    roles_by_output = dict.fromkeys(range(len(outputs)), Role.OTHER)
    for place, latent in enumerate(latents):
        own = [index for index in range(len(outputs)) if places[index] == place]
        try:
            found = encoder_roles(
                [outputs[index] for index in own],
                {own.index(index) for index in random if index in own},
                [stated[index] for index in own] if stated else None,
                [last_operators[index] for index in own],
                latent.shape,
            )
        except ExportError as e:
            raise ExportError(_needed(outputs, guessed, latents, latent)) from e
        roles_by_output.update(zip(own, found, strict=True))
    roles = tuple(roles_by_output.values())
    _check_alike(roles, places, latents)
    return PosteriorRoles(roles=roles, places=tuple(max(place, 0) for place in places))


def code_roles(
    outputs: Sequence[Tensor], values: Sequence[npt.NDArray[Any]], random: Set[int], latents: Sequence[Latent]
) -> PosteriorRoles:
    """Returns what each output of an encoder of integer codes is: the codes, and others, which are left out.

    Of several grids of codes, an output belongs to the one of its shape, else to the one whose name it contains, else
    to the first that has none yet.

    Args:
        outputs: The outputs as the encoder declares them.
        values: Of some data, `[N, ...]` each.
        random: Positions of what differs from run to run.
        latents: Of the decoder.

    Raises:
        ExportError: there is not exactly one output of codes for each latent, or it holds numbers that the decoder does
            not take.
    """
    whole = [index for index, item in enumerate(values) if item.dtype.kind in "iu" and index not in random]
    found = _places([outputs[index] for index in whole], [Role.CODES] * len(whole), latents)
    places = dict(zip(whole, found, strict=True))
    for place, latent in enumerate(latents):
        own = [index for index, other in places.items() if other == place and values[index].shape[1:] == latent.shape]
        if len(own) != 1:
            raise ExportError(
                f"the encoder of a decoder of codes must return integer codes [N, {listed(latent.shape)}], the same in "
                f"every run: {_found(outputs)}; let it end in the argmin of the distances to the codebook"
            )
        low, high = int(values[own[0]].min()), int(values[own[0]].max())
        if low < 0 or high >= latent.codes:
            raise ExportError(f"the encoder's codes must be from 0 to {latent.codes - 1}, got {low} to {high}")
    kept = [places.get(index, -1) for index in range(len(outputs))]
    roles = tuple(Role.CODES if place >= 0 else Role.OTHER for place in kept)
    return PosteriorRoles(roles=roles, places=tuple(max(place, 0) for place in kept))


def _places(outputs: Sequence[Tensor], roles: Sequence[Role], latents: Sequence[Latent]) -> list[int]:
    """Returns the position of each output's latent; -1 of what belongs to none."""
    places: list[int] = []
    for output, role in zip(outputs, roles, strict=True):
        fitting = [i for i, item in enumerate(latents) if output.shape[1:] in (item.shape, doubled(item.shape))]
        named = [i for i in fitting if _contains(output.name, latents[i].name)]
        longest = max(named, key=lambda i: len(latents[i].name), default=None)
        taken = {place for place, other in zip(places, roles, strict=False) if other is role}
        free = [i for i in fitting if i not in taken]
        places.append(longest if longest is not None else next(iter(free or fitting), -1))
    return places


def _contains(output: str, latent: str) -> bool:
    words, wanted = (re.split(r"[^a-z0-9]+", name.lower()) for name in (output, latent))
    return any(words[start : start + len(wanted)] == wanted for start in range(len(words)))


def _check_alike(roles: Sequence[Role], places: Sequence[int], latents: Sequence[Latent]) -> None:
    spread = {place for role, place in zip(roles, places, strict=True) if role in (*SPREADS, *JOINED)}
    lacking = [latent.name for place, latent in enumerate(latents) if place not in spread]
    if spread and lacking:
        means = ",".join(Role.OTHER if role in SPREADS else role for role in roles)
        raise ExportError(
            f"an encoder must return a log-variance for every latent or for none, but there is none for "
            f"{', '.join(lacking)}: add it, or export the means alone with --encoder-outputs {means}"
        )


def _needed(outputs: Sequence[Tensor], roles: Sequence[Role], latents: Sequence[Latent], latent: Latent) -> str:
    names = ", ".join(f"{item.name} [N, {listed(item.shape)}]" for item in latents)
    by_shape = {item.shape: sum(other.shape == item.shape for other in latents) for item in latents}
    proposed = dict(enumerate(roles))
    for shape, count in by_shape.items():
        proposed |= _paired(outputs, roles, shape, count)
    example = ",".join(Role.OTHER if role is Role.X else role for role in proposed.values())
    means = sum(
        role is Role.MEAN or role in JOINED
        for index, role in proposed.items()
        if outputs[index].shape[1:] in (latent.shape, doubled(latent.shape))
    )
    lacks = (
        f"it lacks {latent.name}: add an output for its mean and one for its log-variance, or export the decoder "
        f"alone, without --encoder"
    )
    states = f"state what they are in order with --encoder-outputs, such as {example}"
    return (
        f"an encoder must return one mean and one log-variance for each latent, {names}, but not so for {latent.name}: "
        f"{_found(outputs)}; {lacks if means < by_shape[latent.shape] else states}"
    )


def _paired(outputs: Sequence[Tensor], roles: Sequence[Role], shape: tuple[int, ...], count: int) -> dict[int, Role]:
    """Returns the roles that the outputs of a shape, which `count` latents have, may have: pairs in their order."""
    own = {i: role for i, role in enumerate(roles) if outputs[i].shape[1:] == shape}
    joined = sum(role in JOINED for i, role in enumerate(roles) if outputs[i].shape[1:] == doubled(shape))
    means = count - joined - sum(role is Role.MEAN for role in own.values())
    spreads = count - joined - sum(role in SPREADS for role in own.values())
    unknown = [i for i, role in own.items() if role in (Role.X, Role.OTHER)]
    means_first = len(unknown) < means + spreads
    for index in unknown:
        if means > 0 and (means_first or means >= spreads):
            own[index], means = Role.MEAN, means - 1
        elif spreads > 0:
            own[index], spreads = Role.LOG_VAR, spreads - 1
    return own


def _found(outputs: Sequence[Tensor]) -> str:
    return "it returns " + ", ".join(f"{output.name!r} [N, {listed(output.shape[1:])}]" for output in outputs)
