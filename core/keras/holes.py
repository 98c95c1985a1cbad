"""Loading of Keras models whose custom layers are left out: a stand-in knows their tensors' shapes and nothing else."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pocketvae.errors import ExportError
from pocketvae.keras.architecture import Architecture, Hole, rewritten
from pocketvae.keras.dequantize import load_dequantized
from pocketvae.keras.files import ModelHeader, ModelKind
from pocketvae.keras.io import import_flavour, import_tensorflow
from pocketvae.keras.model_form import Flavour
from pocketvae.parsing import sentences
from pocketvae.system.temporary import temporary_directory

_CONFIG, _WEIGHTS = "config.json", "model.weights.h5"


@dataclass(frozen=True, kw_only=True)
class HollowModel:
    """A model that was loaded without its custom layers.

    Attributes:
        model: The Keras model.
        architecture: What was rewritten in it.
        flavour: The Keras that loaded it.
    """

    model: Any
    architecture: Architecture
    flavour: Flavour


def load_hollow(path: Path, header: ModelHeader, flavours: tuple[Flavour, ...] | None = None) -> HollowModel:
    """Loads a file without any custom code, in float32 and with an open batch.

    Args:
        path: An archive of Keras or an HDF5 file.
        header: Its header, as `read_header` returned it.
        flavours: To try, in order; None for those of the header.

    Raises:
        ExportError: it needs custom code where no stand-in can be, or cannot be loaded.
        TargetError: TensorFlow or Keras is not installed.
    """
    problem: Exception | None = None
    for flavour in flavours or header.flavours:
        try:
            architecture = rewritten(header.config, flavour)
        except (RecursionError, KeyError, TypeError, ValueError) as e:
            raise ExportError(f"{path} is not a Keras model or is damaged: its architecture cannot be read") from e
        if architecture.unknown:
            raise ExportError(f"{path} needs custom code ({', '.join(architecture.unknown[:5])})")
        try:
            return HollowModel(
                model=_load(path, header, architecture, flavour), architecture=architecture, flavour=flavour
            )
        except ExportError:
            raise
        except Exception as e:  # Keras raises whatever its zip, HDF5 or JSON reader ran into
            problem = problem or e
    reason = (str(problem).strip() or type(problem).__name__).splitlines()[0]
    raise ExportError(f"{path} cannot be loaded as a Keras model: {sentences(reason)}") from problem


def _load(path: Path, header: ModelHeader, architecture: Architecture, flavour: Flavour) -> Any:
    if architecture.quantized:
        return load_dequantized(path, architecture.config)
    keras = import_flavour(flavour)
    stand_in = _stand_in_of_keras2 if flavour is Flavour.KERAS2 else _stand_in_of_keras3
    objects = {hole.token: stand_in(keras, hole) for hole in architecture.holes}
    with _with_config(path, header.kind, architecture.config) as changed:
        return keras.models.load_model(str(changed), custom_objects=objects, compile=False, safe_mode=True)


@contextlib.contextmanager
def _with_config(path: Path, kind: ModelKind, config: Mapping[str, Any]) -> Iterator[Path]:
    """Yields a copy of a model with another architecture."""
    text = json.dumps(config)
    with temporary_directory() as folder:
        changed = folder / f"model{kind.value}"
        if kind is ModelKind.ARCHIVE:
            with zipfile.ZipFile(path) as source, zipfile.ZipFile(changed, "w") as target:
                for name in source.namelist():
                    target.writestr(name, text if name == _CONFIG else source.read(name))
        else:
            import h5py

            shutil.copyfile(path, changed)
            with h5py.File(changed, "a") as file:
                file.attrs["model_config"] = text.encode()
                file.attrs.pop("training_config", None)
        yield changed


def model_groups(path: Path, names: Sequence[str]) -> dict[str, str]:
    """Returns where the weights of the models that a class holds are in an archive.

    Keras goes through the attributes by name, and through the list of layers when its name's turn comes: a model that
    was not met until then is written as `layers/functional_1` and the like.

    Args:
        path: The archive.
        names: Names of the attributes, in the order in which the class got them.

    Raises:
        ExportError: the archive holds other models.
    """
    import h5py

    with zipfile.ZipFile(path) as source, h5py.File(io.BytesIO(source.read(_WEIGHTS)), "r") as weights:
        listed = [f"layers/{entry}" for entry in weights.get("layers", ()) if "layers" in weights["layers"][entry]]
        found = {name: name for name in names if name in weights and "layers" in weights[name]}
    rest = [name for name in names if name not in found]
    listed.sort(key=lambda group: (len(group), group))
    if len(rest) != len(listed) and rest:
        raise ExportError(f"{path} does not hold the weights of {rest[0]!r}: save encoder and decoder on their own")
    return {**found, **dict(zip(rest, listed, strict=False))}


def part_of_archive(path: Path, group: str, config: Mapping[str, Any], target: Path) -> None:
    """Writes one model inside an archive of Keras as an archive of its own.

    Args:
        path: The archive.
        group: Where its weights are in the archive's weights, such as `encoder`.
        config: Its architecture.
        target: The file to write.

    Raises:
        ExportError: the archive does not hold weights there.
    """
    import h5py

    with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w") as archive:
        weights = io.BytesIO()
        with h5py.File(io.BytesIO(source.read(_WEIGHTS)), "r") as old, h5py.File(weights, "w") as new:
            if group not in old:
                raise ExportError(f"{path} does not hold the weights of {group!r}")
            for entry in old[group]:
                old.copy(f"{group}/{entry}", new)
            for key, value in old.attrs.items():
                new.attrs[key] = value
        archive.writestr("metadata.json", source.read("metadata.json"))
        archive.writestr(_CONFIG, json.dumps(config))
        archive.writestr(_WEIGHTS, weights.getvalue())


def make_reproducible(path: Path) -> None:
    """Rewrites an archive of Keras without times and addresses, so that the same model always has the same bytes."""
    with zipfile.ZipFile(path) as source:
        entries = {name: source.read(name) for name in source.namelist()}
    config = json.dumps(_without_addresses(json.loads(entries[_CONFIG])))
    metadata = {**json.loads(entries["metadata.json"]), "date_saved": ""}
    entries = {**entries, _CONFIG: config.encode(), "metadata.json": json.dumps(metadata).encode()}
    with zipfile.ZipFile(path, "w") as target:
        for name in sorted(entries):
            target.writestr(zipfile.ZipInfo(name), entries[name])


def _without_addresses(item: Any) -> Any:
    if isinstance(item, dict):
        return {key: _without_addresses(value) for key, value in item.items() if key != "shared_object_id"}
    return [_without_addresses(value) for value in item] if isinstance(item, list) else item


def _stand_in_of_keras3(keras: Any, hole: Hole) -> type:
    def compute_output_spec(self: Any, *args: Any, **kwargs: Any) -> Any:
        given = [item for item in keras.tree.flatten((args, kwargs)) if isinstance(item, keras.KerasTensor)]
        made = [keras.KerasTensor(shape or given[0].shape, dtype="float32") for shape in hole.shapes]
        return made if len(made) > 1 else made[0]

    return _layer_class(keras, hole, {"compute_output_spec": compute_output_spec})


def _stand_in_of_keras2(keras: Any, hole: Hole) -> type:
    def call(self: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        tf = import_tensorflow()
        first = tf.nest.flatten(inputs)[0]
        made = [_of_shape(tf, first, shape) for shape in hole.shapes]
        return made if len(made) > 1 else made[0]

    return _layer_class(keras, hole, {"call": call})


def _of_shape(tf: Any, first: Any, shape: tuple[int | None, ...] | None) -> Any:
    if shape is None:
        return tf.identity(first)
    return tf.zeros(tf.concat([tf.shape(first)[:1], [size or 1 for size in shape[1:]]], axis=0))


def _layer_class(keras: Any, hole: Hole, methods: dict[str, Any]) -> type:
    """Returns a class of the layer's own class name: the names of weights in an archive are made from those."""

    def build(self: Any, *args: Any, **kwargs: Any) -> None:
        self.built = True

    def load_own_variables(self: Any, store: Any) -> None:
        """Whatever it learned is left out with it."""

    members = {"build": build, "load_own_variables": load_own_variables, "is_hole": True, "hole": hole, **methods}
    return type(hole.class_name, (keras.layers.Layer,), members)
