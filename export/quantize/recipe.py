"""Quantization recipes: the outcome of a search, which reproduces the artifact without one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from pocketvae.bundle.manifest import MANIFEST_NAME
from pocketvae.documents import decode
from pocketvae.errors import ExportError, SpecError
from pocketvae.export.quantize.search import QuantizationPlan
from pocketvae.export.rewrites.names import Step
from pocketvae.export.tuning.names import Tuning
from pocketvae.spec import STRICT, ArtifactSpec, ImageDtype
from pocketvae.vae_spec import VaeSpec

# 2: `image_shape` is called `data_shape`.
SCHEMA_VERSION = 2
# Of a bundle, where export writes recipes.
FOLDER = "recipes"
_MISSING = "which does not exist: export writes recipes to BUNDLE/recipes"
_SEARCHED = ("int8", "int8_io")


def _renamed_shape(data: dict[str, Any]) -> dict[str, Any]:
    return {"data_shape" if key == "image_shape" else key: value for key, value in data.items()}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The quantization of every layer of one artifact.

    Attributes:
        artifact: File name that the recipe is for.
        data_shape: Shape of one item of the model's data.
        latent_dim: Latent dimensions of the model.
        layers: Number of weights by layer; a model with other layers is refused.
        float_layers: Layers to keep in float.
        range_scales: Fraction of the calibrated output range that the integers cover, by layer.
        weights_only: Those of the float layers whose weights are stored in 8 bits.
        four_bits: Integer layers whose weights are stored in 4 bits.
        rewrites: Exact rewrites that the model's graph has; the layers are those of the rewritten graph.
        tuning: How the graph was changed further to lose less in 8 bits; None where it was not.
    """

    __pydantic_config__ = STRICT
    UPGRADES: ClassVar = {1: _renamed_shape}
    schema_version: int = SCHEMA_VERSION
    artifact: str
    data_shape: tuple[int, ...]
    latent_dim: int
    layers: dict[str, int]
    float_layers: tuple[str, ...] = ()
    range_scales: dict[str, float] = field(default_factory=dict)
    weights_only: tuple[str, ...] = ()
    four_bits: tuple[str, ...] = ()
    rewrites: tuple[Step, ...] = ()
    tuning: Tuning | None = None

    def __post_init__(self) -> None:
        if ArtifactSpec.parse(self.artifact).precision not in _SEARCHED:
            raise SpecError(f"a recipe is for an int8 or int8_io artifact, got {self.artifact}")
        for name in (*self.float_layers, *self.range_scales, *self.four_bits):
            if name not in self.layers:
                raise SpecError(f"the recipe for {self.artifact} refers to the layer {name!r} but does not list it")
        for name in self.weights_only:
            if name not in self.float_layers:
                raise SpecError(f"weights_only must name float layers, got {name!r} in the recipe for {self.artifact}")
        for name, scale in self.range_scales.items():
            if not 0 < scale <= 1:
                raise SpecError(f"a range must be scaled by more than 0 and at most 1, got {scale} for {name!r}")

    @property
    def plan(self) -> QuantizationPlan:
        """The plan that the search would have found."""
        return QuantizationPlan(
            float_layers=self.float_layers,
            range_scales=self.range_scales,
            weights_only=self.weights_only,
            four_bits=self.four_bits,
        )

    def check_model(self, vae: VaeSpec) -> None:
        """Checks that a model has the interface of the recipe.

        Raises:
            SpecError: its image or latent has another size.
        """
        if (self.data_shape, self.latent_dim) != (vae.data_shape, vae.latent_dim):
            raise SpecError(
                f"the recipe for {self.artifact} is for a model of data {list(self.data_shape)} with "
                f"{self.latent_dim} latent dimensions, but this one has {list(vae.data_shape)} and {vae.latent_dim}"
            )

    def check_layers(self, layers: Mapping[str, int]) -> None:
        """Checks that a model has the layers of the recipe.

        Args:
            layers: Number of weights by layer of the model.

        Raises:
            ExportError: names the first layer that differs.
        """
        for name, size in self.layers.items():
            if name not in layers:
                raise ExportError(
                    f"the recipe for {self.artifact} is for another model: this one has no layer {name!r}"
                )
            if layers[name] != size:
                raise ExportError(
                    f"the recipe for {self.artifact} is for another model: layer {name!r} must have {size} weights, "
                    f"got {layers[name]}"
                )
        for name in layers:
            if name not in self.layers:
                raise ExportError(
                    f"the recipe for {self.artifact} is for another model: it does not list the layer {name!r}"
                )


def recipe_name(spec: ArtifactSpec) -> str:
    """Returns the artifact whose recipe an artifact follows: how images are stored changes no layer."""
    return replace(spec, image_dtype=ImageDtype.FLOAT32).filename


def read_recipes(paths: Iterable[Path]) -> dict[str, Recipe]:
    """Reads recipes: files, and every `.json` of folders; artifact name to recipe.

    Raises:
        SpecError: a path is missing, a folder has none, or two are for one artifact.
        ManifestError: a file is not a recipe.
    """
    recipes: dict[str, Recipe] = {}
    for path in paths:
        found = sorted(path.glob("*.json")) if path.is_dir() else [path]
        if (path / MANIFEST_NAME).is_file():
            raise SpecError(
                f"a recipe must be a JSON file or a folder of JSON files, got a bundle: pass {path / FOLDER}"
            )
        if not found or not all(file.is_file() for file in found):
            reason = "a folder without one" if path.is_dir() else "which is no file" if path.exists() else _MISSING
            raise SpecError(f"a recipe must be a JSON file or a folder of JSON files, got {path}, {reason}")
        for file in found:
            recipe = decode(Recipe, file.read_bytes(), str(file))
            if recipe.artifact in recipes:
                raise SpecError(f"there are two recipes for {recipe.artifact}: name only one of them")
            recipes[recipe.artifact] = recipe
    return recipes
