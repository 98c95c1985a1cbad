import pytest


@pytest.mark.parametrize("side", [28, 64, 128, 256])
@pytest.mark.parametrize("parameters", [100_000, 1_000_000, 10_000_000])
def test_the_grid_of_decoders_has_about_the_parameters_that_were_asked_for(study, side, parameters):
    model = study("scaling_model")
    channels, units = model.network_sizes(side, parameters)
    convolutions = model._convolution_parameters(channels[0], len(channels))
    bottom = (-(-side // 2 ** len(channels))) ** 2
    dense = units * (model.LATENT_DIM + bottom * channels[-1])
    assert 0.7 * parameters <= convolutions + dense <= 1.3 * parameters
