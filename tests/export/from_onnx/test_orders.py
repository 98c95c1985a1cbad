"""Where the channels are is decided for decoder and encoder together."""

from pathlib import Path

import numpy as np
import pytest

from pocketvae.export.from_onnx.folding import fix_batch, shapes_of
from pocketvae.export.from_onnx.orders import arranged
from pocketvae.keras.model_form import DataFormat
from pocketvae.runtimes.onnxruntime import open_session
from pocketvae.spec import Component
from tests.from_onnx_parts import Part
from tests.onnx_files import model, node, values

FIRST, LAST = DataFormat.CHANNELS_FIRST, DataFormat.CHANNELS_LAST
RNG = np.random.default_rng(0)


def part(nodes, inputs, outputs, **weights):
    made = model(nodes, inputs, outputs, weights)
    fix_batch(Path("m.onnx"), made)
    return Part(made)


def decided(decoder, encoder=None, stated=None):
    parts = {Component.DECODER: decoder} | ({Component.ENCODER: encoder} if encoder else {})
    found, doubts = arranged(parts, stated, is_image=False)
    return {name: value for own in found.values() for name, value in own.items()}, doubts


def reshaping_decoder(sizes, last="Sigmoid"):
    nodes = [node("Gemm", "z w", "g"), node("Reshape", "g s", "r"), node(last, "r", "data")]
    w = values(RNG, 4, int(np.prod(sizes)))
    return part(nodes, {"z": ["b", 4]}, {"data": ["b", *sizes]}, w=w, s=np.array([-1, *sizes]))


def conv_encoder(sizes, kernel):
    """x of any number of axes behind the channels -> mu, as large as x."""
    w = values(RNG, 2, sizes[0], *kernel)
    nodes = [node("Conv", "x w", "h"), node("Flatten", "h", "f"), node("ReduceMean", "f", "mu", axes=[1])]
    return part(nodes, {"x": ["b", *sizes]}, {"mu": ["b", 1]}, w=w)


def flat_encoder(count):
    return part([node("Gemm", "x w", "mu")], {"x": ["b", count]}, {"mu": ["b", 4]}, w=values(RNG, count, 4))


def test_a_convolution_in_one_file_says_it_for_both():
    found, doubts = decided(reshaping_decoder((6, 32)), conv_encoder((6, 32), (3,)))
    assert (found["data"], found["x"], doubts) == (True, True, ())
    turned = [node("Transpose", "x", "t", perm=[0, 2, 1]), node("MatMul", "t w", "m"), node("Flatten", "m", "mu")]
    encoder = part(turned, {"x": ["b", 6, 32]}, {"mu": ["b", 160]}, w=values(RNG, 6, 5))
    nodes = [node("Gemm", "z w", "g"), node("Reshape", "g s", "r"), node("Conv", "r k", "data")]
    weights = {"w": values(RNG, 4, 256), "s": np.array([-1, 8, 32]), "k": values(RNG, 6, 8, 1)}
    decoder = part(nodes, {"z": ["b", 4]}, {"data": ["b", 6, 32]}, **weights)
    found, doubts = decided(decoder, encoder)
    assert (found["data"], found["x"], doubts) == (True, True, ())
    # Alone, the encoder turns a sequence whose channels are last.
    assert decided(part([node("Relu", "z", "y")], {"z": ["b", 3]}, {"y": ["b", 3]}), encoder)[0]["x"] is False


def test_latents_follow_the_file_that_shows_them():
    # As many steps as channels, so that no size says it.
    nodes = [node("Transpose", "z", "t", perm=[0, 2, 1]), node("MatMul", "t w", "y")]
    decoder = part(nodes, {"z": ["b", 8, 8]}, {"y": ["b", 8, 8]}, w=values(RNG, 8, 8))
    encoder = part([node("Conv", "x k", "mu")], {"x": ["b", 2, 8]}, {"mu": ["b", 8, 8]}, k=values(RNG, 8, 2, 1))
    assert decided(decoder)[0]["z"] is False
    found, _ = decided(decoder, encoder)
    assert (found["z"], found["mu"]) == (True, True)
    flattening = part(
        [node("Flatten", "z", "f"), node("Gemm", "f w", "y")],
        {"z": ["b", 16, 4, 4]},
        {"y": ["b", 3]},
        w=values(RNG, 256, 3),
    )
    encoder = part(
        [node("Conv", "x k", "mu")], {"x": ["b", 1, 4, 4]}, {"mu": ["b", 16, 4, 4]}, k=values(RNG, 16, 1, 1, 1)
    )
    found, _ = decided(flattening, encoder)
    assert (found["z"], found["mu"]) == (True, True)


def test_files_that_show_different_orders_keep_their_own():
    decoder = part([node("Conv", "z w", "y")], {"z": ["b", 2, 8, 8]}, {"y": ["b", 8, 8, 8]}, w=values(RNG, 8, 2, 1, 1))
    nodes = [node("Transpose", "x", "t", perm=[0, 3, 1, 2]), node("Conv", "t w", "h"), node("Flatten", "h", "mu")]
    encoder = part(nodes, {"x": ["b", 8, 8, 8]}, {"mu": ["b", 64]}, w=values(RNG, 1, 8, 1, 1))
    found, _ = decided(decoder, encoder)
    assert (found["y"], found["x"]) == (True, False)


