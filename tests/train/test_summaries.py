import pytest

from pocketvae.train.loop import EpochMetrics

pytestmark = pytest.mark.slow


def metrics(epoch):
    return EpochMetrics(
        epoch=epoch,
        step=100 * epoch,
        train_loss_nats=90.5 + epoch,
        validation_negative_elbo_nats=92.25,
        validation_reconstruction_nats=70.0,
        validation_kl_nats=22.25,
        validation_active_units=5,
        learning_rate=0.001,
        elapsed_s=12.5,
    )


def read_events(folder):
    """Returns {tag: [(step, value)]} of all event files, in the order of their names."""
    import tensorflow as tf

    found = {}
    for file in sorted(map(str, folder.iterdir())):
        for record in tf.data.TFRecordDataset(file):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                assert value.metadata.plugin_data.plugin_name == "scalars"
                found.setdefault(value.tag, []).append((event.step, float(tf.make_ndarray(value.tensor))))
    return found


def test_tensorboard_gets_every_figure_at_its_step(tmp_path):
    from pocketvae.train.summaries import FOLDER_NAME, Summaries

    summaries = Summaries(tmp_path)
    for epoch in (1, 2):
        summaries.add(metrics(epoch))
    events = read_events(tmp_path / FOLDER_NAME)
    assert events["train_loss_nats"] == [(100, 91.5), (200, 92.5)]
    assert events["validation_kl_nats"] == [(100, 22.25), (200, 22.25)]
    # Without the bound of several samples, which is None here.
    assert set(events) == {*metrics(1).figures()} - {"step"}
    assert "validation_bound_nats" not in events


def test_a_resumed_training_adds_a_file(tmp_path):
    from pocketvae.train.summaries import FOLDER_NAME, Summaries

    for epoch in (1, 2):
        Summaries(tmp_path).add(metrics(epoch))
    assert len(list((tmp_path / FOLDER_NAME).iterdir())) == 2
    assert sorted(read_events(tmp_path / FOLDER_NAME)["epoch"]) == [(100, 1), (200, 2)]
