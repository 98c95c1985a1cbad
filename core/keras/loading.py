"""Loading of user-supplied models, with their inputs and outputs under their own names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pocketvae.errors import ExportError
from pocketvae.keras.custom_code import NO_CUSTOM_CODE, CustomCode, custom_hint, custom_parts
from pocketvae.keras.files import ModelHeader, read_header
from pocketvae.keras.io import import_tensorflow, load_model, load_saved_model
from pocketvae.keras.model_form import Flavour
from pocketvae.keras.onnx.model import OnnxModel
from pocketvae.keras.saved_model import impure_operators
from pocketvae.keras.signature_names import makers_of, names_by_layer

_SIGNATURE = "serving_default"
_CODE_HINT = (
    "define them in a file of Python, --custom-code FILE.py, or save the weights and name a function that builds the "
    "part that they belong to, --code FILE.py:build_decoder"
)
# Messages of Keras 2 and 3 about a missing class or function.
_CUSTOM_WORDS = (
    "custom class",
    "unknown layer",
    "unknown object",
    "could not locate",
    "custom_object",
    "lambda",
    "safe_mode",
)


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """An input or output as a model declares it; None stands for a dynamic dimension.

    Attributes:
        name: Of the layer that makes it, or in the signature.
        dtype: numpy name of the element type.
        shape: With the batch.
        key: Its name in the signature, where that is another.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]
    key: str = ""


@dataclass(frozen=True, kw_only=True)
class OpenModel:
    """A loaded model whose inputs and outputs do not have roles yet.

    Attributes:
        flavour: That loaded it.
        keras_version: Version of the Keras that wrote it, if the file says.
        model: The functional Keras model, or the SavedModel's signature.
        inputs: Inputs in the model's order.
        outputs: Outputs in the model's order.
        call: Function that runs it on one value per input and returns one value per output.
        custom_code: Whether custom code was run.
        owner: Object that has to be kept alive, for a SavedModel.
    """

    flavour: Flavour
    keras_version: str
    model: Any
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    call: Callable[[Sequence[Any]], list[Any]]
    custom_code: bool = False
    owner: Any = None


def open_model(path: Path, code: CustomCode = NO_CUSTOM_CODE, signature: str = "") -> OpenModel:
    """Loads a model with the flavour that the file names, then with the other.

    Args:
        path: A Keras file, a SavedModel folder or a prepared ONNX file.
        code: What of the model's own code may run.
        signature: Signature of a SavedModel; empty for its only one, or `serving_default`.

    Raises:
        ExportError: it cannot be loaded, needs code that is not allowed, or does not have the signature.
        TargetError: TensorFlow or Keras is not installed.
    """
    header = read_header(path)
    parts = custom_parts(header.config)
    if parts and not code.allowed:
        raise ExportError(f"{path} needs custom code ({', '.join(parts[:5])}): {custom_hint(parts)}")
    if header.flavours == (Flavour.SAVED_MODEL,):
        return _open_saved_model(path, signature, code)
    if header.flavours == (Flavour.ONNX,):
        return _open_onnx(path)
    if signature:
        raise ExportError(f"{path} is a Keras model, which does not have signatures: leave out {signature!r}")
    model, flavour = load_any(path, header.flavours, code, needs_code=bool(parts))
    return replace(_describe_keras(path, model, flavour, header), custom_code=bool(parts) or bool(code.file))


def load_any(
    path: Path, flavours: Sequence[Flavour], code: CustomCode, *, needs_code: bool = False
) -> tuple[Any, Flavour]:
    """Loads a Keras model with the first flavour that can.

    Args:
        path: An archive of Keras or an HDF5 file.
        flavours: To try, in order.
        code: Which custom code may run.
        needs_code: Whether the file is known to need some.

    Raises:
        ExportError: none can.
        TargetError: TensorFlow or Keras is not installed.
    """
    problems: list[str] = []
    for flavour in flavours:
        try:
            return load_model(path, flavour, code), flavour
        except ExportError as e:
            problems.append(str(e))
    # The flavour that the file names gives the best error message.
    needs_code = needs_code or any(word in problems[0].lower() for word in _CUSTOM_WORDS)
    if not needs_code:
        raise ExportError(problems[0])
    if not code.allowed and not code.file:
        raise ExportError(f"{problems[0]}: {custom_hint()}")
    lacks = f"{code.file} does not define all of it" if code.file else "the file does not hold the code of its classes"
    raise ExportError(f"{path} cannot be loaded, since {lacks}: {_CODE_HINT} ({problems[0]})")


def one_or_all(values: list[Any]) -> Any:
    """Returns a single value as it is and several as a list, as Keras expects."""
    return values if len(values) > 1 else values[0]


