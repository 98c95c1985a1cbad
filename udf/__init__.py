"""Functions for other engines: Spark's mapInPandas and mapInArrow, Dask's map_partitions, Beam's batches."""

from typing import TYPE_CHECKING

from pocketvae.lazy_names import lazy_names

if TYPE_CHECKING:
    from pocketvae.udf.functions import BatchFunction, decode, encode, reconstruct, score

_MODULES = {
    "pocketvae.udf.functions": (
        "BatchFunction",
        "decode",
        "encode",
        "reconstruct",
        "score",
    ),
}

__all__ = [
    "BatchFunction",
    "decode",
    "encode",
    "reconstruct",
    "score",
]

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
