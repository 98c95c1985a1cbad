import re
from pathlib import Path

import numpy as np
import pytest

from pocketvae.errors import ExportError, SpecError
from pocketvae.export.external.graph import TracedGraph
from pocketvae.export.external.outputs import Observed, data_position, found_line, more_outputs
from pocketvae.export.external.roles import Wanted
from pocketvae.keras.loading import OpenModel, Tensor
from pocketvae.keras.model_form import Flavour
from pocketvae.outputs import Meaning
from pocketvae.vae_spec import DataKind

FILE = Path("d.keras")
TAKEN = ("z", "image")


def returned(shape, last="BiasAdd", *, low=-1.5, high=2.0, dtype="float32", seed=0):
    """An output of four samples with the operator that makes it."""
    values = np.random.default_rng([seed, *shape]).uniform(low, high, (4, *shape))
    return values.astype(dtype), last


def decoder(*, takes=(8,), **outputs):
    """A decoder whose outputs end in these operators."""
    operators, shapes = {"start": ("MatMul", ())}, []
    for name, (values, last) in outputs.items():
        operators[name] = (last, ("start",) * (2 if last == "BiasAdd" else 1) if last != "Placeholder" else ())
        shapes.append((1, *values.shape[1:]))
    graph = TracedGraph(operators=operators, outputs=tuple(outputs), shapes=tuple(shapes), functions=())
    opened = OpenModel(
        flavour=Flavour.KERAS3,
        keras_version="3",
        model=None,
        inputs=(Tensor(name="z", dtype="float32", shape=(None, *takes)),),
        outputs=tuple(
            Tensor(name=name, dtype="float32", shape=(None, *values.shape[1:])) for name, (values, _) in outputs.items()
        ),
        call=lambda values: values,
    )
    return Observed(opened=opened, values=[values for values, _ in outputs.values()], graph=graph)


def image(size=28, last="Sigmoid", seed=0):
    return returned((size, size, 1), last, low=0.0, high=1.0, seed=seed)


def chosen(seen, named="", wanted=None):
    position, doubt = data_position(seen, named, wanted, FILE)
    return seen.outputs[position].name, doubt


def beside(seen, wanted=None):
    position, _ = data_position(seen, "", wanted, FILE)
    return more_outputs(seen, position, wanted, TAKEN, FILE)


def test_of_several_scales_the_finest_holds_the_data():
    seen = decoder(half=image(14), full=image(28), quarter=image(7))
    assert chosen(seen) == ("full", "")
    assert chosen(seen, named="half") == ("half", "")
    found = beside(seen)
    assert [(item.name, item.shape, item.meaning) for item in found.outputs.values()] == [
        ("half", (14, 14, 1), Meaning.VALUES),
        ("quarter", (7, 7, 1), Meaning.VALUES),
    ]
    assert all(item.is_picture and item.range_is_strict and item.span == 1.0 for item in found.outputs.values())
    assert (found.doubts, found.left_out) == ((), ())
    with pytest.raises(ExportError, match="does not have the output 'x': it has 'half', 'full', 'quarter'"):
        chosen(seen, named="x")


def test_an_image_holds_the_data_beside_classes():
    shares = returned((3,), "Softmax", low=0.0, high=1.0)
    heads = decoder(digit_logits=returned((10,)), picture=image(8), probabilities=shares)
    assert chosen(heads) == ("picture", "")
    logits, probabilities = beside(heads).outputs.values()
    assert (logits.meaning, logits.data, logits.range_is_strict) == (Meaning.LOGITS, DataKind.VECTOR, False)
    assert (probabilities.meaning, probabilities.data_range) == (Meaning.PROBABILITIES, (0.0, 1.0))


@pytest.mark.parametrize(
    ("name", "last", "low", "meaning", "doubt"),
    [
        ("x_log_var", "BiasAdd", -4.0, Meaning.LOG_VAR, ""),
        ("logvar", "BiasAdd", -4.0, Meaning.LOG_VAR, ""),
        ("log_sigma", "BiasAdd", -4.0, Meaning.LOG_STD, ""),
        ("sigma", "Softplus", 0.1, Meaning.STD, ""),
        ("variance", "Exp", 0.1, Meaning.VAR, ""),
        ("sigma", "BiasAdd", -4.0, Meaning.LOG_VAR, "has negative values .* --more-outputs sigma=log_std"),
        ("log_var", "Softplus", 0.1, Meaning.STD, "ends in Softplus .* --more-outputs log_var=log_var"),
        ("conv_5", "Softplus", 0.1, Meaning.STD, "assumed to be a standard deviation: --more-outputs conv_5=var"),
        ("conv_5", "BiasAdd", -4.0, Meaning.VALUES, "may be their noise: --more-outputs conv_5=log_var"),
    ],
)
def test_noise_is_known_by_its_name_and_operator(name, last, low, meaning, doubt):
    for shape in ((28, 28, 1), (1,)) if not name.startswith("conv") else ((28, 28, 1),):
        # The order says nothing.
        for seen in (
            decoder(**{name: returned(shape, last, low=low), "mean": image()}),
            decoder(mean=image(), **{name: returned(shape, last, low=low)}),
        ):
            assert chosen(seen) == ("mean", "")
            found = beside(seen)
            (output,) = found.outputs.values()
            assert output.meaning is meaning
            if doubt:
                assert re.search(doubt, found.doubts[0])
            else:
                assert found.doubts == ()


