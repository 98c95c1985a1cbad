"""What a distillation leaves behind: a run with the student as its decoder, or the models for a user's own export."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from pocketvae.bundle.reference import REFERENCE_NAME, ReferenceImages
from pocketvae.bundle.run import RUN_NAME, RunRecord
from pocketvae.data.pictures import grid, pixel_scale, png_bytes
from pocketvae.distil.evidence import as_stored, grey_goldens
from pocketvae.distil.networks import squashing, with_head
from pocketvae.distil.record import DISTILLED_NAME, Distilled
from pocketvae.distil.source import Source
from pocketvae.distil.teacher import Teacher, shown_labels, sliced
from pocketvae.distil.verification import StudentFile
from pocketvae.documents import encode
from pocketvae.errors import InternalError
from pocketvae.keras.io import load_model, save_model
from pocketvae.keras.model_form import ModelForm
from pocketvae.numerics.pixels import to_pixels
from pocketvae.spec import Component
from pocketvae.system import files
from pocketvae.train import PRESETS
from pocketvae.vae_spec import DataKind
from pocketvae.versions import installed_versions

_COLUMNS, _ROWS = 10, 5
_SAMPLES_NAME = "samples.png"
# What --decoder-output calls a student's range.
_DECODER_OUTPUT = {"sigmoid": "probabilities", "tanh": "tanh", "": "image"}


def write_run(source: Source, model: Any, record: Distilled, folder: Path) -> None:
    """Writes a run whose decoder is the student, with the teacher's other models and data for export.

    Args:
        source: Of which `makes_run` holds.
        model: The student without head.
        record: Of the distillation.
        folder: The run directory.
    """
    save_model(model, folder / f"{Component.DECODER}.keras")
    for component in source.vae.components:
        path = source.model_path(component)
        if component is not Component.DECODER and path is not None:
            shutil.copyfile(path, folder / f"{component}.keras")
    reference = source.run.reference_images() if source.run is not None else _from_goldens(source)
    files.write_bytes(folder / REFERENCE_NAME, reference.archive())
    files.write_text(folder / DISTILLED_NAME, encode(record))
    files.write_text(folder / RUN_NAME, encode(_run_record(source, model, record, folder)))


def write_models(source: Source, model: Any, record: Distilled, folder: Path) -> None:
    """Writes a student of a user-supplied model, which returns data as such models do, and the encoder beside it."""
    save_model(with_head(model, source.vae), folder / f"{Component.DECODER}.keras")
    encoder = _encoder(source)
    if encoder is not None:
        shutil.copyfile(encoder, folder / encoder.name)
    files.write_text(folder / DISTILLED_NAME, encode(record))


def export_command(source: Source, out: Path) -> str:
    """Returns the command that exports the models of `write_models`, as it is typed."""
    vae, encoder = source.vae, _encoder(source)
    words = ["pocketvae", "export", "--decoder", str(out / f"{Component.DECODER}.keras")]
    # A sigmoid that is scaled to another range is told by its last layers, and is none of the names.
    if squashing(vae) != "sigmoid" or vae.data_range == (0, 1):
        words += ["--decoder-output", _DECODER_OUTPUT[squashing(vae)]]
    if vae.data is not DataKind.IMAGE:
        words += ["--data-kind", str(vae.data)]
    if vae.label_count:
        words += ["--decoder-inputs", "latent,label", "--label-count", str(vae.label_count)]
    form = source.bundle.manifest.forms.get(Component.ENCODER) if source.bundle is not None else None
    if encoder is not None:
        words += ["--encoder", str(out / encoder.name), *_encoder_options(form)]
    return shlex.join([*words, "--out", f"{out}-bundle"])


def samples_png(teacher: Teacher, student: StudentFile, seed: int) -> bytes | None:
    """Draws the first images of a seed: rows of the teacher's, each followed by the student's of the same latents.

    With labels, each column has one of them in turn. Data that are not images have no such picture.
    """
    vae = teacher.vae
    if vae.data is not DataKind.IMAGE or vae.data_shape[-1] not in (1, 3):
        return None
    labels = np.tile(shown_labels(vae, _COLUMNS), _ROWS)
    latents = teacher.seeds(seed, _COLUMNS * _ROWS, labels)
    rows = []
    for start in range(0, _COLUMNS * _ROWS, _COLUMNS):
        row = sliced(latents, slice(start, start + _COLUMNS))
        rows += [to_pixels(decode(row), vae.data_range) for decode in (teacher.decode, student.decode)]
    return png_bytes(grid(np.concatenate(rows), _COLUMNS), scale=pixel_scale(vae.data_shape[0]))


def write_samples(teacher: Teacher, student: StudentFile, seed: int, folder: Path) -> None:
    """Writes `samples_png` where there is one."""
    picture = samples_png(teacher, student, seed)
    if picture is not None:
        files.write_bytes(folder / _SAMPLES_NAME, picture)


def _run_record(source: Source, model: Any, record: Distilled, folder: Path) -> RunRecord:
    parameters = {"decoder_parameters": float(model.count_params())}
    for component in (item for item in source.vae.components if item is not Component.DECODER):
        parameters[f"{component}_parameters"] = float(load_model(folder / f"{component}.keras").count_params())
    lost = {f"lost_{loss.unit.lower()}": loss.value for loss in record.losses}
    figures = {
        "distillation_steps": float(record.config.steps),
        "training_s": record.training_s,
        "latency_us": record.latency_us,
        "teacher_latency_us": record.teacher_us,
    }
    # How many items the encoder was trained on: `score --calibrate` holds out only others.
    learned_from = {
        name: value
        for name, value in source.training().items()
        if name.startswith("training_") and name != "training_s"
    }
    name = f"{record.teacher_name}-distilled"
    facts = source.bundle.manifest.provenance if source.bundle is not None else {}
    return RunRecord(
        vae=source.vae,
        data=source.run.record.data if source.run is not None else facts.get("data", ""),
        preset=name,
        seed=record.config.seed,
        config=source.config() or _config_of(facts.get("preset", "")),
        metrics=learned_from | parameters | figures | lost,
        versions=installed_versions(),
        ended=f"all {record.config.steps} steps of the distillation were trained",
        warnings=record.failures,
        distilled_from=f"{record.teacher_name}, {record.teacher}",
    )


def _config_of(preset: str) -> dict[str, Any]:
    """Returns the configuration of an older bundle's run as far as it is known: that of its preset."""
    return PRESETS[preset].as_json() if preset in PRESETS else {}


def _from_goldens(source: Source) -> ReferenceImages:
    """Returns the data among a bundle's goldens, half of them for calibration and half for goldens again."""
    if source.bundle is None:
        raise InternalError("only a bundle has goldens")
    data, labels = grey_goldens(source.bundle)
    stored = as_stored(data, source.vae)
    return ReferenceImages(
        calibration=stored[0::2],
        calibration_labels=labels[0::2],
        golden=stored[1::2],
        golden_labels=labels[1::2],
        held_out=stored[:0],
        held_out_labels=labels[:0],
    )


def _encoder(source: Source) -> Path | None:
    """Returns the encoder of a user-supplied bundle, if the bundle holds it: a SavedModel it only names."""
    path = source.model_path(Component.ENCODER)
    return path if path is not None and path.is_file() else None


def _encoder_options(form: ModelForm | None) -> list[str]:
    if form is None:
        return []
    options = ["--allow-custom-code"] if form.custom_code else []
    return [*options, "--encoder-outputs", ",".join(port.role for port in form.outputs)]
