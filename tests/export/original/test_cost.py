import pytest

from pocketvae.export.original.cost import affordable, is_costly


@pytest.mark.parametrize(
    ("side", "parameters", "count"),
    [
        (28, 1_000_000, 192),
        (64, 3_000_000, 192),
        (64, 39_000_000, 41),
        (256, 2_000_000, 50),
        (512, 1_000_000, 25),
        (512, 20_000_000, 6),
        (512, 50_000_000, 3),
        (2048, 10**9, 3),
    ],
)
def test_a_model_whose_call_takes_long_is_run_on_fewer_samples(side, parameters, count):
    assert affordable(192, 3, parameters, 3 * side**2) == count
    assert affordable(1, 3, parameters, 3 * side**2) == 1


@pytest.mark.parametrize(
    ("side", "parameters", "expected"),
    [(28, 10**6, False), (64, 10**7, False), (256, 10**6, False), (256, 2 * 10**6, True), (512, 5 * 10**7, True)],
)
def test_a_costly_model_is_one_whose_call_takes_a_good_part_of_a_second(side, parameters, expected):
    assert is_costly(parameters, 3 * side**2) is expected
