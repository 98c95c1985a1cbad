import math

import pytest

from pocketvae.errors import SpecError
from pocketvae.train import TrainConfig, with_overrides

MLP = {"architecture": "mlp", "channels": []}
FLOW = {"prior": "realnvp", "couplings": 2, "coupling_units": 8}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        *(
            ({name: 0}, f"{name} must be at least 1, got 0")
            for name in ("latent_dim", "hidden_units", "hidden_layers", "epochs", "batch_size", "importance_samples")
        ),
        *(
            ({name: -1}, f"{name} must be at least 0, got -1")
            for name in (
                "blocks",
                "components",
                "couplings",
                "coupling_units",
                "kl_warmup_epochs",
                "free_bits_nats",
                "warmup_steps",
                "patience_epochs",
                "checkpoint_steps",
                "shift_pixels",
                "validation_images",
                "augmented_epochs",
                "importance_warmup_epochs",
                "threads",
            )
        ),
        *(
            ({name: value}, f"{name} must be positive and finite, got")
            for name in ("learning_rate", "max_gradient_norm", "beta")
            for value in (0.0, -1.0, math.nan, math.inf)
        ),
        ({**MLP, "hidden_layers": 41}, "hidden_layers must be at most 40, got 41"),
        ({"architecture": "residual", "blocks": 16}, "blocks must be at most 15, got 16"),
        ({"channels": [8] * 7}, "channels must be at most 6 positive sizes"),
        ({"channels": [8, 0]}, r"channels must be at most 6 positive sizes, got \[8, 0\]"),
        ({"channels": [8, 10**9]}, "channels must be at most 65536 each"),
        *(
            ({name: 10**30}, f"{name} must be at most [0-9]+, got 10{{30}}")
            for name in ("latent_dim", "hidden_units", "batch_size", "epochs", "warmup_steps", "threads")
        ),
        ({"free_bits_nats": math.inf}, "free_bits_nats must be finite"),
        ({"free_bits_nats": math.nan}, "free_bits_nats must be"),
        ({"final_rate_fraction": -0.1}, "final_rate_fraction must be between 0 and 1"),
        ({"final_rate_fraction": 1.1}, "final_rate_fraction must be between 0 and 1"),
        ({"zoom": 1.0}, "zoom must be at least 0 and below 1, got 1.0"),
        ({"zoom": -0.1}, "zoom must be at least 0 and below 1"),
        ({"ema_decay": 1.0}, "ema_decay must be at least 0 and below 1"),
        ({"ema_decay": -0.1}, "ema_decay must be at least 0 and below 1"),
        *(
            (
                {"weight_decay": value, "learning_rate": 0.1},
                "weight_decay must be at least 0 and below 1 / learning_rate",
            )
            for value in (-0.1, 10.0, math.inf, math.nan)
        ),
        ({"seed": -1}, "seed must be between 0 and 2147483647, got -1"),
        ({"seed": 2**31}, "seed must be between 0 and 2147483647"),
    ],
)
def test_a_value_out_of_range_is_refused(changes, message):
    with pytest.raises(SpecError, match=message):
        with_overrides(TrainConfig(), changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"channels": []}, "channels must be at least one size for a convolutional network"),
        ({"architecture": "mlp"}, r"channels has no effect with architecture = 'mlp': set channels = \[\]"),
        ({"hidden_layers": 2}, "hidden_layers has no effect with architecture = 'conv': set hidden_layers = 1"),
        (
            {"architecture": "residual", "hidden_layers": 2},
            "hidden_layers has no effect with architecture = 'residual'",
        ),
        (
            {"schedule": "constant", "final_rate_fraction": 0.5},
            "final_rate_fraction has no effect with schedule = 'constant': set final_rate_fraction = 0.01",
        ),
        ({"blocks": 1}, "blocks has no effect with architecture = 'conv': set blocks = 0"),
        ({**MLP, "latent_maps": [1]}, "latent_maps has no effect with architecture = 'mlp': set latent_maps = "),
        ({"latent_maps": [1]}, r"latent_maps must be 2 sizes, one for each of channels, not all 0, got \[1\]"),
        ({"latent_maps": [0, 0]}, "latent_maps must be 2 sizes, one for each of channels, not all 0"),
        ({"latent_maps": [-1, 2]}, "latent_maps must be 2 sizes, one for each of channels, not all 0"),
        ({**MLP, "blocks": 1}, "blocks has no effect with architecture = 'mlp'"),
        ({**MLP, "activation": "silu"}, "activation has no effect with architecture = 'mlp': set activation = 'relu'"),
        (
            {"activation": "silu", "quantization_friendly": True},
            "activation must be relu for quantization_friendly networks, got silu",
        ),
        ({**MLP, "optimizer": "muon"}, "optimizer has no effect with architecture = 'mlp': set optimizer = 'adam'"),
        ({"components": 3}, "components has no effect with prior = 'standard': set components = 0"),
        ({**FLOW, "components": 3}, "components has no effect with prior = 'realnvp'"),
        ({"prior": "mixture"}, "components must be at least 1 for a mixture prior"),
        ({"prior": "vamp"}, "components must be at least 1 for a vamp prior"),
        ({"augmented_epochs": 2}, "augmented_epochs has no effect with neither mirror, shift_pixels nor zoom"),
        (
            {"objective": "iwae", "importance_warmup_epochs": 2},
            "importance_warmup_epochs has no effect with importance_samples = 1: set importance_warmup_epochs = 0",
        ),
        (
            {"prior": "vamp", "components": 3, "conditional": True},
            "conditional has no effect with prior = 'vamp': set conditional = false",
        ),
        ({"couplings": 2}, "couplings has no effect with prior = 'standard': set couplings = 0"),
        ({"coupling_units": 2}, "coupling_units has no effect with prior = 'standard': set coupling_units = 0"),
        ({"prior": "realnvp"}, "couplings must be at least 1 for a realnvp prior"),
        ({"prior": "realnvp", "couplings": 2}, "coupling_units must be at least 1 for a realnvp prior"),
        ({**FLOW, "latent_dim": 5}, "latent_dim must be even for a realnvp prior, got 5"),
        ({"importance_samples": 5}, "importance_samples has no effect with objective = 'elbo'"),
        ({"doubly_reparameterized": True}, "doubly_reparameterized has no effect with objective = 'elbo'"),
        ({"objective": "iwae", "beta": 2.0}, "beta has no effect with objective = 'iwae': set beta = 1"),
        ({"objective": "iwae", "kl_warmup_epochs": 3}, "kl_warmup_epochs has no effect with objective = 'iwae'"),
        (
            {"objective": "iwae", "free_bits_nats": 0.1},
            "free_bits_nats must be 0, but for the ELBO with a standard prior, got 0.1",
        ),
        ({**FLOW, "free_bits_nats": 0.1}, "free_bits_nats must be 0, but for the ELBO with a standard prior, got 0.1"),
        (
            {**MLP, "quantization_friendly": True},
            "quantization_friendly has no effect with architecture = 'mlp': set quantization_friendly = false",
        ),
        (
            {"likelihood": "gaussian", "binarization": "static"},
            "binarization has no effect with likelihood = 'gaussian': set binarization = 'dynamic'",
        ),
        (
            {"likelihood": "discretized_logistic", "binarization": "static"},
            "binarization has no effect with likelihood = 'discretized_logistic'",
        ),
    ],
)
def test_values_that_contradict_each_other_are_refused(changes, message):
    with pytest.raises(SpecError, match=message):
        with_overrides(TrainConfig(), changes)


