"""ONNX files are prepared to one form, which computes what the user's file does."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from pocketvae.errors import ExportError
from pocketvae.export.external.messages import ExternalModels, PreparationRequest
from pocketvae.export.external.needs import needs_preparation
from pocketvae.export.external.preparation import prepare_models
from pocketvae.keras.model_form import Role
from pocketvae.keras.onnx.model import OnnxModel
from pocketvae.runtimes.onnxruntime import open_session
from tests.onnx_files import (
    codes_of_vectors,
    conditional_vae,
    conv_decoder,
    conv_encoder,
    decoder_of_codes,
    model,
    node,
    save,
    two_levels,
    values,
    whole_vae,
)

BFLOAT16 = TensorProto.BFLOAT16


def prepared(tmp_path, **files):
    paths = {name: save(made, tmp_path / f"my_{name}.onnx") for name, made in files.items()}
    out = tmp_path / "out"
    out.mkdir()
    models = ExternalModels(**paths)
    assert needs_preparation(models)
    return prepare_models(PreparationRequest(models=models, folder=str(out)))


@pytest.mark.parametrize("batch", ["batch", 1, 4])
def test_a_decoder_takes_any_batch_and_has_its_channels_last(tmp_path, batch):
    made = conv_decoder(batch=batch)
    found = prepared(tmp_path, decoder=made)
    z = values(np.random.default_rng(0), 5, 6)
    (images,) = open_session(found.models.decoder.read_bytes()).run(None, {"z": z})
    original = open_session(conv_decoder().SerializeToString())
    (expected,) = original.run(None, {"z": z})
    np.testing.assert_allclose(images, expected.transpose(0, 2, 3, 1), atol=1e-6)
    (line,) = found.found
    assert "image [N, C, H, W] is [N, H, W, C] in every artifact" in line
    assert ("its batch size made open" in line) is (batch != "batch")
    assert found.facts["decoder source"] == "my_decoder.onnx"


@pytest.mark.parametrize("batch", ["batch", 1])
def test_codes_stay_integers_and_their_number_is_that_of_the_table(tmp_path, batch):
    found = prepared(tmp_path, decoder=decoder_of_codes(batch), encoder=codes_of_vectors(batch))
    x = values(np.random.default_rng(0), 5, 1, 12, 12)
    (codes,) = open_session(found.models.encoder.read_bytes()).run(None, {"x": x.transpose(0, 2, 3, 1)})
    (expected,) = open_session(codes_of_vectors().SerializeToString()).run(None, {"x": x})
    assert codes.dtype == np.int64
    np.testing.assert_array_equal(codes, expected)
    assert OnnxModel(found.models.decoder).table_sizes("codes") == {8}
    assert OnnxModel(found.models.encoder).table_sizes("x") == set()


def test_samples_of_an_encoder_are_left_out(tmp_path):
    encoder = conv_encoder(draws=True, outputs=("mu", "logvar", "z"))
    found = prepared(tmp_path, decoder=conv_decoder(), encoder=encoder)
    assert [output.name for output in onnx.load(found.models.encoder).graph.output] == ["mu", "logvar"]
    assert "without its sampling" in found.found[0]


def test_an_encoder_that_only_returns_a_sample_is_cut_before_it(tmp_path):
    found = prepared(tmp_path, decoder=conv_decoder(), encoder=conv_encoder(draws=True, outputs=("z",)))
    assert found.models.encoder_outputs == (Role.MEAN, Role.LOG_VAR)
    kinds = {item.op_type for item in onnx.load(found.models.encoder).graph.node}
    assert "RandomNormalLike" not in kinds


def test_a_whole_vae_is_cut_at_its_sampling(tmp_path):
    path = save(whole_vae(), tmp_path / "vae.onnx")
    request = PreparationRequest(models=ExternalModels(decoder=path, encoder=path), folder=str(tmp_path))
    found = prepare_models(request)
    assert "sampling (left out) -> z [4] -> [decoder]" in found.found[0]
    encoder, decoder = (open_session(item.read_bytes()) for item in (found.models.encoder, found.models.decoder))
    x = values(np.random.default_rng(0), 3, 12)
    mean, log_variance = encoder.run(None, {"x": x})
    weights = {item.name: onnx.numpy_helper.to_array(item) for item in whole_vae().graph.initializer}
    np.testing.assert_allclose(mean, x @ weights["m"], atol=1e-6)
    np.testing.assert_allclose(log_variance, x @ weights["v"], atol=1e-6)
    (output,) = decoder.run(None, {"z": mean})
    np.testing.assert_allclose(output, np.tanh(mean @ weights["d"]), atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_a_whole_vae_of_another_type_is_cut_too(tmp_path, dtype):
    path = save(whole_vae(dtype=dtype), tmp_path / "vae.onnx")
    request = PreparationRequest(models=ExternalModels(decoder=path, encoder=path), folder=str(tmp_path))
    found = prepare_models(request)
    assert all(f"{np.dtype(dtype)} as float32" in line for line in found.found[1:])
    session = open_session(found.models.decoder.read_bytes())
    assert session.run(None, {"z": np.zeros((3, 4), np.float32)})[0].dtype == np.float32


def test_a_conditional_whole_vae_has_its_condition_in_both_parts(tmp_path):
    path = save(conditional_vae(), tmp_path / "vae.onnx")
    request = PreparationRequest(models=ExternalModels(decoder=path, encoder=path), folder=str(tmp_path))
    found = prepare_models(request)
    assert found.found[0].startswith("vae.onnx: x [12] -> [encoder] -> ")
    assert found.found[0].endswith("sampling (left out) -> z [4], c [3] -> [decoder]")
    encoder, decoder = (open_session(item.read_bytes()) for item in (found.models.encoder, found.models.decoder))
    rng = np.random.default_rng(0)
    x, c = values(rng, 3, 12), values(rng, 3, 3)
    weights = {item.name: onnx.numpy_helper.to_array(item) for item in conditional_vae().graph.initializer}
    mean, _ = encoder.run(None, {"x": x, "c": c})
    np.testing.assert_allclose(mean, np.concatenate([x, c], axis=1) @ weights["m"], atol=1e-6)
    (output,) = decoder.run(None, {"z": mean, "c": c})
    np.testing.assert_allclose(output, np.tanh(np.concatenate([mean, c], axis=1) @ weights["d"]), atol=1e-6)


def test_a_whole_vae_may_give_its_output_the_shape_of_the_data(tmp_path):
    made = whole_vae()
    nodes = [node("Shape", "x", "shape"), node("Reshape", "y shape", "r"), node("Tanh", "r", "reconstruction")]
    del made.graph.node[-1]
    made.graph.node.extend(nodes)
    path = save(made, tmp_path / "vae.onnx")
    found = prepare_models(
        PreparationRequest(models=ExternalModels(decoder=path, encoder=path), folder=str(tmp_path))
    ).models
    assert [given.name for given in onnx.load(found.decoder).graph.input] == ["z"]


def test_a_whole_vae_whose_decoder_reads_the_data_is_refused(tmp_path):
    path = save(conditional_vae("z x"), tmp_path / "vae.onnx")
    request = PreparationRequest(models=ExternalModels(decoder=path, encoder=path), folder=str(tmp_path))
    with pytest.raises(ExportError, match="cannot be cut: its decoder reads the data 'x', not the latent alone"):
        prepare_models(request)


def test_a_whole_vae_of_two_levels_is_cut_at_both_and_takes_the_mean_of_the_first(tmp_path):
    path = save(two_levels(), tmp_path / "vae.onnx")
    request = PreparationRequest(models=ExternalModels(decoder=path, encoder=path), folder=str(tmp_path))
    found = prepare_models(request)
    assert "-> z [4]; mu_2 [4], logvar_2 [4] -> sampling (left out) -> z_2 [4] -> [decoder]" in found.found[0]
    assert "the mean of 'z1' stands for its sample" in found.facts["posterior"]
    assert "draw both independently" in found.doubts[0]
    assert found.models.encoder_outputs == (Role.MEAN, Role.LOG_VAR) * 2
    encoder, decoder = (open_session(item.read_bytes()) for item in (found.models.encoder, found.models.decoder))
    x = values(np.random.default_rng(0), 3, 12)
    moments = encoder.run(None, {"x": x})
    weights = {item.name: onnx.numpy_helper.to_array(item) for item in two_levels().graph.initializer}
    both = np.concatenate([x, x @ weights["m"]], axis=1)
    for value, expected in zip(moments[2:], (both @ weights["m_2"], both @ weights["v_2"]), strict=True):
        np.testing.assert_allclose(value, expected, atol=1e-6)
    (output,) = decoder.run(None, {"z1": moments[0], "z2": moments[2]})
    np.testing.assert_allclose(output, np.concatenate(moments[::2], axis=1) @ weights["d"], atol=1e-6)


def test_an_encoder_of_two_levels_takes_the_mean_of_the_first(tmp_path):
    shapes = {name: ["b", 4] for name in ("z", "z_2")}
    decoder = model([node("Concat", "z z_2", "y", axis=1)], shapes, {"y": ["b", 8]})
    found = prepared(tmp_path, decoder=decoder, encoder=two_levels(("mu", "logvar", "z", "mu_2", "logvar_2", "z_2")))
    outputs = [output.name for output in onnx.load(found.models.encoder).graph.output]
    assert outputs == ["mu", "logvar", "mu_2", "logvar_2"]
    assert "the mean of 'z' stands for its sample" in found.facts["posterior"]


def test_a_whole_vae_that_cannot_be_cut_says_what_to_export(tmp_path):
    path = save(conv_decoder(), tmp_path / "vae.onnx")
    request = PreparationRequest(models=ExternalModels(decoder=path, encoder=path), folder=str(tmp_path))
    with pytest.raises(ExportError, match="cannot be cut: export decoder and encoder alone"):
        prepare_models(request)


def test_float16_is_prepared_as_float32(tmp_path):
    found = prepared(tmp_path, decoder=conv_decoder(dtype=np.float16))
    assert "float16 as float32" in found.found[0]


def in_bfloat16(*nodes, dtype=TensorProto.FLOAT):
    weights = {"w": values(np.random.default_rng(0), 4, 4).astype(helper.tensor_dtype_to_np_dtype(BFLOAT16))}
    return model(nodes, {"z": ["b", 4]}, {"y": ["b", 4]}, weights, dtype=dtype)


def test_bfloat16_is_refused_where_values_are_computed_in_it(tmp_path):
    stored = [node("Cast", "w", "v", to=TensorProto.FLOAT), node("MatMul", "z v", "y")]
    assert prepared(tmp_path, decoder=in_bfloat16(*stored)).models.decoder.is_file()
    inside = [node("Cast", "z", "a", to=BFLOAT16), node("MatMul", "a w", "b"), node("Cast", "b", "y", to=1)]
    (tmp_path / "out" / "decoder.onnx").unlink()
    (tmp_path / "out").rmdir()
    with pytest.raises(ExportError, match="computes in bfloat16, .*: export the model in float32"):
        prepared(tmp_path, decoder=in_bfloat16(*inside))
    (tmp_path / "out").rmdir()
    with pytest.raises(ExportError, match="'z' must be of float16, .* or of integers: export the model in float32"):
        prepared(tmp_path, decoder=in_bfloat16(node("MatMul", "z w", "y"), dtype=BFLOAT16))


def test_unknown_operators_are_named(tmp_path):
    made = model([node("Det", "z", "y")], {"z": ["b", 4, 4]}, {"y": ["b"]})
    with pytest.raises(ExportError, match="operators that pocketvae does not support: Det"):
        prepared(tmp_path, decoder=made)


def test_samples_that_are_mixed_are_refused(tmp_path):
    nodes = [node("ReduceMean", "z", "m", axes=[0], keepdims=1), node("Sub", "z m", "y")]
    with pytest.raises(ExportError, match="must treat every sample alone: .*ReduceMean"):
        prepared(tmp_path, decoder=model(nodes, {"z": ["b", 4]}, {"y": ["b", 4]}))


def test_training_mode_is_refused_with_what_to_call(tmp_path):
    nodes = [node("Dropout", "z ratio train", "d"), node("Tanh", "d", "y")]
    own = {"ratio": np.float32(0.5), "train": np.array(True)}
    made = model(nodes, {"z": ["b", 4]}, {"y": ["b", 4]}, own)
    with pytest.raises(ExportError, match=r"training mode \(Dropout\): call model.eval\(\)"):
        prepared(tmp_path, decoder=made)


def test_dropout_that_does_nothing_is_left_out(tmp_path):
    nodes = [node("Dropout", "z ratio train", "d"), node("Tanh", "d", "y")]
    made = model(nodes, {"z": ["b", 4]}, {"y": ["b", 4]}, {"ratio": np.float32(0.5), "train": np.array(False)})
    found = prepared(tmp_path, decoder=made)
    assert [item.op_type for item in onnx.load(found.models.decoder).graph.node] == ["Tanh"]


def test_a_decoder_that_draws_noise_is_refused(tmp_path):
    nodes = [node("RandomNormalLike", "z", "e"), node("Add", "z e", "y")]
    with pytest.raises(ExportError, match=r"depends on random numbers \(RandomNormalLike\)"):
        prepared(tmp_path, decoder=model(nodes, {"z": ["b", 4]}, {"y": ["b", 4]}))


def test_a_whole_vae_may_be_named_for_its_decoder_alone(tmp_path):
    found = prepared(tmp_path, decoder=whole_vae())
    assert "sampling (left out) -> z [4] -> [decoder]" in found.found[0]
    assert [given.name for given in onnx.load(found.models.decoder).graph.input] == ["z"]


def test_values_that_are_not_finite_are_blamed_on_weights_or_an_operator(tmp_path):
    given, made = {"z": ["b", 4]}, {"y": ["b", 4]}
    with pytest.raises(
        ExportError, match=r"not finite in 'y': all weights are finite, but Log makes the first .* in 'l'"
    ):
        prepared(tmp_path, decoder=model([node("Log", "z", "l"), node("Tanh", "l", "y")], given, made))
    weights = {"w": np.array([1, np.nan, 1, 1], np.float32)}
    (tmp_path / "out").rmdir()
    with pytest.raises(ExportError, match=r"not finite in 'y': its weights 'w' are not"):
        prepared(tmp_path, decoder=model([node("Mul", "z w", "y")], given, made, weights))


def test_what_goes_wrong_with_an_invalid_file_is_blamed_on_it(tmp_path):
    nodes = [node("Relu", "z", "a"), node("Relu", "a", "y"), node("Tanh", "y", "a")]
    made = model(nodes, {"z": ["b", 4]}, {"a": ["b", 4]})
    with pytest.raises(ExportError, match=r"is not a valid ONNX model \(.*static assignment.*\): export it again"):
        prepared(tmp_path, decoder=made)


def test_a_keras_encoder_does_not_go_with_an_onnx_decoder(tmp_path):
    keras = tmp_path / "encoder.keras"
    keras.write_bytes(b"PK\x03\x04")
    models = ExternalModels(decoder=save(conv_decoder(), tmp_path / "d.onnx"), encoder=keras)
    with pytest.raises(ExportError, match="must both be ONNX files, or neither"):
        prepare_models(PreparationRequest(models=models, folder=str(tmp_path)))


@pytest.mark.parametrize(
    ("option", "given"),
    [
        ("--code", {"decoder_code": "x.py:build"}),
        ("--decoder-signature", {"decoder_signature": "s"}),
        ("--decoder-part", {"decoder_part": "top"}),
        ("--joined-outputs", {"joined_outputs": Role.MEAN_LOG_VAR}),
    ],
)
def test_options_of_keras_models_are_refused(tmp_path, option, given):
    models = ExternalModels(decoder=save(conv_decoder(), tmp_path / "my.onnx"), **given)
    with pytest.raises(ExportError, match=f"{option} is for Keras models and SavedModels"):
        prepare_models(PreparationRequest(models=models, folder=str(tmp_path)))


def test_open_sizes_of_a_pair_are_those_that_are_stated(tmp_path):
    rng = np.random.default_rng(0)
    up = [node("ConvTranspose", "z w", "u", kernel_shape=[2, 2], strides=[2, 2]), node("Sigmoid", "u", "image")]
    decoder = model(up, {"z": ["b", 4, "h", "w"]}, {"image": ["b", 3, "h2", "w2"]}, {"w": values(rng, 4, 3, 2, 2)})
    down = [
        node("Conv", "x m", "mu", kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", "x v", "logvar", kernel_shape=[2, 2], strides=[2, 2]),
    ]
    own = {"m": values(rng, 4, 3, 2, 2), "v": values(rng, 4, 3, 2, 2)}
    sizes = {name: ["b", 4, "h", "w"] for name in ("mu", "logvar")}
    encoder = model(down, {"x": ["b", 3, "H", "W"]}, sizes, own)
    paths = {name: save(made, tmp_path / f"{name}.onnx") for name, made in (("decoder", decoder), ("encoder", encoder))}
    with pytest.raises(ExportError, match=r"got z \[\?, 4, \?, \?\]: state them with --latent-shape, in the file's"):
        prepare_models(PreparationRequest(models=ExternalModels(**paths), folder=str(tmp_path)))
    stated = ExternalModels(**paths, latent_shape=(4, 5, 6))
    (tmp_path / "out").mkdir()
    found = prepare_models(PreparationRequest(models=stated, folder=str(tmp_path / "out"))).models
    assert found.latent_shape is None
    z = values(rng, 2, 5, 6, 4)
    (image,) = open_session(found.decoder.read_bytes()).run(None, {"z": z})
    (expected,) = open_session(decoder.SerializeToString()).run(None, {"z": z.transpose(0, 3, 1, 2)})
    np.testing.assert_allclose(image, expected.transpose(0, 2, 3, 1), atol=1e-6)
    mean, _ = open_session(found.encoder.read_bytes()).run(None, {"x": image})
    assert mean.shape == (2, 5, 6, 4)
