import pytest

from pocketvae.errors import ExportError, SpecError
from pocketvae.export import DecoderOutput, ExternalModels, Role
from pocketvae.export.external.roles import (
    classifier_doubt,
    data_kind_of,
    image_shape_of,
    output_meaning,
    with_image_range,
)
from pocketvae.keras.custom_code import CustomCode, custom_parts
from pocketvae.vae_spec import DataKind, Likelihood


@pytest.mark.parametrize(
    ("named", "last", "low", "high", "likelihood", "limits", "strict", "doubt"),
    [
        (None, "Sigmoid", 0.1, 0.9, Likelihood.UNKNOWN, (0, 1), True, False),
        (None, "Maximum", 0.0, 1.0, Likelihood.UNKNOWN, (0, 1), True, False),
        (None, "Tanh", -0.5, 0.9, Likelihood.UNKNOWN, (-1, 1), True, False),
        (None, "BiasAdd", -6.123, 7.5, Likelihood.UNKNOWN, (-6.2, 7.5), False, True),
        (None, "Relu", 0.0, 0.9, Likelihood.UNKNOWN, (0, 1), False, True),
        (DecoderOutput.IMAGE, "Mul", 0.0, 255.0, Likelihood.UNKNOWN, (0, 255), False, False),
        (DecoderOutput.LOGITS, "BiasAdd", -6.0, 7.0, Likelihood.BERNOULLI, (0, 1), True, False),
        (DecoderOutput.PROBABILITIES, "Mul", 0.0, 1.0, Likelihood.UNKNOWN, (0, 1), True, False),
    ],
)
def test_the_meaning_of_a_decoder_s_output(named, last, low, high, likelihood, limits, strict, doubt):
    meaning = output_meaning(named, last, low, high)
    assert (meaning.likelihood, meaning.is_strict, bool(meaning.doubt)) == (likelihood, strict, doubt)
    assert meaning.data_range == pytest.approx(limits)


def test_what_was_named_must_fit_the_samples():
    with pytest.raises(ExportError, match=r"probabilities needs values in \[0, 1\], got -6 to 7"):
        output_meaning(DecoderOutput.PROBABILITIES, "BiasAdd", -6.0, 7.0)
    with pytest.raises(ExportError, match="cannot be logits if its last operator is Sigmoid"):
        output_meaning(DecoderOutput.LOGITS, "Sigmoid", 0.0, 1.0)


def test_image_shapes():
    assert image_shape_of((8, 9, 3), None) == (8, 9, 3)
    assert image_shape_of((784,), None) == (28, 28, 1)
    assert image_shape_of((192,), None) == (8, 8, 3)
    assert image_shape_of((24,), (4, 2, 3)) == (4, 2, 3)
    assert image_shape_of((3, 28, 28), (3, 28, 28)) == (3, 28, 28)
    assert image_shape_of((28, 28, 16), None) == (28, 28, 16)
    for shape, named, message in (
        ((24,), None, "24 values are not a square image: state the shape with --image-shape"),
        ((24,), (4, 4, 1), "must have the decoder's 24 values, got 16"),
        ((8, 8, 1), (4, 4, 4), "must be 8,8,1 as in the decoder, got 4,4,4"),
        (
            (3, 28, 28),
            None,
            r"looks like channels first: end it with a Permute\(\(2, 3, 1\)\) layer, or state --image-",
        ),
        ((8, 8), None, r"an image must be \[N, H, W, C\] or a flat \[N, P\], got \[N, 8, 8\]"),
    ):
        with pytest.raises(ExportError, match=message):
            image_shape_of(shape, named)


def kind(shape, stated=None, named=None, taken=None, is_bounded=False):
    return data_kind_of(shape, stated, named=named, taken=taken, is_bounded=is_bounded)


