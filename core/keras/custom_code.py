"""Custom code in user-supplied models: found before anything is loaded, and run only if that is allowed."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pocketvae.errors import ExportError

_MODULE = "pocketvae_custom_code"
_OWN_PACKAGES = ("builtins", "keras", "tf_keras")


@dataclass(frozen=True, kw_only=True)
class CustomCode:
    """The custom code that may run while a model is loaded.

    Attributes:
        allowed: Whether Lambda layers and classes that are not part of Keras may be loaded.
        file: A Python file to run first; it defines the model's custom classes and functions.
    """

    allowed: bool = False
    file: str | None = None

    def objects(self) -> dict[str, Any]:
        """Runs the file and returns its public classes and functions by name.

        Raises:
            ExportError: the file is missing or fails.
        """
        if self.file is None:
            return {}
        spec = importlib.util.spec_from_file_location(_MODULE, self.file)
        if spec is None or spec.loader is None or not Path(self.file).is_file():
            raise ExportError(f"custom code must be a Python file, got {self.file}")
        module = importlib.util.module_from_spec(spec)
        sys.modules[_MODULE] = module
        try:
            spec.loader.exec_module(module)
        except Exception as e:
            raise ExportError(f"{self.file} failed: {type(e).__name__}: {str(e)[:200]}") from e
        return {
            name: value
            for name, value in vars(module).items()
            if callable(value) and getattr(value, "__module__", None) == _MODULE
        }


NO_CUSTOM_CODE = CustomCode()


def custom_parts(config: Any) -> tuple[str, ...]:
    """Returns the names of the Lambda layers and custom classes in a model's architecture.

    Keras' own guard is not enough: Keras 2 unpacks the code of a Lambda layer in an `.h5` file whatever `safe_mode`
    says. Classes in an `.h5` file do not record their package, so a custom class is only noticed when it is missing.

    Args:
        config: The architecture as Keras JSON.
    """
    return tuple(dict.fromkeys(_walk(config)))


def _walk(config: Any) -> Iterator[str]:
    if isinstance(config, list):
        for item in config:
            yield from _walk(item)
    if isinstance(config, dict):
        name = str(config.get("class_name", ""))
        if name == "__lambda__" or name == "Lambda":
            yield "Lambda"
        elif name and _is_foreign(config):
            yield name
        for item in config.values():
            yield from _walk(item)


def _is_foreign(config: dict[str, Any]) -> bool:
    module, registered = config.get("module"), config.get("registered_name")
    if isinstance(module, str):
        return module.split(".")[0] not in _OWN_PACKAGES
    return bool(registered)
