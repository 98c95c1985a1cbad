"""The roles of a user-supplied model's inputs: data, latents and conditions, decided from names, types and shapes."""

from __future__ import annotations

import keyword
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from pocketvae.errors import ExportError
from pocketvae.export.external.roles import listed
from pocketvae.keras.loading import Tensor
from pocketvae.keras.model_form import Role
from pocketvae.reporting.escapes import in_ascii
from pocketvae.spec import Component
from pocketvae.vae_spec import Condition, VaeSpec

_LABEL_NAME = re.compile(r"label|class|cond|digit|categor|one_?hot|^y$|^y_")
# What is embedded are real numbers.
_CLASS_NAME = re.compile(r"^(?!.*emb(ed|_|$)).*(label|class|digit|categor|one_?hot|^y$|^y_)")
_LATENT_NAME = re.compile(r"^z($|[^a-z])|^z_|latent|^eps|noise|sampl")
_CONTINUOUS_NAME = re.compile(r"cond|attr|feature|context|style|pose|param|angle|control|emb(ed|_|$)")
_JOINED_NAME = r"label|class|(and|with|concat)_?(y|c)?$|_y$"
_JOINED_HINT = "if it ends in a one-hot label, state this with --latent-dim D --label-count K"
_GUESS = "the encoder's {} was taken for the decoder's condition {!r}: if it is another one, give it that one's name"
_SCALARS = ((), (1,))
# Outputs of an encoder: a mean and a log-variance.
_PER_POSTERIOR = 2
# Names of an artifact's other inputs and outputs.
_TAKEN = frozenset({"x", "z", "eps", "seed", "index", "z_mean", "z_log_var", "image", "vector", "sequence", "volume"})


@dataclass(frozen=True, kw_only=True)
class InputRoles:
    """What each input of a model is.

    Attributes:
        roles: One per input.
        sources: For each input, the positions of the component's own inputs that it is made of: latents or data come
            first, conditions after them.
        doubts: What was assumed, as sentences.
        lacking: Names of the decoder's conditions that an encoder does not take.
    """

    roles: tuple[Role, ...]
    sources: tuple[tuple[int, ...], ...]
    doubts: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()

    def of(self, *roles: Role) -> list[int]:
        """Returns the positions of the inputs with one of these roles."""
        return [index for index, role in enumerate(self.roles) if role in roles]


def decoder_inputs(
    inputs: Sequence[Tensor],
    *,
    stated: Sequence[Role] | None,
    label_count: int | None,
    latent_dim: int | None,
    is_range_stated: bool = False,
    encoded: Sequence[tuple[int | None, ...]] = (),
) -> InputRoles:
    """Decides what each input of a decoder is.

    Args:
        inputs: As the model declares them.
        stated: By the user, one per input; None to detect them.
        label_count: The number of classes, if the user stated it.
        latent_dim: The number of latent dimensions at the front of an input that ends in a one-hot label.
        is_range_stated: Whether the user stated the range of continuous conditions, so that nothing is assumed of them.
        encoded: Shapes of the encoder's outputs, without the batch; none if there is no encoder.

    Raises:
        ExportError: an input cannot be a latent or a condition, or it is unknown which it is.
    """
    doubts: tuple[str, ...] = ()
    if stated is not None:
        if len(stated) != len(inputs):
            raise ExportError(f"--decoder-inputs must name {len(inputs)} inputs, got {len(stated)}: {_found(inputs)}")
        roles = tuple(stated)
        if Role.CONDITION in roles and not is_range_stated:
            tensor = inputs[roles.index(Role.CONDITION)]
            doubts = (f"{_one(tensor)} is tested from 0 to 1: --condition-range LOW,HIGH states another range",)
    elif latent_dim is not None:
        roles = _joined(inputs, latent_dim)
        if label_count is None:
            width = (inputs[0].shape[-1] or 0) - latent_dim
            doubts = (
                f"the last {width} of the decoder's {width + latent_dim} values were taken for a one-hot label: "
                f"say so with --label-count {width}",
            )
    else:
        roles, doubts = _detected(inputs, label_count, encoded)
        doubts = () if is_range_stated else doubts
    mains = [index for index, role in enumerate(roles) if role in (Role.Z, Role.Z_LABEL, Role.CODES)]
    if not mains:
        raise ExportError(_needed(Component.DECODER, inputs))
    conditions = [index for index, role in enumerate(roles) if role in (Role.LABEL, Role.CONDITION)]
    position = {index: place for place, index in enumerate([*mains, *conditions])}
    sources: tuple[tuple[int, ...], ...] = tuple((position[index],) for index in range(len(roles)))
    if roles == (Role.Z_LABEL,):
        sources = ((0, 1),)
    return InputRoles(roles=roles, sources=sources, doubts=doubts)


