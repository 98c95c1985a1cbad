"""EMBED.md: code that runs a bundle's files in apps, written from the manifest."""

from pocketvae.export.guide.page import embed_guide
from pocketvae.export.guide.parts import recommended

__all__ = ["embed_guide", "recommended"]
