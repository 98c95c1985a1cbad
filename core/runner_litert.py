"""TFLite artifacts on LiteRT's CPU interpreter."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from pocketvae.errors import ParityError, missing_package
from pocketvae.quiet import quiet_stderr
from pocketvae.runners import Array, Kernels, Runner, check_batch
from pocketvae.spec import Quantization, TensorSpec, signature_key

_BATCH_KEY = re.compile(r"batch_\d+")
_IDENTIFIER = b"TFL3"
_ANNOUNCED: list[bool] = []


class LiteRtRunner(Runner):
    """Runs one TFLite file with XNNPACK, or with the built-in kernels alone."""

    _resolvers: Mapping[Kernels, str] = {
        Kernels.OPTIMIZED: "AUTO",
        Kernels.BUILTIN: "BUILTIN_WITHOUT_DEFAULT_DELEGATES",
    }

    def __init__(self, path: Path, *, num_threads: int, kernels: Kernels, batch: int = 1) -> None:
        """Loads the file and allocates its tensors.

        Raises:
            SpecError: the file has not got the batch.
            ParityError: the file is damaged or needs an operator that LiteRT has not got.
            TargetError: ai-edge-litert is not installed.
        """
        try:
            from ai_edge_litert.interpreter import Interpreter, OpResolverType
        except ImportError as e:
            raise missing_package("ai-edge-litert", "run") from e
        resolver = OpResolverType[self._resolvers[kernels]]
        content = path.read_bytes()
        _check_identifier(content, path)
        try:
            with _quiet_once():
                self._interpreter = Interpreter(
                    model_content=content, num_threads=num_threads, experimental_op_resolver_type=resolver
                )
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as e:
            raise ParityError(f"LiteRT cannot load {path}: {_first_line(e)}") from e
        self.runtime = f"ai-edge-litert {version('ai-edge-litert')}"
        inputs, outputs = _primary_signature(self._interpreter)
        self._input_indices = {name: details["index"] for name, details in inputs.items()}
        self._output_indices = {name: details["index"] for name, details in outputs.items()}
        self._primary = _batch_of(inputs)
        self._others = _other_signatures(self._interpreter)
        self.batch, self.batches = batch, tuple(sorted((self._primary, *self._others)))
        check_batch(batch, self.batches)
        if batch != self._primary:
            inputs, outputs = (self._others[batch].get_input_details(), self._others[batch].get_output_details())
        self.inputs = {name: _tensor_spec(name, details) for name, details in inputs.items()}
        self.outputs = {name: _tensor_spec(name, details) for name, details in outputs.items()}

    def run(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        """See `Runner.run`."""
        if self._others and len(next(iter(feed.values()))) != self._primary:
            other: dict[str, Array] = self._others[len(next(iter(feed.values())))](**feed)
            return other
        for name, index in self._input_indices.items():
            self._interpreter.set_tensor(index, feed[name])
        self._interpreter.invoke()
        # get_tensor copies, so the arrays survive the next call.
        return {name: self._interpreter.get_tensor(index) for name, index in self._output_indices.items()}

    def order(self) -> tuple[list[str], list[str]]:
        """Returns the names of inputs and outputs in the order in which the file has them."""
        in_file = (self._interpreter.get_input_details(), self._interpreter.get_output_details())
        names = [{i: n for n, i in indices.items()} for indices in (self._input_indices, self._output_indices)]
        inputs, outputs = ([known[d["index"]] for d in details] for known, details in zip(names, in_file, strict=True))
        return inputs, outputs

    def close(self) -> None:
        """See `Runner.close`."""
        del self._interpreter


class ReferenceRunner(LiteRtRunner):
    """The same with the portable kernels that explain what an operator is; for float32 alone.

    ai-edge-litert 2.3.0 ends the process when they run a quantized convolution.
    """

    _resolvers: Mapping[Kernels, str] = {Kernels.BUILTIN: "BUILTIN_REF"}


@contextlib.contextmanager
def _quiet_once() -> Iterator[None]:
    """Holds back the line that XNNPACK prints when a process first uses it."""
    if _ANNOUNCED:
        yield
        return
    with quiet_stderr():
        yield
    _ANNOUNCED.append(True)


def _check_identifier(content: bytes, path: Path) -> None:
    # LiteRT itself verifies the tables, so a truncated file is refused there; only its words for a foreign one mislead.
    if len(content) < 8 or content[4:8] != _IDENTIFIER:
        raise ParityError(f"{path} is no TFLite file: the identifier {_IDENTIFIER.decode()!r} is missing")


def _primary_signature(interpreter: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns the inputs and outputs of the file's first subgraph, which runs by tensor indices, the fastest way."""
    names = interpreter.get_signature_list()
    if not names:
        inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
        return {d["name"]: d for d in inputs}, {d["name"]: d for d in outputs}
    key = signature_key(1) if signature_key(1) in names else next(iter(names))
    runner = interpreter.get_signature_runner(key)
    return runner.get_input_details(), runner.get_output_details()


def _other_signatures(interpreter: Any) -> dict[int, Any]:
    """Returns the signatures `batch_N` by their batch size."""
    keys = [key for key in interpreter.get_signature_list() if _BATCH_KEY.fullmatch(key)]
    runners = [interpreter.get_signature_runner(key) for key in keys]
    return {_batch_of(runner.get_input_details()): runner for runner in runners}


def _batch_of(details: Mapping[str, Any]) -> int:
    first = next(iter(details.values()), None)
    return int(first["shape"][0]) if first is not None and len(first["shape"]) else 1


def _tensor_spec(name: str, details: Mapping[str, Any]) -> TensorSpec:
    scale, zero_point = details["quantization"]
    return TensorSpec(
        name=name,
        dtype=np.dtype(details["dtype"]).name,
        shape=tuple(int(n) for n in details["shape"]),
        quantization=Quantization(scale=float(scale), zero_point=int(zero_point)) if scale else None,
    )


def _first_line(e: BaseException) -> str:
    return str(e).strip().splitlines()[0] if str(e).strip() else type(e).__name__
