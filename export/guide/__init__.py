"""EMBED.md and the model card, written from the manifest."""

from typing import TYPE_CHECKING

from pocketvae.lazy_names import lazy_names

if TYPE_CHECKING:
    from pocketvae.export.guide.page import embed_guide
    from pocketvae.export.guide.parts import recommended

_MODULES = {
    "pocketvae.export.guide.page": ("embed_guide",),
    "pocketvae.export.guide.parts": ("recommended",),
}

__all__ = [
    "embed_guide",
    "recommended",
]

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
