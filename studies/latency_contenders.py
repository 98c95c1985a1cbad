"""A contender of decoder_latency.py: a process that runs decoders in one runtime when it is told to.

Requests come on stdin and responses go to stdout, as pocketvae.processes.envelope has them. Imports its runtime and
numpy alone, so that it works in a virtual environment without pocketvae.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from latency_decoders import LATENT

Run = Callable[[], Any]
_BLOCK_S = 0.002
# A quarter of a grey step; Winograd's way to convolve, which some runtimes choose, is off by up to half of that.
_TOLERANCE = 1e-3
_GEMM_SIZE = 768
# Of every runtime, on as many cores.
THREADS = int(os.environ.get("STUDY_THREADS", "1"))


def load_litert(home: Path, z: Any, file: str) -> Run:
    """LiteRT with XNNPACK."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(home / file), num_threads=THREADS)
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]

    def run() -> Any:
        interpreter.set_tensor(source, z)
        interpreter.invoke()
        return interpreter.get_tensor(target)

    return run


def load_onnxruntime(home: Path, z: Any, file: str) -> Run:
    """The CPU provider with all optimizations."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(home / file), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"z": z})[0]


def load_openvino(home: Path, z: Any, file: str) -> Run:
    """OpenVINO's CPU plugin in float32."""
    import openvino

    options = {"INFERENCE_NUM_THREADS": THREADS, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(str(home / file), "CPU", options)
    request = compiled.create_infer_request()
    request.set_input_tensor(openvino.Tensor(z))

    def run() -> Any:
        request.infer()
        return request.get_output_tensor().data

    return run


def load_mnn(home: Path, z: Any, file: str) -> Run:
    """MNN, converted from ONNX."""
    import MNN

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "decoder.mnn"
        # Its command `mnnconvert` installs other packages: findings/mnn_tools_install_packages.sh.
        convert = "import MNN, _tools, sys; _tools.mnnconvert(sys.argv)"
        words = ["-f", "ONNX", "--modelFile", str(home / file), "--MNNModel", str(path), "--bizCode", "study"]
        subprocess.run([sys.executable, "-c", convert, *words], check=True, capture_output=True)
        interpreter = MNN.Interpreter(str(path))
        session = interpreter.createSession({"numThread": THREADS, "precision": "high", "backend": "CPU"})
    source, target = interpreter.getSessionInput(session), interpreter.getSessionOutput(session)
    given = MNN.Tensor(z.shape, MNN.Halide_Type_Float, z, MNN.Tensor_DimensionType_Caffe)
    taken = MNN.Tensor(target.getShape(), MNN.Halide_Type_Float, MNN.Tensor_DimensionType_Caffe)

    def run() -> Any:
        source.copyFrom(given)
        interpreter.runSession(session)
        target.copyToHostTensor(taken)
        return taken.getNumpyData()

    return run


def load_ncnn(home: Path, z: Any, file: str) -> Run:
    """Tencent's ncnn, converted from PyTorch with pnnx."""
    import ncnn
    import pnnx
    import torch
    from latency_torch import decoder

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "decoder"
        pnnx.export(decoder(home), f"{path}.pt", (torch.from_numpy(z),), fp16=False)
        net = ncnn.Net()
        net.opt.num_threads = 1
        net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
        net.load_param(f"{path}.ncnn.param")
        net.load_model(f"{path}.ncnn.bin")
    given = ncnn.Mat(z.reshape(-1)).clone()

    def run() -> Any:
        extractor = net.create_extractor()
        extractor.input("in0", given)
        return np.array(extractor.extract("out0")[1])

    return run


def load_ncnn_from_onnx(home: Path, z: Any, file: str) -> Run:
    """Tencent's ncnn, converted from ONNX with pnnx's program; its images and latents are channels first."""
    import ncnn

    shape = f"inputshape=[{','.join(map(str, z.shape))}]"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "decoder"
        path.with_suffix(".onnx").write_bytes((home / file).read_bytes())
        program = Path(sys.executable).with_name("pnnx")
        subprocess.run([str(program), f"{path}.onnx", shape, "fp16=0"], check=True, capture_output=True, cwd=folder)
        net = ncnn.Net()
        net.opt.num_threads = THREADS
        net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
        net.load_param(f"{path}.ncnn.param")
        net.load_model(f"{path}.ncnn.bin")
    given = ncnn.Mat(z[0]).clone()

    def run() -> Any:
        extractor = net.create_extractor()
        extractor.input("in0", given)
        return np.array(extractor.extract("out0")[1])

    return run


def load_executorch(home: Path, z: Any, file: str) -> Run:
    """ExecuTorch with its XNNPACK delegate."""
    import torch
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower
    from executorch.runtime import Runtime
    from latency_torch import decoder

    given = torch.from_numpy(z)
    exported = torch.export.export(decoder(home), (given,))
    lowered = to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()]).to_executorch()
    buffer = lowered.buffer
    program = Runtime.get().load_program(buffer)
    method = program.load_method("forward")

    # A method reads from its program and that from the buffer, and neither keeps the other alive.
    def run(held: Any = (buffer, program)) -> Any:
        return method.execute([given])[0].numpy()

    return run


def load_torch(home: Path, z: Any, file: str) -> Run:
    """PyTorch, eager, in inference mode."""
    import torch
    from latency_torch import decoder

    torch.set_num_threads(1)
    model, given = decoder(home), torch.from_numpy(z)

    def run() -> Any:
        with torch.inference_mode():
            return model(given).numpy()

    return run


