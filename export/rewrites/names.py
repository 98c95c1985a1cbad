"""The rewrites by name, and which of them an export may use."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from pocketvae.errors import SpecError, unknown_name


class Rewrite(enum.StrEnum):
    """The rewrites, in the order in which they are tried."""

    TRANSPOSED_CONVOLUTION = "transposed_convolution"
    RESIZE_CONVOLUTION = "resize_convolution"
    DEPTH_TO_SPACE = "depth_to_space"
    NARROW_CONVOLUTION = "narrow_convolution"
    BATCH_NORMALIZATION = "batch_normalization"
    GROUP_NORMALIZATION = "group_normalization"


class Form(enum.StrEnum):
    """How the result is laid out, where there is more than one way.

    ROWS: one convolution for each row of the enlarged block, its columns side by side in the channels; joined row by
    row. PHASES: one convolution for each place in the block, which needs the fewest multiply-adds.
    """

    ROWS = "rows"
    PHASES = "phases"
    ONLY = "only"


@dataclass(frozen=True, kw_only=True)
class Step:
    """One rewrite in one form."""

    rewrite: Rewrite
    form: Form

    def __str__(self) -> str:
        return str(self.rewrite) if self.form is Form.ONLY else f"{self.rewrite} ({self.form})"


FORMS: dict[Rewrite, tuple[Form, ...]] = {
    Rewrite.TRANSPOSED_CONVOLUTION: (Form.ROWS, Form.PHASES),
    Rewrite.RESIZE_CONVOLUTION: (Form.ROWS, Form.PHASES),
    Rewrite.DEPTH_TO_SPACE: (Form.ROWS,),
    Rewrite.NARROW_CONVOLUTION: (Form.ONLY,),
    Rewrite.BATCH_NORMALIZATION: (Form.ONLY,),
    Rewrite.GROUP_NORMALIZATION: (Form.ONLY,),
}


@dataclass(frozen=True, kw_only=True)
class RewriteChoice:
    """Which rewrites an export uses.

    Attributes:
        tried: Kept where they are measured to be faster.
        wanted: Kept even where they are slower; still dropped where they are not equal.
    """

    tried: tuple[Rewrite, ...] = ()
    wanted: tuple[Rewrite, ...] = ()

    def __post_init__(self) -> None:
        both = set(self.tried) & set(self.wanted)
        if both:
            raise SpecError(f"a rewrite is either tried or wanted, got both for {', '.join(sorted(both))}")

    @property
    def considered(self) -> tuple[Rewrite, ...]:
        """All that may be used, in the order in which they are tried."""
        return tuple(rewrite for rewrite in Rewrite if rewrite in {*self.tried, *self.wanted})


AUTO = RewriteChoice(tried=tuple(Rewrite))
NONE = RewriteChoice()
ALL = RewriteChoice(wanted=tuple(Rewrite))
_WORDS = {"auto": AUTO, "none": NONE, "all": ALL}


def parse_rewrites(text: str) -> RewriteChoice:
    """Parses `auto`, `none`, `all` or names with commas between them.

    Raises:
        SpecError: a name is unknown, or no name is given.
    """
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words:
        raise SpecError(f"--rewrites takes {', '.join(_WORDS)} or names of rewrites, got {text!r}")
    if len(words) == 1 and words[0] in _WORDS:
        return _WORDS[words[0]]
    for word in words:
        if word in _WORDS:
            raise SpecError(f"--rewrites {word} must stand alone, got {text!r}")
        if word not in list(Rewrite):
            raise unknown_name("rewrite", word, [*_WORDS, *map(str, Rewrite)])
    return RewriteChoice(wanted=tuple(Rewrite(word) for word in dict.fromkeys(words)))
