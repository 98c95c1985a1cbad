"""Rockchip's chips that the vendor's compiler builds for."""

from __future__ import annotations

from pocketvae.errors import unknown_name

PLATFORMS = (
    "rk2118",
    "rk3562",
    "rk3566",
    "rk3568",
    "rk3576",
    "rk3588",
    "rv1103",
    "rv1103b",
    "rv1106",
    "rv1106b",
    "rv1126b",
)
# Of these the NPU computes integers alone.
INTEGER_PLATFORMS = frozenset({"rv1103", "rv1103b", "rv1106", "rv1106b"})
DEFAULT_PLATFORM = "rk3588"


def platform_of(option: str) -> str:
    """Returns a chip by name, the default for an empty one.

    Raises:
        SpecError: it is unknown.
    """
    if option and option not in PLATFORMS:
        raise unknown_name("Rockchip chip", option, PLATFORMS)
    return option or DEFAULT_PLATFORM
