"""What an evaluation needs of a run: its networks, and the test items of its data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pocketvae.bundle.run import Run
from pocketvae.data.dataset import ImageSplits
from pocketvae.data.embedded import MNIST
from pocketvae.data.folders import check_has_all_classes
from pocketvae.data.items import Splits
from pocketvae.data.training_values import holds_items
from pocketvae.errors import DataError
from pocketvae.keras.io import load_model
from pocketvae.kinds.registry import kind_of
from pocketvae.spec import Component
from pocketvae.train.config import Binarization, TrainConfig
from pocketvae.train.data import binarize_once
from pocketvae.train.model import VaeModel
from pocketvae.train.sources import load_data
from pocketvae.vae_spec import DataKind, VaeSpec


def load_vae(run: Run) -> VaeModel:
    """Loads the networks of a run.

    Raises:
        ExportError: a model is damaged.
        TargetError: TensorFlow is not installed.
    """
    spec = run.record.vae
    models = {component: load_model(run.model_path(component)) for component in spec.components}
    return VaeModel(
        spec=spec,
        encoder=models[Component.ENCODER],
        decoder=models[Component.DECODER],
        prior=models.get(Component.PRIOR),
        variance=_variance(spec),
    )


def _variance(spec: VaeSpec) -> float | list[float]:
    if spec.data is DataKind.IMAGE:
        return 1.0 if spec.noise_scale is None else spec.noise_scale**2
    return [(channel.noise_scale or 1.0) ** 2 for channel in spec.channels for _ in range(channel.width)]


def evaluated_data(run: Run, source: str | None, config: TrainConfig, *, skip_corrupt: bool) -> Splits:
    """Returns the data of a run, in units of its model.

    Args:
        run: The run.
        source: Source of the data; None for a run that was trained on the embedded MNIST.
        config: Of its training.
        skip_corrupt: Skip images of a folder that cannot be read.

    Raises:
        DataError: they cannot be used or are not of the model's size, or their source is unknown.
    """
    vae, plural = run.record.vae, kind_of(run.record.vae.data).plural
    if source is None and run.record.data != MNIST:
        raise DataError(f"the run was trained on {run.record.data}: pass its source with --data")
    names = tuple(channel.name for channel in vae.input_channels)
    are_items = vae.data is not DataKind.IMAGE and bool(source) and holds_items(source or "", vae.data)
    if any(names) and (are_items or Path(source or "").suffix.lower() == ".npy"):
        raise DataError(
            f"the run was trained on the columns {', '.join(names[:4])}{', ...' if names[4:] else ''}, and "
            f"{source} has no names: pass .csv or .parquet files with them"
        )
    if are_items:
        # Of the recordings that the run was trained on; these items are whole.
        config = replace(config, stride=0, truth="", fill_gaps=0)
    config = replace(config, columns=names) if any(names) else config
    data = load_data(source or MNIST, config, run.record.preset, skip_corrupt=skip_corrupt)
    shape = data.train.items.shape[1:]
    if shape != vae.data_shape:
        raise DataError(f"{plural} must be {vae.data_shape} as the model expects, got {shape}")
    _check_labels(data, source or MNIST, vae)
    if not isinstance(data, ImageSplits):
        if data.log_mel != vae.log_mel:
            raise DataError(f"sounds must have the rate of the training data, {vae.input_rate_hz:g} Hz: resample them")
        return data.in_units_of(vae.channels)
    return binarize_once(data, config.seed) if config.binarization is Binarization.STATIC else data


def _check_labels(data: Splits, source: str, vae: VaeSpec) -> None:
    test, label_count = data.test, vae.label_count
    if not label_count:
        return
    if test.labels is None:
        raise DataError(f"a class-conditional model needs labels, but the {kind_of(vae.data).plural} do not have any")
    check_has_all_classes(source, data.label_count(), vae)
    if int(test.labels.max()) >= label_count:
        raise DataError(
            f"labels must be below {label_count}, the model's number of classes, got {int(test.labels.max())}"
        )
