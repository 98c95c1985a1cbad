import pytest

from pocketvae.errors import ExportError
from pocketvae.export.external.inputs import (
    condition_names,
    decoder_inputs,
    encoder_inputs,
    label_position,
    latent_names,
)
from pocketvae.keras.loading import Tensor
from pocketvae.keras.model_form import Role
from pocketvae.vae_spec import Condition, ConditionKind, VaeSpec, class_label, vector_latent

Z, X, LABEL, CONDITION, Z_LABEL, X_LABEL = Role.Z, Role.X, Role.LABEL, Role.CONDITION, Role.Z_LABEL, Role.X_LABEL


def floats(**widths):
    return [Tensor(name=name, dtype="float32", shape=(None, *sizes)) for name, sizes in widths.items()]


@pytest.mark.parametrize(
    ("inputs", "label_count", "expected"),
    [
        (floats(x=(8, 8, 1), condition=(5,)), None, 1),
        (floats(a=(5,), b=(8, 8, 1)), None, 0),
        (floats(z=(3,), b=(5,)), 5, 1),
        (floats(z=(5,), class_label=(5,)), 5, 1),
        (floats(one_hot=(5,), z=(3,)), None, 0),
        # Neither has the stated number of classes: the label's own is told later.
        (floats(z=(8,), y=(10,)), 7, 1),
    ],
)
def test_a_one_hot_label_is_found(inputs, label_count, expected):
    assert label_position(inputs, label_count) == expected


@pytest.mark.parametrize("label_count", [None, 4])
def test_two_vectors_without_telling_names_are_refused(label_count):
    with pytest.raises(
        ExportError, match=r"'a' \[N, 3\], 'b' \[N, 5\]: pass --label-count 3 if it is the narrower, or"
    ):
        label_position(floats(a=(3,), b=(5,)), label_count)
    with pytest.raises(ExportError, match=r"'a' \[N, 5\], 'b' \[N, 5\]: state what they are with --decoder-inputs"):
        label_position(floats(a=(5,), b=(5,)), label_count)


def integer(name, shape=(), dtype="int32"):
    return Tensor(name=name, dtype=dtype, shape=(None, *shape))


def found(inputs, stated=None, label_count=None, latent_dim=None):
    return decoder_inputs(inputs, stated=stated, label_count=label_count, latent_dim=latent_dim)


@pytest.mark.parametrize(
    ("inputs", "roles", "sources"),
    [
        (floats(z=(8,)), (Z,), ((0,),)),
        (floats(z=(8,), y=(10,)), (Z, LABEL), ((0,), (1,))),
        (floats(z=(8,), y=(1,)), (Z, LABEL), ((0,), (1,))),
        (floats(z=(8,), cond=(4,)), (Z, CONDITION), ((0,), (1,))),
        (floats(attributes=(4,), input_2=(8,)), (CONDITION, Z), ((1,), (0,))),
        # An embedding of a class holds real numbers.
        (floats(z=(8,), class_emb=(16,)), (Z, CONDITION), ((0,), (1,))),
        (floats(z=(8,), label_embedding=(16,)), (Z, CONDITION), ((0,), (1,))),
        ([integer("digit"), *floats(z=(8,)), integer("style", (1,), "uint8")], (LABEL, Z, LABEL), ((1,), (0,), (2,))),
    ],
)
def test_what_a_decoder_takes_is_known_from_names_and_types(inputs, roles, sources):
    result = found(inputs)
    assert (result.roles, result.sources) == (roles, sources)
    assert bool(result.doubts) == (CONDITION in roles)


def test_real_numbers_are_never_taken_for_a_label_without_a_word():
    inputs = floats(z=(8,), cond=(4,))
    with pytest.raises(ExportError, match=r"--label-count 4 is for a label.*--decoder-inputs latent,label"):
        found(inputs, label_count=4)
    assert found(inputs, stated=(Z, LABEL), label_count=4).roles == (Z, LABEL)
    (doubt,) = found(floats(a=(8,), b=(4,)), label_count=4).doubts
    assert "'b' [N, 4] was taken for a one-hot label" in doubt
    assert "or latent,continuous if it holds real numbers" in doubt


