"""Custom code in user-supplied models: found before anything is loaded, and run only if that is allowed."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pocketvae.errors import ExportError
from pocketvae.keras.known_parts import FUNCTIONS, KNOWN, PURE_OPERATORS, TRAINING, is_pure_function
from pocketvae.parsing import sentences, shortened

_MODULE = "pocketvae_custom_code"
# The modules of Keras that define what a model consists of. Others load, download and unpack.
_PLACES = "activations|constraints|dtype_policies|engine|initializers|layers|losses|metrics|mixed_precision|models"
_MODULES = re.compile(
    rf"builtins|(tf_)?keras(\.api)?(\.src)?(\.({_PLACES}|ops|optimizers|quantizers|regularizers)(\.\w+)*)?"
)
_NAME = 60


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
        if self.allowed or self.file is not None:
            # Custom code may import what lies beside it. Workers leave the current folder out (`-P`), since a `code.py`
            # there would run in the place of Python's own, without permission; at the end nothing is hidden by it.
            beside = str(Path.cwd() if self.file is None else Path(self.file).resolve().parent)
            sys.path.extend([beside] if beside not in sys.path else [])
        if self.file is None:
            return {}
        spec = importlib.util.spec_from_file_location(_MODULE, self.file)
        if spec is None or spec.loader is None or not Path(self.file).is_file():
            missing = "" if Path(self.file).exists() else ", which does not exist"
            raise ExportError(f"custom code must be a Python file, got {self.file}{missing}")
        module = importlib.util.module_from_spec(spec)
        sys.modules[_MODULE] = module
        try:
            spec.loader.exec_module(module)
        except Exception as e:
            raise ExportError(f"{self.file} failed: {type(e).__name__}: {sentences(e)}") from e
        return {
            name: value
            for name, value in vars(module).items()
            if callable(value) and getattr(value, "__module__", None) == _MODULE
        }


NO_CUSTOM_CODE = CustomCode()


def custom_parts(config: Any) -> tuple[str, ...]:
    """Returns the names of the parts of a model's architecture that may do more than compute.

    These are Lambda layers, custom classes and functions, layers that read a file or another model, and functions of
    TensorFlow that are not on the list of pure ones, however deeply they are nested. Keras' own guard is not enough:
    Keras 2 unpacks the code of a Lambda layer in an HDF5 file whatever `safe_mode` says, and runs any function of
    TensorFlow that a layer names.

    Args:
        config: The architecture as Keras JSON.
    """
    return tuple(dict.fromkeys(_walk(config)))


def custom_hint(parts: Sequence[str] = ()) -> str:
    """Returns what helps where a model needs custom code.

    Args:
        parts: What of, see `custom_parts`; none where it is not known.
    """
    if all(part == "Lambda" or " of " in part for part in parts):
        # The file holds the code of these.
        return "pass --allow-custom-code if you trust the file, or give its Python code with --custom-code"
    return (
        "give the Python code that defines it with --custom-code FILE.py, or pass --allow-custom-code if you trust "
        "the file and Python can import that code"
    )


def _walk(config: Any) -> Iterator[str]:
    # Models are loaded without their optimizer and losses, so the outermost ones are not looked at.
    if isinstance(config, dict):
        config = {key: value for key, value in config.items() if key != "compile_config"}
    waiting = [config]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            waiting.extend(reversed(item))
        elif isinstance(item, dict):
            if "class_name" in item:
                yield from _problems(item)
            waiting.extend(reversed(item.values()))


def _problems(part: dict[str, Any]) -> Iterator[str]:
    """Yields what one object of an architecture needs permission for."""
    name, config = part["class_name"], part.get("config")
    if name in ("__lambda__", "Lambda"):
        yield "Lambda"
    elif name in ("TFOpLambda", "SlicingOpLambda"):
        function = config.get("function") if isinstance(config, dict) else None
        if not (isinstance(function, str) and is_pure_function(function)):
            yield f"{name} of {shortened(function, _NAME)}"
    elif name == "TensorFlowOpLayer":
        node = config.get("node_def") if isinstance(config, dict) else None
        operator = node.get("op") if isinstance(node, dict) else None
        if not _is_one_of(PURE_OPERATORS, operator):
            yield f"{name} of {shortened(operator, _NAME)}"
    elif name == "function":
        registered = part.get("registered_name") or name
        known = FUNCTIONS | TRAINING | {name}
        if not (_is_one_of(known, config) and _is_one_of(known, registered) and _is_of_keras(part)):
            yield shortened(config, _NAME)
    elif not _is_one_of(KNOWN, name) or part.get("registered_name") not in (None, "", name) or not _is_of_keras(part):
        yield shortened(name, _NAME)


def _is_one_of(known: frozenset[str], name: object) -> bool:
    return isinstance(name, str) and name in known


def _is_of_keras(part: dict[str, Any]) -> bool:
    module = part.get("module")
    return module is None or (isinstance(module, str) and _MODULES.fullmatch(module) is not None)