def _joined(inputs: Sequence[Tensor], latent_dim: int) -> tuple[Role, ...]:
    width = inputs[0].shape[-1] or 0
    if len(inputs) != 1 or len(inputs[0].shape) != 2 or width <= latent_dim:
        raise ExportError(
            f"--latent-dim {latent_dim} is for a decoder of one input [N, D + K], a latent and a one-hot label, "
            f"got {_found(inputs)}"
        )
    return (Role.Z_LABEL,)


def _detected(
    inputs: Sequence[Tensor], label_count: int | None, encoded: Sequence[tuple[int | None, ...]] = ()
) -> tuple[tuple[Role, ...], tuple[str, ...]]:
    roles = _known_roles(inputs)
    floats = [index for index in range(len(inputs)) if index not in roles]
    found = _with_posteriors({index: role_by_name(inputs[index].name) for index in floats}, inputs, encoded)
    unnamed = [index for index in floats if found[index] is None]
    has_codes = Role.CODES in roles.values()
    if len(floats) == 1 and not has_codes:
        found = {floats[0]: Role.Z}
    elif len(unnamed) == 1 and Role.Z not in found.values():
        found[unnamed[0]] = Role.Z
    doubts: tuple[str, ...] = ()
    is_pair = len(floats) == len(inputs) == 2 and Role.CONDITION not in found.values()
    if is_pair and list(found.values()) != [Role.Z, Role.Z]:
        label = label_position(inputs, label_count)
        if found[label] is not Role.Z:
            found = {index: Role.LABEL if index == label else Role.Z for index in floats}
            doubts = _label_doubts(inputs, label)
    known = {index: role for index, role in found.items() if role is not None} | roles
    if len(known) < len(inputs):
        raise ExportError(
            f"what each input of the decoder is cannot be told from their names, {_found(inputs)}: state it in order "
            f"with --decoder-inputs (latent, label or continuous), for example {_example(inputs)}, or latent for each "
            f"of several latents"
        )
    if has_codes and len(unnamed) == 1 and roles.keys().isdisjoint(unnamed):
        doubts = _beside_codes(inputs, known, unnamed[0])
    if len(inputs) == 1 and re.search(_JOINED_NAME, inputs[0].name.lower()):
        doubts = (f"{_one(inputs[0])} was taken for a latent; {_JOINED_HINT}",)
    ordered = tuple(known[index] for index in range(len(inputs)))
    return ordered, (*doubts, *_continuous_doubts(inputs, ordered, label_count))


def _known_roles(inputs: Sequence[Tensor]) -> dict[int, Role]:
    """Returns the inputs whose type or shape says what they are: labels, of one number each, and integer codes."""
    found = {}
    for index, tensor in enumerate(inputs):
        is_scalar = tensor.shape[1:] in _SCALARS
        if is_integer(tensor):
            found[index] = Role.LABEL if is_scalar else Role.CODES
        elif tensor.dtype != "float32":
            raise ExportError(_needed(Component.DECODER, inputs))
        elif len(inputs) > 1 and is_scalar and _CLASS_NAME.search(tensor.name.lower()):
            found[index] = Role.LABEL
    return found