def test_what_nothing_shows_is_said_and_can_be_stated():
    found, doubts = decided(reshaping_decoder((6, 32)))
    assert found["data"] is False
    assert doubts == (
        "nothing shows which axis of 'data' [6, 32] is time: 6 time steps of 32 channels were assumed; state it with "
        "--data-format channels_first or channels_last",
    )
    assert decided(reshaping_decoder((6, 32)), stated=FIRST) == ({"z": False, "data": True}, ())
    assert decided(reshaping_decoder((6, 32)), stated=LAST) == ({"z": False, "data": False}, ())
    # Volumes and images have few channels.
    assert decided(reshaping_decoder((1, 6, 6, 6)))[0]["data"] is True
    assert decided(reshaping_decoder((6, 6, 6, 1)))[0]["data"] is False
    # What operators show counts for more.
    assert decided(reshaping_decoder((6, 32)), conv_encoder((6, 32), (3,)), LAST)[0]["x"] is True


def ran(made, feed):
    return open_session(made.SerializeToString()).run(None, feed)[0]


@pytest.mark.parametrize("flat_side", ["encoder", "decoder"])
def test_a_flat_side_gets_the_axes_of_the_other(flat_side):
    rng = np.random.default_rng(1)
    if flat_side == "encoder":
        decoder, encoder = reshaping_decoder((3, 4, 5)), flat_encoder(60)
        own, name, sizes = encoder, "x", (3, 4, 5)
    else:
        decoder, encoder = (
            part([node("Gemm", "z w", "data")], {"z": ["b", 4]}, {"data": ["b", 60]}, w=values(RNG, 4, 60)),
            conv_encoder((3, 4, 5), (1, 1)),
        )
        own, name, sizes = decoder, "data", (3, 4, 5)
    before = own.model.SerializeToString()
    parts = {Component.ENCODER: encoder, Component.DECODER: decoder}
    found, doubts = arranged(parts, None, is_image=True)
    assert doubts == ()
    assert shapes_of(own.model)[name] == [1, *sizes]
    assert own.changes == [f"{name} [N, 60] is [N, 3, 4, 5]"]
    flat = values(rng, 1, 60)
    z = values(rng, 1, 4)
    given = {"x": flat} if flat_side == "encoder" else {"z": z}
    (expected,) = open_session(before).run(None, given)
    new = {"x": flat.reshape(1, *sizes)} if flat_side == "encoder" else given
    for made in (own.model, own.original):
        np.testing.assert_array_equal(ran(made, new).reshape(expected.shape), expected)
    assert {found[component][key] for component, key in (("encoder", "x"), ("decoder", "data"))} == {True}


def test_a_flat_side_of_one_channel_stays_flat():
    decoder, encoder = reshaping_decoder((1, 4, 5)), flat_encoder(20)
    assert arranged({Component.ENCODER: encoder, Component.DECODER: decoder}, None, is_image=True)[1] == ()
    assert shapes_of(encoder.model)["x"] == [1, 20]


def test_a_latent_of_one_place_beside_flat_moments_is_flat():
    up = [node("ConvTranspose", "z k", "data")]
    decoder = part(up, {"z": ["b", 6, 1, 1]}, {"data": ["b", 1, 4, 4]}, k=values(RNG, 6, 1, 4, 4))
    nodes = [node("Flatten", "x", "f"), node("Gemm", "f w", "mu"), node("Gemm", "f w", "logvar")]
    encoder = part(nodes, {"x": ["b", 1, 4, 4]}, {"mu": ["b", 6], "logvar": ["b", 6]}, w=values(RNG, 16, 6))
    before, z = decoder.model.SerializeToString(), values(RNG, 1, 6)
    arranged({Component.ENCODER: encoder, Component.DECODER: decoder}, None, is_image=True)
    (expected,) = open_session(before).run(None, {"z": z.reshape(1, 6, 1, 1)})
    np.testing.assert_array_equal(ran(decoder.model, {"z": z}), expected)


def flat_pair(last="Sigmoid", count=768):
    nodes = [node("Gemm", "z w", "g"), node(last, "g", "data")]
    decoder = part(nodes, {"z": ["b", 4]}, {"data": ["b", count]}, w=values(RNG, 4, count))
    return {Component.ENCODER: flat_encoder(count), Component.DECODER: decoder}


def test_flat_images_in_colour_have_their_channels_first_as_pytorch_flattens_them():
    parts = flat_pair()
    _, (doubt,) = arranged(parts, None, is_image=True)
    assert "'data' were assumed to be a 16x16 image whose 3 channels come first, as PyTorch flattens images" in doubt
    assert shapes_of(parts[Component.DECODER].model)["data"] == [1, 3, 16, 16]
    assert shapes_of(parts[Component.ENCODER].model)["x"] == [1, 3, 16, 16]
    parts = flat_pair()
    assert arranged(parts, FIRST, is_image=True)[1] == ()
    assert shapes_of(parts[Component.DECODER].model)["data"] == [1, 3, 16, 16]
    parts = flat_pair(count=720)
    _, (doubt,) = arranged(parts, None, is_image=True, image_shape=(12, 20, 3))
    assert shapes_of(parts[Component.DECODER].model)["data"] == [1, 3, 12, 20]


@pytest.mark.parametrize(
    ("pair", "given"),
    [
        (flat_pair(), {"stated": LAST, "is_image": True}),
        (flat_pair(), {"stated": None, "is_image": False}),
        # Of any values: a vector as far as anything shows.
        (flat_pair(last="Relu"), {"stated": None, "is_image": True}),
        # 28x28 in grey.
        (flat_pair(count=784), {"stated": None, "is_image": True}),
        (flat_pair(count=784), {"stated": None, "is_image": True, "image_shape": (28, 28, 1)}),
    ],
)
def test_others_stay_flat(pair, given):
    assert arranged(pair, **given)[1] == ()
    assert len(shapes_of(pair[Component.DECODER].model)["data"]) == 2