def test_several_latents_are_known_from_names_or_from_an_encoder_that_has_posteriors_for_them():
    assert found(floats(z1=(8,), z2=(16,))).roles == (Z, Z)
    assert found(floats(z_top=(8,), z_bottom=(14, 14, 4))).roles == (Z, Z)
    unnamed = floats(z=(8,), w=(16,))
    with pytest.raises(ExportError, match="must be a one-hot label.* for example latent,continuous or latent,latent"):
        found(unnamed)
    known = decoder_inputs(unnamed, stated=None, label_count=None, latent_dim=None, encoded=[(8,), (16,), (8,), (16,)])
    assert (known.roles, known.sources, known.doubts) == ((Z, Z), ((0,), (1,)), ())
    # The two outputs are the posterior of z.
    with pytest.raises(ExportError, match="must be a one-hot label"):
        decoder_inputs(floats(z=(8,), w=(8,)), stated=None, label_count=None, latent_dim=None, encoded=[(8,), (8,)])
    with pytest.raises(ExportError, match="cannot be told from their names.* latent for each of several latents"):
        found(floats(z=(8,), w=(7, 7, 4)))
    assert latent_names(floats(z=(8,))) == latent_names(floats(w=(8,))) == ("z",)
    assert latent_names(floats(z=(8,), **{"model/Z-2": (8,)}, x=(8,))) == ("z", "z_2", "z_x")


def test_integers_of_more_than_one_value_are_codes():
    assert found([integer("codes", (7, 7))]).roles == (Role.CODES,)
    assert found([integer("codes", (49,)), integer("y")]).roles == (Role.CODES, LABEL)
    assert found([integer("codes", (49,)), *floats(z=(8,))]).roles == (Role.CODES, Z)
    assert found([integer("codes", (49,)), integer("y"), *floats(z=(8,), pose=(4,))]).roles == (
        Role.CODES,
        LABEL,
        Z,
        CONDITION,
    )
    assert found([integer("codes", (49,)), *floats(attributes=(8,))]).roles == (Role.CODES, CONDITION)
    result = found([*floats(w=(8,)), integer("codes", (49,))])
    assert result.roles == (Z, Role.CODES)
    (doubt,) = result.doubts
    assert doubt.endswith("if it is a condition, say so with --decoder-inputs continuous,codes")


def test_a_latent_and_a_label_in_one_input_are_stated():
    result = found(floats(z_and_y=(18,)), latent_dim=8)
    assert (result.roles, result.sources) == ((Z_LABEL,), ((0, 1),))
    with pytest.raises(ExportError, match=r"for a decoder of one input \[N, D \+ K\]"):
        found(floats(z=(8,)), latent_dim=8)


def test_the_range_that_a_stated_condition_is_tested_in_is_said():
    (doubt,) = found(floats(z1=(8,), z2=(16,)), stated=(Z, CONDITION)).doubts
    assert "'z2'" in doubt
    assert "tested from 0 to 1: --condition-range LOW,HIGH states another" in doubt


def test_inputs_that_cannot_be_told_apart_are_refused():
    with pytest.raises(ExportError, match="with --decoder-inputs .* for example latent,continuous,continuous"):
        found(floats(a=(3,), b=(5,), c=(5,)))
    with pytest.raises(ExportError, match="--decoder-inputs must name 2 inputs, got 1"):
        found(floats(a=(3,), b=(5,)), stated=(Z,))
    with pytest.raises(ExportError, match="must take a float32 latent"):
        found([integer("y")])


POSE = Condition(name="pose", kind=ConditionKind.CONTINUOUS, shape=(4,))


def spec(*conditions):
    return VaeSpec(data_shape=(4, 4, 1), latents=vector_latent(3), conditions=conditions)


@pytest.mark.parametrize(
    ("inputs", "conditions", "roles", "sources"),
    [
        (floats(x=(4, 4, 1)), (), (X,), ((0,),)),
        ([integer("y"), *floats(x=(16,))], class_label(10), (LABEL, X), ((1,), (0,))),
        (floats(x=(4, 4, 1), y=(4, 4, 10)), class_label(10), (X, LABEL), ((0,), (1,))),
        (floats(x_and_y=(4, 4, 11)), class_label(10), (X_LABEL,), ((0, 1),)),
        (floats(x_and_y=(26,)), class_label(10), (X_LABEL,), ((0, 1),)),
        (floats(pose=(4,), x=(4, 4, 1), y=(10,)), (*class_label(10), POSE), (CONDITION, X, LABEL), ((2,), (0,), (1,))),
    ],
)
def test_what_an_encoder_takes_follows_from_its_decoder(inputs, conditions, roles, sources):
    result = encoder_inputs(inputs, spec(*conditions))
    assert (result.roles, result.sources) == (roles, sources)


