import pytest

from pocketvae.train import TrainConfig
from pocketvae.train.schedule import learning_rate

CONFIG = TrainConfig(learning_rate=1.0, warmup_steps=10, final_rate_fraction=0.1)


def test_the_rate_rises_linearly_to_its_highest_value():
    assert [learning_rate(CONFIG, step, 110) for step in (0, 4, 9)] == pytest.approx([0.1, 0.5, 1.0])


def test_the_rate_falls_by_a_cosine_to_its_final_fraction():
    assert learning_rate(CONFIG, 10, 110) == pytest.approx(1.0)
    assert learning_rate(CONFIG, 60, 110) == pytest.approx(0.55)
    assert learning_rate(CONFIG, 110, 110) == pytest.approx(0.1)


def test_a_run_shorter_than_its_warmup_has_a_rate():
    assert 0 < learning_rate(CONFIG, 3, 4) <= 1