def _describe_keras(path: Path, model: Any, flavour: Flavour, header: ModelHeader) -> OpenModel:
    if not getattr(model, "inputs", None) or not getattr(model, "outputs", None):
        raise ExportError(f"{path} is not a functional model: save it as a SavedModel, which names inputs and outputs")
    return OpenModel(
        flavour=flavour,
        keras_version=header.keras_version,
        model=model,
        inputs=tuple(_tensor(tensor.name, tensor) for tensor in model.inputs),
        outputs=tuple(_tensor(name, tensor) for name, tensor in zip(output_names(model), model.outputs, strict=True)),
        call=keras_call(model),
    )


def keras_call(model: Any) -> Callable[[Sequence[Any]], list[Any]]:
    """Returns a call of a functional Keras model in inference mode, one value per input and per output."""
    import_tensorflow()

    def call(values: Sequence[Any]) -> list[Any]:
        outputs = model(one_or_all(list(values)), training=False)
        return _flat(outputs)

    return call


def _flat(outputs: Any) -> list[Any]:
    # Both flavours flatten a dict in the order of its sorted keys, as TensorFlow does.
    flat: list[Any] = import_tensorflow().nest.flatten(outputs)
    return flat


def output_names(model: Any) -> list[str]:
    """Names each output by its key in a dict, or by the layer that makes it."""
    return _keys_of(model) or [_producer(tensor) for tensor in model.outputs]


def returns_dict(model: Any) -> bool:
    """Whether a functional model returns its outputs in a dict."""
    return bool(_keys_of(model))


def _keys_of(model: Any) -> list[str]:
    structures = [getattr(model, attribute, None) for attribute in ("_outputs_struct", "_nested_outputs")]
    return next((sorted(map(str, item)) for item in structures if isinstance(item, dict)), [])


def _producer(tensor: Any) -> str:
    history = tensor._keras_history
    maker = getattr(history, "operation", None) or getattr(history, "layer", None)
    return str(getattr(maker, "name", tensor.name))


def _tensor(name: str, declared: Any) -> Tensor:
    dtype = getattr(declared.dtype, "name", declared.dtype)
    shape = tuple(None if size is None else int(size) for size in declared.shape)
    return Tensor(name=name.split(":")[0], dtype=str(dtype), shape=shape)


def _open_saved_model(path: Path, signature: str, code: CustomCode) -> OpenModel:
    loaded = load_saved_model(path, code)
    function = _choose_signature(path, dict(loaded.signatures), signature)
    # The order of a signature's names differs between processes.
    inputs = dict(sorted(function.structured_input_signature[1].items()))
    outputs = dict(sorted(function.structured_outputs.items()))
    names = names_by_layer(makers_of(function))

    def call(values: Sequence[Any]) -> list[Any]:
        made = function(**{name: _tensor_of(value) for name, value in zip(inputs, values, strict=True)})
        return [made[name] for name in outputs]

    return OpenModel(
        flavour=Flavour.SAVED_MODEL,
        keras_version="",
        model=function,
        inputs=tuple(_signature_tensor(path, name, spec) for name, spec in inputs.items()),
        outputs=tuple(_named(_signature_tensor(path, key, spec), names[key]) for key, spec in outputs.items()),
        call=call,
        custom_code=code.allowed and bool(impure_operators(path)),
        owner=loaded,
    )


def _open_onnx(path: Path) -> OpenModel:
    model = OnnxModel(path)
    graph = model.proto.graph
    return OpenModel(
        flavour=Flavour.ONNX,
        keras_version="",
        model=model,
        inputs=tuple(_declared(value) for value in graph.input),
        outputs=tuple(_declared(value) for value in graph.output),
        call=model.call,
    )


def _declared(value: Any) -> Tensor:
    from onnx import helper

    kind = value.type.tensor_type
    sizes = tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in kind.shape.dim)
    return Tensor(name=value.name, dtype=helper.tensor_dtype_to_np_dtype(kind.elem_type).name, shape=sizes)


def _choose_signature(path: Path, signatures: dict[str, Any], named: str) -> Any:
    found = ", ".join(sorted(signatures)) or "none"
    if named:
        if named not in signatures:
            raise ExportError(f"{path} does not have the signature {named!r}: it has {found}")
        return signatures[named]
    if not signatures:
        raise ExportError(
            f"{path} has no signature, so its inputs and outputs are not known: save it with one, as "
            f"model.export(FOLDER) of Keras 3 and model.save(FOLDER) of Keras 2 do"
        )
    if _SIGNATURE not in signatures and len(signatures) != 1:
        raise ExportError(
            f"a SavedModel must have the signature {_SIGNATURE} or only one; {path} has {found}: name one with "
            f"--decoder-signature, or --encoder-signature of an encoder"
        )
    return signatures.get(_SIGNATURE) or next(iter(signatures.values()))


def _tensor_of(value: Any) -> Any:
    return import_tensorflow().convert_to_tensor(value)


def _signature_tensor(path: Path, name: str, spec: Any) -> Tensor:
    if spec.shape.rank is None:
        raise ExportError(f"{path}: the rank of {name!r} must be known")
    return _tensor(name, spec)


def _named(tensor: Tensor, name: str) -> Tensor:
    return tensor if name == tensor.name else replace(tensor, name=name, key=tensor.name)