@pytest.mark.parametrize(
    ("shape", "changes", "expected"),
    [
        ((28, 28), {"is_bounded": True, "has_steps": False}, DataKind.IMAGE),
        ((28, 28), {"is_bounded": True, "has_steps": True}, DataKind.SEQUENCE),
        ((28, 28), {"is_bounded": False, "has_steps": False}, DataKind.SEQUENCE),
        ((64, 3), {"is_bounded": True, "has_steps": False}, DataKind.SEQUENCE),
        ((8, 8), {"is_bounded": False, "taken": (8, 8, 1)}, DataKind.IMAGE),
    ],
)
def test_a_missing_channel_axis_is_seen(shape, changes, expected):
    kind, doubt = data_kind_of(shape, None, **{"named": None, "taken": None, **changes})
    assert kind is expected
    assert ("--data-kind sequence says that they are not" in doubt) == (
        expected is DataKind.IMAGE and shape == (28, 28)
    )
    assert data_kind_of((8, 8), DataKind.IMAGE, named=None, taken=None, is_bounded=False) == (DataKind.IMAGE, "")


def test_the_kind_of_data_follows_from_the_shape():
    assert [kind(shape)[0] for shape in ((8, 8, 3), (64, 3), (4, 8, 8, 1), (24,))] == [
        DataKind.IMAGE,
        DataKind.SEQUENCE,
        DataKind.VOLUME,
        DataKind.VECTOR,
    ]
    with pytest.raises(ExportError, match=r"of 1 to 4 dimensions, got \[N, 1, 2, 3, 4, 5\]"):
        kind((1, 2, 3, 4, 5))


def test_a_square_number_of_values_is_an_image_only_where_they_are_bounded_like_pixels():
    assert kind((784,), is_bounded=True) == (
        DataKind.IMAGE,
        "the decoder's 784 values were assumed to be a 28x28 image: --data-kind vector says that they are not",
    )
    assert kind((3072,), is_bounded=True)[0] is DataKind.IMAGE
    assert kind((64,), is_bounded=True) == kind((784,)) == (DataKind.VECTOR, "")
    # An encoder of images, or the user, knows.
    assert kind((64,), taken=(8, 8, 1)) == kind((64,), named=(8, 8, 1)) == (DataKind.IMAGE, "")
    assert kind((64,), DataKind.IMAGE) == (DataKind.IMAGE, "")
    assert kind((784,), DataKind.VECTOR, is_bounded=True) == (DataKind.VECTOR, "")
    with pytest.raises(ExportError, match=r"a decoder of sequences returns \[N, time steps, channels\], got \[N, 64\]"):
        kind((64,), DataKind.SEQUENCE)


def test_foreign_code_is_found_without_loading():
    layer = {"module": "keras.layers", "class_name": "Dense", "config": {}, "registered_name": None}
    foreign = {"module": None, "class_name": "Sampling", "config": {}, "registered_name": "Sampling"}
    away = {"module": "shop.layers", "class_name": "Warp", "config": {}, "registered_name": "shop>Warp"}
    lambda_ = {"class_name": "Lambda", "config": {"function": ["4wEA", None, None]}}
    assert custom_parts({"config": {"layers": [layer]}}) == ()
    assert custom_parts({"config": {"layers": [layer, foreign, away, lambda_]}}) == ("Sampling", "Warp", "Lambda")


def test_custom_code_is_a_python_file(tmp_path):
    file = tmp_path / "code.py"
    file.write_text("import math\n\n\nclass Layer:\n    pass\n\n\ndef double(x):\n    return 2 * x\n")
    assert sorted(CustomCode(allowed=True, file=str(file)).objects()) == ["Layer", "double"]
    file.write_text("raise ValueError('no')")
    with pytest.raises(ExportError, match="failed: ValueError: no"):
        CustomCode(allowed=True, file=str(file)).objects()
    with pytest.raises(ExportError, match="must be a Python file"):
        CustomCode(allowed=True, file=str(tmp_path / "none.py")).objects()


