"""Qualcomm's Hexagon generations that the vendor's simulator knows."""

from __future__ import annotations

from pocketvae.errors import unknown_name

# Generation to the model of a SoC that has it.
SOC_MODELS = {"v68": "30", "v75": "57", "v79": "69"}
DEFAULT_GENERATION = "v75"


def generation_of(option: str) -> str:
    """Returns a generation by name, the default for an empty one.

    Raises:
        SpecError: it is unknown.
    """
    if option and option not in SOC_MODELS:
        raise unknown_name("Hexagon generation", option, SOC_MODELS)
    return option or DEFAULT_GENERATION