def test_noise_has_a_span_of_its_own():
    flat = decoder(mean=image(), log_var=returned((28, 28, 1), low=-3.0, high=-2.9))
    (log_var,) = beside(flat).outputs.values()
    # A hundredth of 0.1 would ask for a standard deviation that is right to a thousandth.
    assert log_var.span == 2.0
    wide = decoder(mean=image(), log_var=returned((28, 28, 1), low=-9.0, high=1.0))
    assert next(iter(beside(wide).outputs.values())).span == pytest.approx(10, abs=0.1)
    scale = decoder(mean=image(), std=returned((28, 28, 1), "Softplus", low=0.5, high=0.6))
    assert next(iter(beside(scale).outputs.values())).data_range == (0.0, pytest.approx(0.6, abs=0.01))


def test_a_scale_of_an_image_is_no_noise_for_its_name():
    (half,) = beside(decoder(full=image(28), scale_half=image(14))).outputs.values()
    assert half.meaning is Meaning.VALUES


def test_what_the_user_says_goes_first():
    seen = decoder(a=image(), b=returned((28, 28, 1), "Softplus", low=0.1))
    found = beside(seen, (Wanted(name="b", meaning=Meaning.VAR),))
    assert [item.meaning for item in found.outputs.values()] == [Meaning.VAR]
    assert found.doubts == ()
    assert beside(seen, ()).outputs == {}
    with pytest.raises(SpecError, match="unknown further output of d.keras 'c': known: b"):
        beside(seen, (Wanted(name="c"),))
    negative = decoder(a=image(), b=returned((28, 28, 1)))
    with pytest.raises(ExportError, match="'b' cannot be std: it has negative values"):
        beside(negative, (Wanted(name="b", meaning=Meaning.STD),))


def test_alike_outputs_are_a_doubt():
    seen = decoder(b=image(seed=1), a=image(seed=2))
    name, doubt = chosen(seen)
    assert name == "b"
    assert "'b' and 'a', 'b' was assumed to hold the data: name it with --decoder-output-name" in doubt
    # What is asked for beside the data is not the data.
    assert chosen(seen, wanted=(Wanted(name="b"),)) == ("a", "")


def test_what_cannot_be_exported_is_left_out_by_name():
    picture = image()
    seen = decoder(
        mean=picture,
        sample=returned((28, 28, 1), "RandomStandardNormal"),
        same=picture,
        argmax=returned((28, 28), "ArgMax", low=0, high=9, dtype="int64"),
        given=returned((8,), "Placeholder"),
    )
    found = beside(seen)
    assert found.outputs == {}
    assert found.left_out == (
        "'sample' is drawn at random",
        "'same' is the same as 'mean'",
        "'argmax' holds int64, not real numbers",
        "'given' is an input",
    )
    assert "'mean' holds the data, image; left out: 'sample' is drawn" in found_line(FILE, seen, 0, "image", found)
    with pytest.raises(ExportError, match="the output 'sample' of d.keras cannot be exported: it is drawn at random"):
        beside(seen, (Wanted(name="sample"),))


def test_names_are_identifiers_of_their_own():
    seen = decoder(**{"out": image(), "image": image(14), "3/x y": image(7), "x_y": image(5), "7": image(3)})
    assert [item.name for item in beside(seen).outputs.values()] == ["image_2", "x_y", "x_y_2", "output_7"]


def test_a_mean_and_a_variance_of_a_latent_are_an_encoder_s():
    seen = decoder(takes=(8, 8, 1), z_mean=returned((3,)), z_log_var=returned((3,)))
    message = r"'z_mean' \[N, 3\], 'z_log_var' .* pass it with --encoder, else .*, --decoder-output-name z_mean"
    with pytest.raises(ExportError, match=message):
        chosen(seen)
    assert chosen(seen, named="z_mean") == ("z_mean", "")


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ({"out": ("Softplus", ("x",))}, "Softplus"),
        ({"s": ("Softplus", ("x",)), "out": ("AddV2", ("s", "small"))}, "Softplus"),
        ({"s": ("Exp", ("x",)), "m": ("Mul", ("two", "s")), "out": ("Reshape", ("m",))}, "Exp"),
        ({"s": ("Softplus", ("x",)), "out": ("AddV2", ("s", "below"))}, "AddV2"),
        ({"s": ("Softplus", ("x",)), "out": ("AddV2", ("s", "x"))}, "AddV2"),
        ({"s": ("Softplus", ("x",)), "out": ("Sub", ("s", "small"))}, "Sub"),
    ],
)
def test_what_is_added_to_a_positive_output_does_not_hide_that_it_is_one(nodes, expected):
    numbers = {"small": (1e-4, 1e-4), "two": (2.0, 2.0), "below": (-1.0, 1.0)}
    constants = dict.fromkeys(numbers, ("Const", ()))
    operators = {"x": ("MatMul", ()), **constants, **nodes}
    graph = TracedGraph(operators=operators, outputs=("out",), shapes=((1, 2),), functions=(), numbers=numbers)
    assert graph.nonlinearity(0) == expected
