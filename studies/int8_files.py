"""The files of int8_contenders.py: `python studies/int8_files.py HOME BUNDLE [RUN]` writes one decoder's.

From the decoder that the bundle keeps and the export's own calibration samples: the float files that quantizers read
(`float32.tflite`, `float32.onnx`), the samples (`calibration.npz`), and what LiteRT's converter and onnxruntime make of
them with several settings, as `CONTENDER.SETTING.FORMAT`. A setting that fails leaves `CONTENDER.SETTING.failed`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketvae.bundle.bundle import Bundle, open_bundle
from pocketvae.bundle.reference import REFERENCE_NAME
from pocketvae.bundle.run import open_run
from pocketvae.documents import encode_line
from pocketvae.export.convert import onnx as onnx_convert
from pocketvae.export.convert import tflite
from pocketvae.export.convert.graphs import Graph, build_graph
from pocketvae.export.embed.embedding import Statement
from pocketvae.export.messages import PrepareJob, WorkerSetup
from pocketvae.export.prepared_files import array_path, calibration_role
from pocketvae.export.worker import SETUP_NAME, Worker
from pocketvae.keras.external import load_original
from pocketvae.keras.io import import_tensorflow, load_model
from pocketvae.spec import Component
from pocketvae.system.temporary import temporary_directory

Samples = Mapping[str, npt.NDArray[Any]]
LITERT, ONNXRUNTIME, QUANTIZER = "LiteRT's converter", "onnxruntime", "litert-quantizer"
FOUR_BITS = "4 bits"
_HEADS = ("LOGISTIC",)
_SOME = 128


def main(words: list[str]) -> int:
    """Writes everything into HOME."""
    home, bundle = Path(words[0]), open_bundle(words[1])
    samples = calibration_of(bundle, Path(words[2]) if len(words) > 2 else None)
    np.savez(home / "calibration.npz", allow_pickle=False, **samples)
    graph = build_graph(Component.DECODER, _original(bundle), bundle.manifest.vae)
    (home / "float32.tflite").write_bytes(tflite.convert_float32(graph))
    (home / "float32.onnx").write_bytes(onnx_convert.convert_float32(graph))
    write_each(home, LITERT, "tflite", litert_settings(graph, samples))
    write_each(home, ONNXRUNTIME, "onnx", onnxruntime_settings(home / "float32.onnx", samples))
    return 0


def write_each(home: Path, contender: str, ending: str, settings: Iterator[tuple[str, Callable[[], bytes]]]) -> None:
    """Writes a contender's file for each setting, unless it is there, or why there is none."""
    for name, make in settings:
        path = home / f"{contender}.{name}.{ending}"
        if path.exists():
            continue
        try:
            path.write_bytes(make())
        except Exception as e:  # A quantizer may raise anything; the others go on.
            (home / f"{contender}.{name}.failed").write_text(f"{type(e).__name__}: {' '.join(str(e).split())[:300]}")


def calibration_of(bundle: Bundle, run: Path | None) -> Samples:
    """Returns the samples that the export of a bundle calibrated with, input name to `[N, ...]`.

    Args:
        bundle: The bundle.
        run: What it was exported from; None where it was exported without images.
    """
    manifest = bundle.manifest
    models = {component: bundle.path / file.path for component, file in manifest.original.items()}
    if run is not None:
        models = {component: open_run(run).model_path(component) for component in manifest.vae.components}
    setup = WorkerSetup(
        vae=manifest.vae,
        statement=Statement(name=manifest.name),
        seed=manifest.calibration.seed,
        models={component: str(path) for component, path in models.items()},
        reference=str(run / REFERENCE_NAME) if run is not None else "",
        forms=manifest.forms,
    )
    with temporary_directory() as folder:
        (folder / SETUP_NAME).write_text(encode_line(setup), "utf-8")
        Worker(folder).prepare(PrepareJob(components=(Component.DECODER,)))
        names = [spec.name for spec in manifest.vae.inputs(Component.DECODER)]
        return {name: np.load(array_path(folder, Component.DECODER, calibration_role(0), name)) for name in names}


def litert_settings(graph: Graph, samples: Samples) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Yields the settings of LiteRT's converter: 8 bits throughout, and with the head in float."""
    for suffix, chosen in (("", samples), (f", {_SOME} samples", _thinned(samples))):
        yield f"default{suffix}", partial(_converted, graph, chosen, whole=False)
        yield f"integers only, float interface{suffix}", partial(_converted, graph, chosen, whole=True)
        yield f"head in float{suffix}", partial(_without, graph, chosen, _HEADS)
    yield "per tensor, head in float", partial(_without, graph, samples, _HEADS, per_channel=False)


