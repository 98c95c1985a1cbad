import pytest

from pocketvae.errors import SpecError
from pocketvae.train import PRESETS, TrainConfig, parse_assignments, preset, read_toml, with_overrides


def test_an_unknown_preset_gets_a_close_match():
    with pytest.raises(SpecError, match="unknown preset 'mnist-tyni': did you mean 'mnist-tiny'"):
        preset("mnist-tyni")


def test_every_preset_survives_the_way_through_plain_values():
    for config in PRESETS.values():
        assert with_overrides(TrainConfig(), config.as_dict()) == config


def test_assignments_are_read_as_toml():
    overrides = parse_assignments(["epochs=3", "learning_rate = 1e-4", "channels=[8, 16, 32]"])
    config = with_overrides(TrainConfig(), overrides)
    assert (config.epochs, config.learning_rate, config.channels) == (3, 1e-4, (8, 16, 32))


def test_a_toml_file_replaces_values(tmp_path):
    (tmp_path / "c.toml").write_text("latent_dim = 7\nlearning_rate = 1\n")
    config = with_overrides(TrainConfig(), read_toml(tmp_path / "c.toml"))
    assert (config.latent_dim, config.learning_rate) == (7, 1.0)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"epoch": 3}, "unknown configuration key 'epoch': did you mean 'epochs'"),
        ({"epochs": 1.5}, "epochs must be a int, got 1.5"),
        ({"epochs": True}, "epochs must be a int, got True"),
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"channels": [8, "x"]}, "channels must be a list of integers"),
        ({"channels": []}, "channels must be 1 to 5 positive sizes"),
        ({"learning_rate": -1.0}, "learning_rate must be positive and finite"),
        ({"learning_rate": float("nan")}, "learning_rate must be positive and finite"),
        ({"seed": -1}, "seed must be between 0"),
    ],
)
def test_a_bad_value_is_refused(overrides, message):
    with pytest.raises(SpecError, match=message):
        with_overrides(TrainConfig(), overrides)


@pytest.mark.parametrize("text", ["epochs", "=3", "epochs=three"])
def test_an_assignment_of_another_form_is_refused(text):
    with pytest.raises(SpecError, match="--set"):
        parse_assignments([text])


def test_a_broken_toml_file_is_named(tmp_path):
    (tmp_path / "c.toml").write_text("latent_dim = ")
    with pytest.raises(SpecError, match="c.toml cannot be read"):
        read_toml(tmp_path / "c.toml")