def _with_posteriors(
    found: Mapping[int, Role | None], inputs: Sequence[Tensor], encoded: Sequence[tuple[int | None, ...]]
) -> dict[int, Role | None]:
    """Returns the roles with those inputs as latents that the encoder has a posterior for, two outputs of their shape.

    A name that says that an input is a label counts first. A style or context with a posterior of its own is a latent.
    """
    roles = dict(found)
    for index in (index for index, role in found.items() if role in (None, Role.CONDITION)):
        shape = inputs[index].shape[1:]
        known = sum(role is Role.Z and inputs[place].shape[1:] == shape for place, role in roles.items())
        if _PER_POSTERIOR * (known + 1) <= list(encoded).count(shape):
            roles[index] = Role.Z
    return roles


def role_by_name(name: str) -> Role | None:
    """Returns the role that an input's name indicates: a label, a latent, a continuous condition, or none."""
    name = name.lower().rsplit("/", 1)[-1]
    patterns = ((_CLASS_NAME, Role.LABEL), (_LATENT_NAME, Role.Z), (_CONTINUOUS_NAME, Role.CONDITION))
    return next((role for pattern, role in patterns if pattern.search(name)), None)


def _label_doubts(inputs: Sequence[Tensor], label: int) -> tuple[str, ...]:
    if _CLASS_NAME.search(inputs[label].name.lower()):
        return ()
    words = ",".join("label" if index == label else "latent" for index in range(len(inputs)))
    other = words.replace("label", "continuous")
    return (
        f"{_one(inputs[label])} was taken for a one-hot label: state it with --decoder-inputs {words}, or {other} "
        f"if it holds real numbers",
    )


def _beside_codes(inputs: Sequence[Tensor], roles: Mapping[int, Role], latent: int) -> tuple[str, ...]:
    words = {Role.Z: "latent", Role.CODES: "codes", Role.LABEL: "label", Role.CONDITION: "continuous"}
    named = (words[Role.CONDITION if index == latent else roles[index]] for index in range(len(inputs)))
    return (
        f"{_one(inputs[latent])} was taken for a latent of real numbers beside the codes: if it is a condition, say so "
        f"with --decoder-inputs {','.join(named)}",
    )


def _continuous_doubts(inputs: Sequence[Tensor], roles: tuple[Role, ...], label_count: int | None) -> tuple[str, ...]:
    doubts = []
    for index, (tensor, role) in enumerate(zip(inputs, roles, strict=True)):
        if role is not Role.CONDITION:
            continue
        words = ",".join(
            "label" if place == index else {Role.Z: "latent", Role.CONDITION: "continuous"}.get(other, other)
            for place, other in enumerate(roles)
        )
        if label_count is not None and Role.LABEL not in roles and tensor.shape[-1] == label_count:
            raise ExportError(
                f"{_one(tensor)} looks like a continuous condition, but --label-count {label_count} is for a label: "
                f"leave it out, or state that it is a one-hot label with --decoder-inputs {words}"
            )
        doubts.append(
            f"{_one(tensor)} was taken for a continuous condition and tested from 0 to 1: --condition-range LOW,HIGH "
            f"states another range, --decoder-inputs {words} a one-hot label"
        )
    return tuple(doubts)