def load_tensorflow(home: Path, z: Any, file: str) -> Run:
    """A `tf.function` of the Keras model."""
    import tensorflow as tf
    import tf_keras

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    model, given = tf_keras.models.load_model(home / file), tf.constant(z)
    function = tf.function(lambda z: model(z, training=False), input_signature=[tf.TensorSpec((1, LATENT))])
    return lambda: function(given).numpy()


# Contender to its loader, file and packages.
RUNTIMES: Mapping[str, tuple[Callable[[Path, Any, str], Run], str, tuple[str, ...]]] = {
    "litert-stock": (load_litert, "stock.tflite", ("ai-edge-litert",)),
    "litert-pocketvae": (load_litert, "bundle/decoder.float32.tflite", ("ai-edge-litert",)),
    "onnxruntime-stock": (load_onnxruntime, "stock.onnx", ("onnxruntime",)),
    "onnxruntime-pocketvae": (load_onnxruntime, "bundle/decoder.float32.onnx", ("onnxruntime",)),
    "tf-function": (load_tensorflow, "decoder.keras", ("tensorflow",)),
    "ncnn": (load_ncnn, "", ("ncnn", "pnnx")),
    "mnn": (load_mnn, "stock.onnx", ("mnn",)),
    "openvino": (load_openvino, "stock.onnx", ("openvino",)),
    "executorch": (load_executorch, "", ("executorch", "torch")),
    "torch-eager": (load_torch, "", ("torch",)),
    "ncnn-from-onnx": (load_ncnn_from_onnx, "stock.onnx", ("ncnn", "pnnx")),
}
SGEMM = "sgemm"


class Contender:
    """One runtime with its decoders."""

    def __init__(self, name: str) -> None:
        """Keeps the name; decoders are loaded one by one."""
        self._name = name
        self._runs: dict[str, Run] = {}

    def load(self, home: Path) -> dict[str, Any]:
        """Loads a decoder and proves that its image is the reference's; returns how far it is off."""
        load, file, packages = RUNTIMES[self._name]
        with np.load(home / "weights.npz", allow_pickle=False) as arrays:
            z, expected = arrays["z"], arrays["image"]
        run = load(home, z, file)
        image = np.asarray(run(), np.float64).reshape(-1)
        if image.shape != expected.shape:
            raise ValueError(f"the image must have {len(expected)} values, got {len(image)}")
        difference = float(np.max(np.abs(image - expected)))
        if not difference <= _TOLERANCE:
            raise ValueError(
                f"the image differs from the reference by {difference:.2g}, at most {_TOLERANCE:g} is right"
            )
        self._runs[home.name] = run
        return {
            "max_difference": difference,
            "versions": {package: importlib.metadata.version(package) for package in packages},
        }

    def measure(self, decoder: str, seconds: float) -> list[float]:
        """Returns seconds per inference of blocks that together take so long."""
        return _blocks(self._runs[decoder], seconds)


def sgemm_flops(seconds: float) -> dict[str, float]:
    """Returns the floating-point operations a second of a large matrix product, by library."""
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper

    shape = [_GEMM_SIZE, _GEMM_SIZE]
    a, b = (np.random.default_rng(seed).normal(size=shape).astype(np.float32) for seed in (0, 1))
    tensors = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "abc"]
    graph = helper.make_graph([helper.make_node("MatMul", ["a", "b"], ["c"])], "product", tensors[:2], tensors[2:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    runs: dict[str, Run] = {"numpy": lambda: a @ b, "onnxruntime": lambda: session.run(None, {"a": a, "b": b})}
    return {name: 2 * _GEMM_SIZE**3 / min(_blocks(run, seconds)) for name, run in runs.items()}


def _blocks(run: Run, seconds: float) -> list[float]:
    began = time.perf_counter()
    for _ in range(3):
        run()
        if time.perf_counter() - began > seconds:  # a large decoder needs no more to be warm
            break
    start = time.perf_counter()
    run()
    count = max(1, int(_BLOCK_S / max(time.perf_counter() - start, 1e-9)))
    times, end = [], time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        start = time.perf_counter()
        for _ in range(count):
            run()
        times.append((time.perf_counter() - start) / count)
    return times


def _answer(contender: Contender, request: Mapping[str, Any]) -> dict[str, Any]:
    try:
        if "load" in request:
            return contender.load(Path(request["load"]))
        if "sgemm" in request:
            return {"flops": sgemm_flops(request["sgemm"])}
        return {"times_s": contender.measure(request["measure"], request["seconds"])}
    except ImportError as e:
        return {"error": f"not installed: {e.name}"}
    except Exception as e:  # a runtime may raise anything; the other contenders are still timed
        return {"error": f"{type(e).__name__}: {(str(e).strip().splitlines() or ['no message'])[0][:200]}"}


def main() -> int:
    """Serves on the process's own pipes, on one core."""
    # Libraries print on stdout, so the answers get a descriptor of their own and stdout becomes stderr.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    if hasattr(os, "sched_setaffinity"):
        # Some runtimes start as many threads as there are cores, whatever they are told.
        os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[-THREADS:]))
    contender = Contender(sys.argv[1])
    for line in sys.stdin:
        request = json.loads(line)
        answers.write(json.dumps({"id": request["id"], "result": _answer(contender, request["params"])}) + "\n")
        answers.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