def onnxruntime_settings(float32: Path, samples: Samples) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Yields the settings of quantize_static: calibration methods, types of 8 bits, and the head in float or not."""
    from onnxruntime.quantization import CalibrationMethod, QuantType

    signed, unsigned = QuantType.QInt8, QuantType.QUInt8
    for method in CalibrationMethod:
        # Histograms of every value of every sample take minutes.
        chosen = samples if method is CalibrationMethod.MinMax else _thinned(samples)
        make = partial(_quantized, float32, chosen, calibrate_method=method)
        options = {"activation_type": unsigned, "weight_type": unsigned, "float_head": True}
        yield f"{method.name}, head in float", partial(make, **options)
    minmax = partial(_quantized, float32, samples, calibrate_method=CalibrationMethod.MinMax)
    yield "MinMax", partial(minmax, activation_type=unsigned, weight_type=unsigned)
    yield "MinMax, signed, head in float", partial(minmax, activation_type=signed, weight_type=signed, float_head=True)
    yield (
        "MinMax, moving average, head in float",
        partial(minmax, activation_type=unsigned, weight_type=unsigned, float_head=True, CalibMovingAverage=True),
    )
    yield (
        "MinMax, per tensor, head in float",
        partial(minmax, activation_type=unsigned, weight_type=unsigned, float_head=True, per_channel=False),
    )
    yield (
        f"{FOUR_BITS}, MinMax, head in float",
        partial(minmax, activation_type=unsigned, weight_type=QuantType.QInt4, float_head=True),
    )


def _original(bundle: Bundle) -> Any:
    path = bundle.path / bundle.manifest.original[Component.DECODER].path
    form = bundle.manifest.forms.get(Component.DECODER)
    return load_original(path, form) if form else load_model(path)


def _thinned(samples: Samples) -> Samples:
    count = len(next(iter(samples.values())))
    return {name: values[:: max(1, count // _SOME)] for name, values in samples.items()}


def _converted(graph: Graph, samples: Samples, *, whole: bool) -> bytes:
    tf = import_tensorflow()

    def configure(converter: Any) -> None:
        tflite.calibrate_with(converter, samples)
        if whole:
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]

    return tflite.convert(graph, configure)


def _without(graph: Graph, samples: Samples, operators: tuple[str, ...], *, per_channel: bool = True) -> bytes:
    """Quantizes a calibrated model selectively, as TensorFlow's QuantizationDebugger does."""
    tf = import_tensorflow()
    from tensorflow.lite.python.convert import mlir_quantize

    def configure(converter: Any) -> None:
        tflite.calibrate_with(converter, samples)
        converter._experimental_calibrate_only = True

    return bytes(
        mlir_quantize(
            tflite.convert(graph, configure),
            disable_per_channel=not per_channel,
            input_data_type=tf.float32,
            output_data_type=tf.float32,
            denylisted_ops=list(operators),
        )
    )


def _quantized(
    float32: Path, samples: Samples, *, float_head: bool = False, per_channel: bool = True, **options: Any
) -> bytes:
    import onnx
    from onnxruntime.quantization import QuantFormat, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    extra = {name: options.pop(name) for name in tuple(options) if name[0].isupper()}
    with temporary_directory() as folder:
        source, target = folder / "source.onnx", folder / "target.onnx"
        # Symbolic shapes need sympy, and every shape of these graphs is known.
        quant_pre_process(str(float32), str(source), skip_symbolic_shape=True)
        nodes = onnx.load(source).graph.node
        quantize_static(
            source,
            target,
            _Reader(samples),
            quant_format=QuantFormat.QDQ,
            per_channel=per_channel,
            nodes_to_exclude=[node.name for node in nodes if node.op_type == "Sigmoid"] if float_head else [],
            extra_options={"WeightSymmetric": True, **extra},
            **options,
        )
        return target.read_bytes()


class _Reader:
    """The samples one at a time, as onnxruntime reads them."""

    def __init__(self, samples: Samples) -> None:
        count = len(next(iter(samples.values())))
        self._rest = iter(
            {name: values[index : index + 1] for name, values in samples.items()} for index in range(count)
        )

    def get_next(self) -> dict[str, npt.NDArray[Any]] | None:
        return next(self._rest, None)

    def set_range(self, start_index: int, end_index: int) -> None:
        """Does nothing: all samples are read at once."""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