def test_options_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(SpecError, match="--encoder-outputs needs --encoder"):
        ExternalModels(decoder=tmp_path, encoder_outputs=(Role.MEAN, Role.LOG_VAR))
    with pytest.raises(SpecError, match="--image-shape must be positive"):
        ExternalModels(decoder=tmp_path, image_shape=(0, 1, 1))
    for limits in ((1.0, 1.0), (1.0, 0.0), (float("nan"), 1.0), (0.0, float("inf"))):
        with pytest.raises(SpecError, match="--image-range must be LOW,HIGH, got"):
            ExternalModels(decoder=tmp_path, image_range=limits)
    with pytest.raises(SpecError, match="--image-range is for images, but --data-kind is sequence"):
        ExternalModels(decoder=tmp_path, image_range=(0.0, 1.0), data_kind=DataKind.SEQUENCE)
    with pytest.raises(SpecError, match="--label-count must be at least 1"):
        ExternalModels(decoder=tmp_path, label_count=0)


@pytest.mark.parametrize(
    ("bounds", "expected", "strict"),
    [
        ((0.0, 1.0000001), (0.0, 1.0), True),
        ((-1.0, 1.0), (-1.0, 1.0), True),
        ((0.0, 255.0), (0.0, 255.0), True),
        ((-1000.0, 1000.0), (0.0, 1.0), False),
        (None, (0.0, 1.0), False),
    ],
)
def test_a_range_that_the_last_operators_prove_is_the_image_s(bounds, expected, strict):
    high = 200.0 if bounds == (0.0, 255.0) else 0.9
    meaning = output_meaning(None, "AddV2", 0.1, high, bounds)
    assert (meaning.data_range, meaning.is_strict) == (expected, strict)
    assert bool(meaning.doubt) is not strict


def ranged(low, high, stated=None, named=None, last="BiasAdd", is_image=True):
    return with_image_range(output_meaning(named, last, low, high), stated, (low, high), is_image=is_image)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (-0.2, 1.3, (0.0, 1.0)),
        (0.1, 1.1, (0.0, 1.0)),
        (-1.4, 1.2, (-1.0, 1.0)),
        (-0.8, 0.7, (-1.0, 1.0)),
        (-3.0, 250.0, (0.0, 255.0)),
        # As sampled: of no usual range.
        (-6.2, 7.5, (-6.2, 7.5)),
        (-0.2, 0.2, (-0.2, 0.2)),
        (-0.3, 100.0, (-1.0, 100.0)),
    ],
)
def test_images_that_nothing_bounds_have_a_usual_range_if_samples_are_about_there(low, high, expected):
    found = ranged(low, high)
    assert found.data_range == pytest.approx(expected)
    assert not found.is_strict
    assert "with --image-range LOW,HIGH" in found.doubt
    assert not ranged(low, high, named=DecoderOutput.IMAGE).doubt
    # Signals keep the range of their samples.
    assert ranged(low, high, is_image=False) == output_meaning(None, "BiasAdd", low, high)


def test_a_stated_range_is_that_of_images_that_nothing_bounds():
    found = ranged(-3.4, 4.3, (-1.0, 1.0))
    assert (found.data_range, found.is_strict, found.doubt) == ((-1.0, 1.0), False, "")
    assert found.reason == "as returned, -3.4 to 4.3 in samples, black -1 and white 1 (stated with --image-range)"
    assert ranged(0.1, 0.9, (0.0, 1.0), last="Sigmoid") == output_meaning(None, "Sigmoid", 0.1, 0.9)
    with pytest.raises(ExportError, match=r"--image-range -1,1 contradicts the decoder, whose images are in \[0, 1\]"):
        ranged(0.1, 0.9, (-1.0, 1.0), last="Sigmoid")
    with pytest.raises(ExportError, match="--image-range is for images, and the decoder's data are none"):
        ranged(-3.4, 4.3, (-1.0, 1.0), is_image=False)


def test_a_decoder_that_looks_like_a_classifier_is_doubted():
    assert "10 values that sum to 1 for an input [28, 28, 1], as a classifier does" in classifier_doubt(
        (10,), (28, 28, 1), [1.0, 0.9999]
    )
    assert classifier_doubt((10,), (28, 28, 1), [1.0, 0.9]) == ""
    # A decoder of proportions: more values than its latent has.
    assert classifier_doubt((10,), (4,), [1.0]) == ""
    assert classifier_doubt((4, 4, 1), (28, 28, 1), [1.0]) == ""
