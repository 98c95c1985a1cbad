"""Where an exported file can run: the oldest runtime, and the operators that accelerators leave out."""

from pocketvae.portability.lint import lint
from pocketvae.portability.records import Backend, FallOff, Portability, Requirement
from pocketvae.portability.requirements import oldest_runtime

__all__ = ["Backend", "FallOff", "Portability", "Requirement", "lint", "oldest_runtime"]
