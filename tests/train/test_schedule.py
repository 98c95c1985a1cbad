import pytest

from pocketvae.train import Schedule, TrainConfig
from pocketvae.train.schedule import kl_weight, learning_rate, shared_noise

CONFIG = TrainConfig(learning_rate=1.0, warmup_steps=10, final_rate_fraction=0.1)


def test_the_rate_rises_linearly_to_its_highest_value():
    assert [learning_rate(CONFIG, step, 110) for step in (0, 4, 9)] == pytest.approx([0.1, 0.5, 1.0])


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        # A quarter of the way the cosine has fallen by (1 - sqrt(1/2)) / 2.
        (Schedule.COSINE, [1.0, 0.1 + 0.9 * 0.8535534, 0.55, 0.1]),
        (Schedule.LINEAR, [1.0, 0.775, 0.55, 0.1]),
    ],
)
def test_the_rate_falls_as_its_schedule_says(schedule, rates):
    config = TrainConfig(learning_rate=1.0, warmup_steps=10, final_rate_fraction=0.1, schedule=schedule)
    assert [learning_rate(config, step, 110) for step in (10, 35, 60, 110)] == pytest.approx(rates)


def test_a_constant_rate_stays_after_its_warmup():
    config = TrainConfig(learning_rate=1.0, warmup_steps=10, schedule=Schedule.CONSTANT)
    assert [learning_rate(config, step, 110) for step in (4, 10, 60, 110)] == pytest.approx([0.5, 1.0, 1.0, 1.0])


def test_a_run_shorter_than_its_warmup_has_a_rate():
    assert 0 < learning_rate(CONFIG, 3, 4) <= 1


def test_without_warmup_the_first_rate_is_the_highest():
    assert learning_rate(TrainConfig(learning_rate=1.0, warmup_steps=0), 0, 10) == 1.0


def test_the_weight_of_the_divergence_rises_to_beta():
    config = TrainConfig(beta=4.0, kl_warmup_epochs=8)
    assert [kl_weight(config, epochs) for epochs in (0, 2, 8, 20)] == [0, 1, 4, 4]
    assert kl_weight(TrainConfig(beta=4.0), 0) == 4


def test_channels_share_one_variance_at_first_and_not_in_the_second_half():
    assert [shared_noise(progress) for progress in (0, 0.25, 0.5, 0.75, 1)] == [1, 0.5, 0, 0, 0]