def encoder_inputs(inputs: Sequence[Tensor], vae: VaeSpec) -> InputRoles:
    """Decides what each input of an encoder is, from the interface that its decoder has.

    It may lack conditions of the decoder: it is q(z|x) then, and the decoder p(x|z, condition).

    Raises:
        ExportError: it does not take the decoder's data, or takes what the decoder does not.
    """
    waiting, main = list(vae.conditions), _main(inputs, vae)
    doubts: list[str] = []
    roles = {main: Role.X}
    sources: dict[int, tuple[int, ...]] = {main: (0,)}
    # Those of the same name first, so that no other input takes their place.
    for named in (True, False):
        for index, tensor in enumerate(inputs):
            condition = next((item for item in waiting if matches(item, tensor, named=named)), None)
            if index in roles or condition is None:
                continue
            waiting.remove(condition)
            roles[index] = Role.LABEL if condition.is_label else Role.CONDITION
            sources[index] = (1 + vae.conditions.index(condition),)
            if not named and sum(matches(item, tensor) for item in vae.conditions) > 1:
                doubts.append(_GUESS.format(_one(tensor), condition.name))
    if len(roles) < len(inputs):
        raise ExportError(_unlike(inputs, vae))
    joined = next((item for item in waiting if _holds_label(inputs[main], vae, item)), None)
    if joined is not None:
        waiting.remove(joined)
        roles[main] = Role.X_LABEL
        sources[main] = (0, 1 + vae.conditions.index(joined))
    # Positions are among the conditions that the encoder takes.
    taken = [0, *(1 + place for place, item in enumerate(vae.conditions) if item not in waiting)]
    sources = {index: tuple(taken.index(place) for place in places) for index, places in sources.items()}
    return InputRoles(
        roles=tuple(roles[index] for index in range(len(inputs))),
        sources=tuple(sources[index] for index in range(len(inputs))),
        doubts=tuple(doubts),
        lacking=tuple(condition.name for condition in waiting),
    )


def _main(inputs: Sequence[Tensor], vae: VaeSpec) -> int:
    """Returns the input that holds the data: of their shape, else the float input with the most dimensions."""
    floats = [index for index, tensor in enumerate(inputs) if tensor.dtype == "float32"]
    if not floats:
        raise ExportError(_needed(Component.ENCODER, inputs))
    plane = vae.data_shape[:-1] if vae.data_shape[-1] == 1 else vae.data_shape
    shapes = (vae.data_shape, (math.prod(vae.data_shape),), plane)
    fitting = [index for shape in shapes for index in floats if inputs[index].shape[1:] == shape]
    free = [index for index in fitting if not _CLASS_NAME.search(inputs[index].name.lower())]
    return next(iter(free or fitting), max(floats, key=lambda index: len(inputs[index].shape)))


def _holds_label(tensor: Tensor, vae: VaeSpec, condition: Condition) -> bool:
    """Whether an encoder's data end in a one-hot label: as further channels, or as further values of a vector."""
    return condition.is_label and tensor.shape[1:] in (
        (*vae.data_shape[:-1], vae.data_shape[-1] + condition.count),
        (math.prod(vae.data_shape) + condition.count,),
    )


def matches(condition: Condition, tensor: Tensor, *, named: bool = False) -> bool:
    """Whether an input of a model can take a condition; if `named`, only under the same name."""
    if named and condition_name(tensor.name, ()) != condition.name:
        return False
    if not condition.is_label:
        return tensor.dtype == "float32" and tensor.shape[1:] == condition.shape
    return tensor.shape[1:] in _SCALARS or (tensor.dtype == "float32" and tensor.shape[-1] == condition.count)


def _unlike(inputs: Sequence[Tensor], vae: VaeSpec) -> str:
    names = ", ".join(condition.name for condition in vae.conditions) or "none"
    found = f"the decoder's conditions are {names}; the encoder takes {_found(inputs)}"
    return f"an encoder must not take a condition that its decoder does not take: {found}"


def condition_names(tensors: Sequence[Tensor], roles: Sequence[Role]) -> tuple[str, ...]:
    """Returns the names of conditions in an artifact: `label` for a label that is the only one, else their own."""
    if list(roles) in ([Role.LABEL], [Role.Z_LABEL]):
        return ("label",)
    names: list[str] = []
    for tensor in tensors:
        names.append(condition_name(tensor.name, names))
    return tuple(names)


