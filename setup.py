"""Finds the packages: the folders of the rooms, under one import name."""

from pathlib import Path

from setuptools import setup

ROOMS = {
    "pocketvae": "core",
    "pocketvae.cli": "cli",
    "pocketvae.train": "train",
    "pocketvae.export": "export",
    "pocketvae.benchmarks": "benchmarks",
    "pocketvae.apps": "apps",
    "pocketvae.distil": "distil",
    "pocketvae.udf": "udf",
}


def packages() -> list[str]:
    """Returns every folder of a room that holds an `__init__.py`, by its import name."""
    return sorted(
        ".".join([room, *init.parent.relative_to(folder).parts])
        for room, folder in ROOMS.items()
        for init in Path(folder).rglob("__init__.py")
    )


setup(packages=packages(), package_dir=ROOMS)
