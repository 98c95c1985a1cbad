import json

import pytest

from pocketvae.errors import SpecError
from pocketvae.train import (
    PRESETS,
    Architecture,
    Binarization,
    Objective,
    Schedule,
    TrainConfig,
    parse_assignments,
    preset,
    read_toml,
    with_overrides,
)
from pocketvae.vae_spec import Likelihood, PriorKind


def test_an_unknown_preset_gets_a_close_match():
    with pytest.raises(SpecError, match="unknown preset 'mnist-tyni': did you mean 'mnist-tiny'"):
        preset("mnist-tyni")


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_survives_the_way_through_json(name):
    values = json.loads(json.dumps(preset(name).as_dict()))
    assert with_overrides(TrainConfig(), values) == PRESETS[name]


def test_assignments_are_read_as_toml():
    overrides = parse_assignments(["epochs=3", "learning_rate = 1e-4", "channels=[8, 16, 32]", "jit_compile=true"])
    config = with_overrides(TrainConfig(), overrides)
    assert (config.epochs, config.learning_rate, config.channels, config.jit_compile) == (3, 1e-4, (8, 16, 32), True)


@pytest.mark.parametrize("quote", ["", '"', "'"])
def test_choices_are_assigned_by_name_with_quotes_or_without(quote):
    names = {
        "architecture": "residual",
        "likelihood": "discretized_logistic",
        "prior": "standard",
        "objective": "iwae",
        "schedule": "linear",
        "binarization": "dynamic",
    }
    overrides = parse_assignments([f"{key}={quote}{name}{quote}" for key, name in names.items()])
    config = with_overrides(TrainConfig(), overrides)
    assert config.architecture is Architecture.RESIDUAL
    assert config.likelihood is Likelihood.DISCRETIZED_LOGISTIC
    assert config.prior is PriorKind.STANDARD
    assert config.objective is Objective.IWAE
    assert config.schedule is Schedule.LINEAR
    assert config.binarization is Binarization.DYNAMIC


def test_a_toml_file_replaces_values(tmp_path):
    (tmp_path / "c.toml").write_text(
        'latent_dim = 8\nlearning_rate = 1\nchannels = [4]\nprior = "realnvp"\ncouplings = 2\ncoupling_units = 16\n'
    )
    config = with_overrides(TrainConfig(), read_toml(tmp_path / "c.toml"))
    assert (config.latent_dim, config.learning_rate, config.channels) == (8, 1.0, (4,))
    assert (config.prior, config.couplings) == (PriorKind.REALNVP, 2)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"epoch": 3}, "unknown configuration key 'epoch': did you mean 'epochs'"),
        ({"train": {"epochs": 3}}, "unknown configuration key 'train'"),
        ({"epochs": 1.5}, "epochs must be an integer, got 1.5"),
        ({"epochs": True}, "epochs must be an integer, got True"),
        ({"epochs": "3"}, "epochs must be an integer, got '3'"),
        ({"jit_compile": 1}, "jit_compile must be true or false, got 1"),
        ({"learning_rate": "fast"}, "learning_rate must be a number, got 'fast'"),
        ({"learning_rate": True}, "learning_rate must be a number, got True"),
        ({"channels": [8, "x"]}, "channels must be a list of integers"),
        ({"channels": [8, True]}, "channels must be a list of integers"),
        ({"channels": 8}, "channels must be a list of integers, got 8"),
        ({"prior": "realnpv"}, "unknown prior 'realnpv': did you mean 'realnvp'"),
        (
            {"likelihood": "gausian"},
            "did you mean 'gaussian'\\? known: bernoulli, gaussian, discretized_logistic, student_t, mixed$",
        ),
        ({"likelihood": "unknown"}, "unknown likelihood 'unknown': known: bernoulli"),
        ({"prior": 1}, "prior must be one of standard, mixture, vamp, realnvp, got 1"),
        ({"architecture": "unet"}, "unknown architecture 'unet': known: conv, residual, mlp"),
    ],
)
def test_a_bad_value_is_refused(overrides, message):
    with pytest.raises(SpecError, match=message):
        with_overrides(TrainConfig(), overrides)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epochs", "--set takes KEY=VALUE, got 'epochs'"),
        ("=3", "--set takes KEY=VALUE, got '=3'"),
        ("epochs=", "--set epochs: '' must be a number, true or false, a name, or a list"),
        ("channels=[8, 16", r"--set channels: '\[8, 16' must be a number"),
        ("prior=real nvp", "--set prior: 'real nvp' must be"),
        ("learning_rate=1e", "--set learning_rate: '1e' must be a number"),
    ],
)
def test_an_assignment_of_another_form_is_refused(text, message):
    with pytest.raises(SpecError, match=message):
        parse_assignments([text])


@pytest.mark.parametrize("content", [b"latent_dim = ", b"latent_dim = 1\nlatent_dim = 2\n", b"\xff\xfe"])
def test_a_broken_toml_file_is_named(tmp_path, content):
    (tmp_path / "c.toml").write_bytes(content)
    with pytest.raises(SpecError, match="c.toml cannot be read"):
        read_toml(tmp_path / "c.toml")


def test_a_missing_toml_file_is_named(tmp_path):
    with pytest.raises(SpecError, match="the configuration .*c.toml does not exist"):
        read_toml(tmp_path / "c.toml")
