"""The conditions of a user-supplied decoder: which labels with how many classes, and which real numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pocketvae.errors import ExportError
from pocketvae.export.external.inputs import InputRoles, condition_names
from pocketvae.export.external.layers import known_counts
from pocketvae.export.external.messages import ExternalModels
from pocketvae.keras.loading import OpenModel, Tensor
from pocketvae.keras.model_form import Role
from pocketvae.vae_spec import Condition, ConditionKind

_DEFAULT_RANGE = (0.0, 1.0)


def decoder_conditions(models: ExternalModels, opened: OpenModel, inputs: InputRoles) -> tuple[Condition, ...]:
    """Returns the conditions of a decoder in the order of its inputs.

    Raises:
        ExportError: the number of classes is unknown, contradicts the stated one, or is stated for no label.
    """
    chosen = inputs.of(Role.LABEL, Role.CONDITION, Role.Z_LABEL)
    roles = [inputs.roles[index] for index in chosen]
    tensors = [opened.inputs[index] for index in chosen]
    counts = iter(_counts(models, opened, [index for index in chosen if inputs.roles[index] is not Role.CONDITION]))
    found = []
    for name, role, tensor in zip(condition_names(tensors, roles), roles, tensors, strict=True):
        if role is Role.CONDITION:
            shape = tuple(size or 0 for size in tensor.shape[1:])
            if not shape or 0 in shape:
                raise ExportError(f"the condition {tensor.name!r} must have fixed sizes, got {list(tensor.shape)}")
            limits = models.condition_range or _DEFAULT_RANGE
            found.append(Condition(name=name, kind=ConditionKind.CONTINUOUS, shape=shape, range=limits))
        else:
            found.append(Condition(name=name, count=next(counts)))
    if models.condition_range is not None and Role.CONDITION not in roles:
        raise ExportError("--condition-range needs a decoder that takes a continuous condition")
    return tuple(found)


def with_codes(opened: OpenModel, inputs: InputRoles) -> InputRoles:
    """Returns the roles with codes in place of a latent of floats that an embedding reads: it rounds them down."""
    floats = inputs.of(Role.Z)
    read = dict(zip(floats, known_counts(opened, floats), strict=True))
    roles = tuple(Role.CODES if read.get(index) else role for index, role in enumerate(inputs.roles))
    return replace(inputs, roles=roles)


def code_count(models: ExternalModels, opened: OpenModel, index: int) -> int:
    """Returns how many codes a decoder's input takes: as stated, or as the embedding shows them.

    Raises:
        ExportError: the number is unknown.
    """
    if models.code_count is not None:
        return models.code_count
    (sizes,) = known_counts(opened, [index])
    if len(sizes) != 1:
        raise ExportError(
            f"the number of codes of {opened.inputs[index].name!r} is unknown, because the decoder does not show it by "
            f"an embedding: pass --code-count"
        )
    return sizes.pop()


def _counts(models: ExternalModels, opened: OpenModel, labels: Sequence[int]) -> list[int]:
    """Returns the classes of each label: as stated, or as the model shows them."""
    stated = models.label_counts
    if stated and not labels:
        raise ExportError(f"--label-count needs a decoder that takes a label{_suggestion(stated[0], opened)}")
    if stated and len(stated) != len(labels):
        raise ExportError(f"--label-count must name {len(labels)} counts, separated by commas, got {len(stated)}")
    shown = known_counts(opened, labels)
    for count, sizes in zip(stated, shown, strict=False):
        if sizes and count > min(sizes):
            raise ExportError(
                f"--label-count says {count} classes, but the decoder's embedding has {min(sizes)}: leave it out"
            )
    return [
        _count(models, opened, index, stated[place] if stated else None, shown[place])
        for place, index in enumerate(labels)
    ]


def _suggestion(count: int, opened: OpenModel) -> str:
    tensor: Tensor = opened.inputs[0]
    rest = (tensor.shape[-1] or 0) - count
    if len(opened.inputs) > 1 or len(tensor.shape) != 2 or rest < 1:
        return ""
    return (
        f"; if the last {count} of the {tensor.shape[-1]} values of {tensor.name!r} are a one-hot label, pass "
        f"--latent-dim {rest}, too"
    )


def _count(models: ExternalModels, opened: OpenModel, index: int, stated: int | None, sizes: set[int]) -> int:
    tensor = opened.inputs[index]
    width = tensor.shape[-1] if tensor.dtype == "float32" and len(tensor.shape) > 1 else 1
    if models.latent_dim is not None:
        width = (width or 0) - models.latent_dim
    if width is None or width > 1:
        if stated not in (None, width) or width is None:
            raise ExportError(f"--label-count must be the one-hot label's width {width}, got {stated}")
        return width
    if stated is not None:
        return stated
    if len(sizes) != 1:
        sizes = {int(layer.input_dim) for layer in getattr(opened.model, "layers", []) if hasattr(layer, "input_dim")}
    if len(sizes) != 1:
        raise ExportError(
            f"the number of classes of {tensor.name!r} is unknown, because the decoder does not show it: pass "
            f"--label-count"
        )
    return sizes.pop()
