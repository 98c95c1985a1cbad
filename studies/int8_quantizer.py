"""What litert-quantizer makes of a decoder, for int8_contenders.py: `python studies/int8_quantizer.py HOME`.

Runs where `litert-quantizer==0.11.0` is installed, without pocketvae. Reads `float32.tflite` and `calibration.npz`,
writes `litert-quantizer.SETTING.tflite`, or `litert-quantizer.SETTING.failed` with the reason.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

_NAME, _FOUR_BITS = "litert-quantizer", "4 bits"
# Ways to choose scales of weights, and two that calibrate for more than ranges.
_SCALES, _ROUNDINGS = ("MIN_MAX_UNIFORM_QUANT", "OCTAV", "MSE"), ("GPTQ", "OSCAR")
_EVERYTHING = ".*"
_SOME = 128

Recipe = list[dict[str, Any]]
Samples = list[dict[str, Any]]


def main(words: list[str]) -> int:
    """Writes a file for each setting."""
    home, ranges = Path(words[0]), dict[str, Any]()
    with np.load(home / "calibration.npz") as archive:
        names = list(archive)
        rows = zip(*(_each(archive[name]) for name in names), strict=True)
        samples = [dict(zip(names, row, strict=True)) for row in rows]
    for setting, algorithm, recipe in settings():
        chosen = samples if "all samples" in setting else samples[:: max(1, len(samples) // _SOME)]
        # Scales of weights need no more than the ranges of activations, which are the same for all of them.
        key = f"{len(chosen)} {algorithm if algorithm in _ROUNDINGS else ''}"
        path = home / f"{_NAME}.{setting}.tflite"
        if path.exists():
            continue
        try:
            path.write_bytes(_quantized(home / "float32.tflite", chosen, recipe, ranges, key))
        except Exception as e:  # A quantizer may raise anything; the others go on.
            text = f"{type(e).__name__}: {' '.join(str(e).split())[:300]}"
            (home / f"{_NAME}.{setting}.failed").write_text(text)
    return 0


def settings() -> Iterator[tuple[str, str, Recipe]]:
    """Yields setting, algorithm for weights and recipe: the head in integers or float, activations likewise."""
    plain = _SCALES[0]
    yield f"{plain}, all samples, head in float", plain, _recipe(plain, head_in_float=True)
    yield plain, plain, _recipe(plain)
    for algorithm in (*_SCALES, *_ROUNDINGS):
        yield f"{algorithm}, head in float", algorithm, _recipe(algorithm, head_in_float=True)
        yield f"{_FOUR_BITS}, {algorithm}, head in float", algorithm, _recipe(algorithm, bits=4, head_in_float=True)
        yield f"{_FOUR_BITS}, {algorithm}, float activations", algorithm, _recipe(algorithm, bits=4, dynamic=True)
    blocks = _recipe(plain, bits=4, dynamic=True, granularity="BLOCKWISE_32")
    yield f"{_FOUR_BITS}, {plain}, blocks of 32, float activations", plain, blocks


def _recipe(
    algorithm: str,
    *,
    bits: int = 8,
    head_in_float: bool = False,
    dynamic: bool = False,
    granularity: str = "CHANNELWISE",
) -> list[dict[str, Any]]:
    from litert_quantizer import algorithm_manager, qtyping, recipe_manager

    recipes = recipe_manager.RecipeManager()
    key, every = algorithm_manager.AlgorithmName[algorithm], qtyping.TFLOperationName.ALL_SUPPORTED
    blocks = qtyping.QuantGranularity[granularity]
    if dynamic:
        recipes.add_dynamic_config(_EVERYTHING, every, bits, blocks, key)
    else:
        recipes.add_static_config(_EVERYTHING, every, 8, bits, blocks, key)
    if head_in_float:
        never = algorithm_manager.AlgorithmName.NO_QUANTIZE
        for name in ("LOGISTIC", "OUTPUT"):
            recipes.add_quantization_config(_EVERYTHING, qtyping.TFLOperationName[name], algorithm_key=never)
    found: list[dict[str, Any]] = recipes.get_quantization_recipe()
    return found


def _each(values: Any) -> Iterator[Any]:
    return (values[index : index + 1] for index in range(len(values)))


def _quantized(float32: Path, samples: Samples, recipe: Recipe, ranges: dict[str, Any], key: str) -> bytes:
    from litert_quantizer import quantizer

    made = quantizer.Quantizer(str(float32), recipe)
    if not made.need_calibration:
        return bytes(made.quantize().quantized_model)
    if key not in ranges:
        ranges[key] = made.calibrate({"serving_default": samples}, num_threads=1)
    return bytes(made.quantize(ranges[key]).quantized_model)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