@pytest.mark.parametrize(
    "changes",
    [
        {**MLP, "hidden_layers": 3},
        {"architecture": "residual", "blocks": 2},
        {"prior": "mixture", "components": 1, "conditional": True},
        {"prior": "vamp", "components": 4},
        {**FLOW, "latent_dim": 2},
        {**FLOW, "latent_dim": 3, "latent_maps": [0, 1]},
        {"objective": "iwae", "importance_samples": 5},
        {"beta": 4.0, "kl_warmup_epochs": 3, "free_bits_nats": 0.1},
        {"likelihood": "bernoulli", "binarization": "static"},
        {"ema_decay": 0.999, "final_rate_fraction": 0.0, "seed": 2**31 - 1},
    ],
)
def test_values_that_belong_together_are_taken(changes):
    config = with_overrides(TrainConfig(), changes).as_dict()
    assert {key: config[key] for key in changes} == {
        key: tuple(value) if isinstance(value, list) else value for key, value in changes.items()
    }


def test_images_keep_their_size_unless_one_is_given():
    assert TrainConfig().image_size is None
    assert TrainConfig(resize=64).image_size == (64, 64)
    for wrong, message in ((-1, "resize must be at least 0, got -1"), (5000, "resize must be at most 4096, got 5000")):
        with pytest.raises(SpecError, match=message):
            TrainConfig(resize=wrong)


def test_a_message_does_not_quote_numbers_of_any_length():
    with pytest.raises(SpecError, match=r"^.{,300}$"):
        TrainConfig(channels=(10**400,))


SEQUENCE = {"data": "sequence", "window": 8, "likelihood": "gaussian"}
VECTOR = {"data": "vector", "architecture": "dense", "channels": [], "likelihood": "mixed"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({**SEQUENCE, "window": 0}, "window must be at least 1 for sequences, got 0"),
        ({**SEQUENCE, "stride": -1}, "stride must be at least 0, got -1"),
        ({"window": 8}, "window has no effect with data = 'image': set window = 0"),
        ({"columns": ["a"]}, r"columns has no effect with data = 'image': set columns = \[\]"),
        ({**SEQUENCE, "categories": ["a"]}, "categories has no effect with data = 'sequence'"),
        ({**SEQUENCE, "resize": 8}, "resize has no effect with data = 'sequence'"),
        ({**SEQUENCE, "shift_pixels": 1}, "shift_pixels has no effect with data = 'sequence': set shift_pixels = 0"),
        ({**SEQUENCE, "validation_images": 1}, "validation_images has no effect with data = 'sequence'"),
        ({**SEQUENCE, "mirror": True}, "mirror has no effect with data = 'sequence': set mirror = false"),
        ({**SEQUENCE, "likelihood": "bernoulli"}, "likelihood must be gaussian, student_t or mixed for sequences"),
        ({"likelihood": "mixed"}, "likelihood must be bernoulli, gaussian or discretized_logistic for images"),
        ({**VECTOR, "architecture": "conv", "channels": [4]}, "architecture must be mlp or dense, got data = 'vector'"),
        ({**SEQUENCE, "prior": "vamp", "components": 3}, "prior must be standard, mixture or realnvp"),
        ({**SEQUENCE, "degrees_of_freedom": 3.0}, "degrees_of_freedom has no effect with likelihood = 'gaussian'"),
        ({"columns": [1]}, "columns must be a list of names such as"),
    ],
)
def test_a_key_of_another_kind_of_data_is_refused(changes, message):
    with pytest.raises(SpecError, match=message):
        with_overrides(TrainConfig(), changes)


def test_names_of_columns_are_kept_in_order():
    assert with_overrides(TrainConfig(), {**VECTOR, "columns": ["b", "a"]}).columns == ("b", "a")
