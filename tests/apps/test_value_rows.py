import csv
from dataclasses import replace

import numpy as np
import pytest

from pocketvae.apps.value_rows import check_rows, write_rows
from pocketvae.errors import SpecError
from pocketvae.fields import Channel, ChannelKind
from pocketvae.vae_spec import DataKind, Likelihood, VaeSpec, vector_latent


def vae(data, *shape):
    return VaeSpec(data=data, data_shape=shape, latents=vector_latent(2))


def test_every_item_is_a_row_with_its_index(tmp_path):
    sequences = np.arange(12, dtype=np.float32).reshape(3, 2, 2) / 3
    write_rows(tmp_path / "s.csv", vae(DataKind.SEQUENCE, 2, 2), [sequences[:2], sequences[2:]], first=5)
    rows = list(csv.DictReader((tmp_path / "s.csv").open()))
    assert [row["index"] for row in rows] == ["5", "6", "7"]
    assert np.float32(rows[2]["step_1_channel_0"]) == sequences[2, 1, 0]


def test_images_and_volumes_are_no_rows():
    check_rows(vae(DataKind.VECTOR, 3), "makes")
    with pytest.raises(SpecError, match="holds vectors or sequences, but the model makes volumes: name an .npz or"):
        check_rows(vae(DataKind.VOLUME, 2, 2, 2, 1), "makes")


def test_rows_are_in_the_unit_of_the_user_s_data_under_the_names_of_its_channels(tmp_path):
    channels = (
        Channel(name="volt", mean=5, scale=2),
        Channel(name="part", kind=ChannelKind.CATEGORY, categories=("a", "b")),
    )
    table = replace(vae(DataKind.VECTOR, 3), channels=channels, likelihood=Likelihood.MIXED)
    write_rows(tmp_path / "v.csv", table, [np.array([[-1, 0.25, 0.75]], np.float32)])
    assert (tmp_path / "v.csv").read_text() == "index,volt,part=a,part=b\n0,3.0,0.25,0.75\n"
    signal = replace(vae(DataKind.SEQUENCE, 2, 1), channels=channels[:1])
    write_rows(tmp_path / "s.csv", signal, [np.array([[[0], [1]]], np.float32)])
    assert (tmp_path / "s.csv").read_text() == "index,step_0_volt,step_1_volt\n0,5.0,7.0\n"
