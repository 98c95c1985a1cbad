"""Projects of apps around a bundle's generator: Android, iOS, the web, Flutter and React Native."""

from typing import TYPE_CHECKING

from pocketvae.lazy_names import lazy_names

if TYPE_CHECKING:
    from pocketvae.export.app.project import MARKER, write_app

_MODULES = {
    "pocketvae.export.app.project": ("MARKER", "write_app"),
}

__all__ = [
    "MARKER",
    "write_app",
]

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