def latent_names(tensors: Sequence[Tensor]) -> tuple[str, ...]:
    """Returns the names of latents in an artifact: `z` for the only one, else their own."""
    if len(tensors) == 1:
        return ("z",)
    names: list[str] = []
    for tensor in tensors:
        names.append(_own_name(tensor.name, names, taken=_TAKEN - {"z"}, prefix="z"))
    return tuple(names)


def condition_name(name: str, used: Sequence[str]) -> str:
    """Returns an input's own name as an artifact can have it, different from the used ones."""
    return _own_name(name, used, taken=_TAKEN, prefix="condition")


def _own_name(name: str, used: Sequence[str], *, taken: Collection[str], prefix: str) -> str:
    plain = re.sub(r"\W+", "_", in_ascii(name.rsplit("/", 1)[-1])).strip("_").lower() or prefix
    if plain in taken or keyword.iskeyword(plain) or plain[0].isdigit():
        plain = f"{prefix}_{plain}"
    return plain if plain not in used else f"{plain}_{len(used) + 1}"


def is_integer(tensor: Tensor) -> bool:
    """Whether a tensor holds integers of any width."""
    return tensor.dtype.startswith(("int", "uint"))


def label_position(inputs: Sequence[Tensor], label_count: int | None) -> int:
    """Returns which of two float inputs is a one-hot label: the other one is an image or a latent.

    This is decided by the number of dimensions, else by the number of classes if stated, else by the names.

    Args:
        inputs: The inputs as the model declares them.
        label_count: The number of classes, if the user stated it.

    Raises:
        ExportError: they cannot be distinguished.
    """
    vectors = [index for index, tensor in enumerate(inputs) if len(tensor.shape) == 2]
    chosen = vectors
    if len(chosen) > 1 and label_count is not None:
        # Where no width is the stated number, a name may show the label, whose width is then told.
        chosen = [index for index in vectors if inputs[index].shape[1] == label_count] or vectors
    if len(chosen) > 1:
        chosen = [index for index in vectors if _LABEL_NAME.search(inputs[index].name.lower())]
    if len(chosen) != 1:
        raise ExportError(
            f"one of two float inputs must be a one-hot label, got {_found(inputs)}: "
            f"{_which_is_a_label(inputs, vectors)}"
            f"state what they are with --decoder-inputs, for example latent,continuous or latent,latent"
        )
    return chosen[0]


def _which_is_a_label(inputs: Sequence[Tensor], vectors: Sequence[int]) -> str:
    """Returns the option that says that the narrower of two vectors is a label; empty if none is."""
    widths = sorted(width for index in vectors if (width := inputs[index].shape[1]) is not None)
    if len(widths) < len(vectors) or widths[0] == widths[-1]:
        return ""
    return f"pass --label-count {widths[0]} if it is the narrower, or "


def _needed(component: Component, inputs: Sequence[Tensor]) -> str:
    main = "latent [N, D] or [N, h, w, c], or codes of integers,"
    if component is Component.ENCODER:
        main = "image [N, H, W, C], vector [N, F] or sequence [N, T, C]"
    return (
        f"a {component} must take a float32 {main}, and optionally conditions: labels, integers [N] or one-hot "
        f"[N, K], and real numbers [N, K]; got {_found(inputs)}"
    )


def _example(inputs: Sequence[Tensor]) -> str:
    return ",".join(
        "label" if is_integer(tensor) else "continuous" if place else "latent" for place, tensor in enumerate(inputs)
    )


def _one(tensor: Tensor) -> str:
    return f"{tensor.name!r} [{', '.join(filter(None, ['N', listed(tensor.shape[1:])]))}]"


def _found(inputs: Sequence[Tensor]) -> str:
    return ", ".join(f"{_one(tensor)}{f' {tensor.dtype}' if tensor.dtype != 'float32' else ''}" for tensor in inputs)