@pytest.mark.parametrize(
    ("inputs", "conditions", "sources", "lacking"),
    [
        (floats(x=(4, 4, 1)), class_label(10), ((0,),), ("label",)),
        (floats(x=(4, 4, 1)), (POSE,), ((0,),), ("pose",)),
        (floats(pose=(4,), x=(4, 4, 1)), (*class_label(10), POSE), ((1,), (0,)), ("label",)),
        (floats(x_and_y=(4, 4, 11)), (POSE, *class_label(10)), ((0, 1),), ("pose",)),
    ],
)
def test_an_encoder_may_lack_conditions_of_its_decoder(inputs, conditions, sources, lacking):
    result = encoder_inputs(inputs, spec(*conditions))
    assert (result.sources, result.lacking) == (sources, lacking)


def test_names_say_which_of_two_alike_conditions_an_encoder_takes_and_a_guess_is_told():
    conditions = tuple(Condition(name=name, count=10) for name in ("label", "digit"))
    result = encoder_inputs([*floats(x=(4, 4, 1)), integer("cls"), integer("label")], spec(*conditions))
    assert result.sources == ((0,), (2,), (1,))
    (doubt,) = result.doubts
    assert "the encoder's 'cls' [N] was taken for the decoder's condition 'digit': if it is another one" in doubt
    assert encoder_inputs([*floats(x=(4, 4, 1)), integer("digit")], spec(*conditions)).doubts == ()
    assert encoder_inputs([*floats(x=(4, 4, 1)), integer("y")], spec(*class_label(10))).doubts == ()


def test_an_encoder_of_other_conditions_is_refused():
    with pytest.raises(
        ExportError, match="must not take a condition that its decoder .*: the decoder's conditions are"
    ):
        encoder_inputs(floats(x=(4, 4, 1), y=(10,)), spec())


def test_conditions_keep_their_names_where_artifacts_can_have_them():
    assert condition_names(floats(y=(10,)), [LABEL]) == ("label",)
    inputs = floats(digit=(), **{"model/my-class": (), "class": (), "1st": (), "image": ()})
    names = ("digit", "my_class", "condition_class", "condition_1st", "condition_image")
    assert condition_names(inputs, [LABEL] * 5) == names


def test_names_in_other_letters_become_different_ones_of_ascii():
    names = ("Höhe", "θ", "pose_φ", "年龄", "性别")
    found = condition_names(floats(**dict.fromkeys(names, (3,))), [CONDITION] * 5)
    assert found == ("hohe", "u3b8", "pose_u3c6", "u5e74u9f84", "u6027u522b")
    assert latent_names(floats(θ=(3,), φ=(3,))) == ("u3b8", "u3c6")
    conditions = [Condition(name=name, kind=ConditionKind.CONTINUOUS, shape=(3,)) for name in found[1:3]]
    turned = floats(x=(4, 4, 1), pose_φ=(3,), θ=(3,))
    assert encoder_inputs(turned, spec(*conditions)).sources == ((0,), (2,), (1,))


def test_what_is_taken_for_a_label_without_its_count_is_said():
    (doubt,) = found(floats(z_and_y=(18,)), latent_dim=8).doubts
    assert "the last 10 of the decoder's 18 values were taken for a one-hot label" in doubt
    assert found(floats(z_and_y=(18,)), latent_dim=8, label_count=10).doubts == ()


def test_a_style_with_a_posterior_of_its_own_is_a_latent():
    inputs = [integer("codes", (2, 2)), *floats(style=(3,))]
    assert decoder_inputs(
        inputs, stated=None, label_count=None, latent_dim=None, encoded=[(3,), (2, 2), (3,)]
    ).roles == (
        Role.CODES,
        Z,
    )
    assert found(inputs).roles == (Role.CODES, CONDITION)
    pair = floats(z=(8,), style=(8,))
    for count, role in ((2, CONDITION), (4, Z)):
        given = decoder_inputs(pair, stated=None, label_count=None, latent_dim=None, encoded=[(8,)] * count)
        assert given.roles == (Z, role)
