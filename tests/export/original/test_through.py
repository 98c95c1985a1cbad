"""Goldens of scorers: normal items, and anomalies made of them."""

import numpy as np
import pytest

from pocketvae.export.original.through import NORMAL_STRATUM, golden_items
from pocketvae.vae_spec import DataKind, VaeSpec, vector_latent

VAES = {
    "sequences": VaeSpec(data=DataKind.SEQUENCE, data_shape=(32, 3), latents=vector_latent(4), range_is_strict=False),
    "rows": VaeSpec(data=DataKind.VECTOR, data_shape=(20,), latents=vector_latent(4), range_is_strict=False),
    "images": VaeSpec(data_shape=(8, 8, 1), latents=vector_latent(4)),
    "colours": VaeSpec(data_shape=(8, 8, 3), latents=vector_latent(4), data_range=(-1.0, 1.0)),
}


@pytest.mark.parametrize("name", VAES)
def test_every_anomaly_differs_from_what_it_was_made_of(name):
    vae, rng = VAES[name], np.random.default_rng(3)
    x = rng.uniform(*vae.data_range, (90, *vae.data_shape)).astype(np.float32)
    golden, labels, anomalous = golden_items(x, np.arange(90), vae, np.random.default_rng(0))
    items = golden.inputs["x"]
    assert len(items) == len(labels) == len(anomalous) == golden.count
    assert not (items == x[labels]).reshape(len(items), -1).all(axis=1)[anomalous].any()
    np.testing.assert_array_equal(items[~anomalous], x)
    kinds = [stratum.name for stratum in golden.strata]
    assert kinds[0] == NORMAL_STRATUM
    assert ("held" in kinds) == (name == "sequences")
    assert ("swapped channels" in kinds) == (name in ("sequences", "colours"))
    if vae.range_is_strict:
        assert vae.data_range[0] <= items.min() <= items.max() <= vae.data_range[1]
