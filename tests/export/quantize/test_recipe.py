import pytest

from pocketvae.documents import encode
from pocketvae.errors import ExportError, ManifestError, SpecError
from pocketvae.export import ExportConfig, Recipe, plan_artifacts, read_recipes
from pocketvae.spec import Component, Format, Precision
from pocketvae.vae_spec import VaeSpec, vector_latent

VAE = VaeSpec(data_shape=(4, 4, 1), latents=vector_latent(2))
LAYERS = {"hidden": 12, "pixels": 48}


def recipe(**changes):
    values = {
        "artifact": "decoder.int8.tflite",
        "data_shape": (4, 4, 1),
        "latent_dim": 2,
        "layers": LAYERS,
        "float_layers": ("hidden",),
        "range_scales": {"pixels": 0.8},
    }
    return Recipe(**{**values, **changes})


def test_a_recipe_comes_back_from_its_file(tmp_path):
    (tmp_path / "decoder.json").write_text(encode(recipe()))
    for path in (tmp_path, tmp_path / "decoder.json"):
        assert read_recipes([path]) == {"decoder.int8.tflite": recipe()}
    assert recipe().plan.float_layers == ("hidden",)
    assert recipe().plan.range_scales == {"pixels": 0.8}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"artifact": "decoder.float16.tflite"}, "a recipe is for an int8 or int8_io artifact, got decoder.float16"),
        ({"float_layers": ("other",)}, "refers to the layer 'other' but does not list it"),
        ({"range_scales": {"pixels": 1.5}}, "more than 0 and at most 1, got 1.5 for 'pixels'"),
        ({"weights_only": ("pixels",)}, "weights_only must name float layers, got 'pixels'"),
        ({"range_scales": {"pixels": 0.0}}, "more than 0 and at most 1, got 0.0"),
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused(changes, message):
    with pytest.raises(SpecError, match=message):
        recipe(**changes)


def test_files_that_are_no_recipes_are_refused(tmp_path):
    with pytest.raises(SpecError, match="a recipe must be a JSON file or a folder of JSON files"):
        read_recipes([tmp_path])
    with pytest.raises(
        SpecError, match=r"a recipe must be a JSON file .*missing\.json, which does not exist: export wri"
    ):
        read_recipes([tmp_path / "missing.json"])
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "manifest.json").write_text("{}")
    with pytest.raises(SpecError, match=r"a recipe must be a JSON file .*, got a bundle: pass .*recipes"):
        read_recipes([tmp_path / "bundle"])
    (tmp_path / "bad.json").write_text('{"schema_version": 1, "artifact": ')
    with pytest.raises(ManifestError, match="is not valid JSON"):
        read_recipes([tmp_path])
    (tmp_path / "bad.json").write_text('{"schema_version": 9}')
    with pytest.raises(ManifestError, match="upgrade pocketvae"):
        read_recipes([tmp_path])


def test_two_recipes_for_one_artifact_are_refused(tmp_path):
    for name in ("a.json", "b.json"):
        (tmp_path / name).write_text(encode(recipe()))
    with pytest.raises(SpecError, match=r"there are two recipes for decoder\.int8\.tflite"):
        read_recipes([tmp_path])


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ({"hidden": 12}, "this one has no layer 'pixels'"),
        ({"hidden": 12, "pixels": 47}, "layer 'pixels' must have 48 weights, got 47"),
        ({**LAYERS, "more": 1}, "it does not list the layer 'more'"),
    ],
)
def test_a_recipe_of_another_model_is_refused_with_the_layer_named(layers, message):
    recipe().check_layers(LAYERS)
    with pytest.raises(ExportError, match=message):
        recipe().check_layers(layers)


def test_a_recipe_of_a_model_of_another_size_is_refused_before_any_work():
    recipe().check_model(VAE)
    with pytest.raises(
        SpecError, match=r"data \[4, 4, 1\] with 2 latent dimensions, but this one has \[8, 8, 1\] and 2"
    ):
        recipe().check_model(VaeSpec(data_shape=(8, 8, 1), latents=vector_latent(2)))


def test_a_recipe_for_what_is_not_made_is_refused():
    artifacts = plan_artifacts([Component.ENCODER], [Format.TFLITE], [Precision.INT8])
    with pytest.raises(SpecError, match=r"decoder\.int8\.tflite, which is not one of the artifacts to export"):
        ExportConfig(artifacts=artifacts, recipes={"decoder.int8.tflite": recipe()})


def test_recipes_for_more_than_is_made_are_refused_with_one_that_fits():
    artifacts = plan_artifacts([Component.DECODER], [Format.TFLITE], [Precision.INT8])
    names = ("decoder.int8.tflite", "encoder.int8.tflite")
    with pytest.raises(
        SpecError, match=r"encoder\.int8\.tflite, .* such as --recipe recipes/decoder\.int8\.tflite\.json$"
    ):
        ExportConfig(artifacts=artifacts, recipes=dict.fromkeys(names, recipe()))
