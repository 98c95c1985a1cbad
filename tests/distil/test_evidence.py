from types import SimpleNamespace

import pytest

from pocketvae.distil import evidence
from pocketvae.export.original.samples import POSTERIOR_STRATUM
from pocketvae.spec import Component
from pocketvae.vae_spec import Condition, VaeSpec, vector_latent


@pytest.mark.parametrize(
    ("condition", "is_known"),
    [((), True), ((Condition(count=3),), True), ((Condition(count=3, encoded=False),), False)],
)
def test_data_whose_class_is_not_known_tells_nothing_of_reconstructions(condition, is_known, monkeypatch):
    strata = {Component.DECODER: POSTERIOR_STRATUM, Component.ENCODER: "grey"}
    manifest = SimpleNamespace(
        vae=VaeSpec(data_shape=(8, 8, 1), latents=vector_latent(4), conditions=condition),
        goldens=[
            SimpleNamespace(component=component, strata=[SimpleNamespace(name=name)])
            for component, name in strata.items()
        ],
    )
    monkeypatch.setattr(evidence, "find_artifact", lambda *given: None)
    assert evidence._has_data(SimpleNamespace(manifest=manifest)) is is_known
