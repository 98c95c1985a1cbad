"""The PyTorch side of train_throughput.py: a process that takes optimizer steps when it is told to.

Requests come on stdin and responses go to stdout, as pocketvae.processes.envelope has them. Needs PyTorch and numpy,
neither pocketvae nor TensorFlow, so that it can have a virtual environment of its own.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from throughput_torch_network import Vae
from torch import Tensor

_WARMUP_STEPS = 5
_TRIAL_STEPS = 12
# Of the loss: a step without its gradient clipping already differs by more.
_LOSS_TOLERANCE = 1e-4
_OUTPUT_TOLERANCE = 1e-4
# Of a compiled step the noise is drawn inside and cannot be given, so its loss is that of another draw.
_NOISY_TOLERANCE = 0.05
_KERAS_ADAM_EPSILON = 1e-7
_SECOND_DECAY = 0.999


class TorchTraining:
    """One VAE with its optimizer and batches."""

    def __init__(self, request: Mapping[str, Any]) -> None:
        """Builds the network, proves that it is pocketvae's, and picks the fastest way to run it.

        Args:
            request: `kind`, `config`, and `folder` with `reference.npz` and `images.npy`.
        """
        self.config = request["config"]
        # As TensorFlow does.
        torch.set_flush_denormal(True)
        torch.set_num_threads(self.config["threads"])
        torch.manual_seed(self.config["seed"])
        folder = Path(request["folder"])
        self._reference = dict(np.load(folder / "reference.npz", allow_pickle=False))
        images = np.load(folder / "images.npy", allow_pickle=False)
        self._autocast = request["kind"] == "torch-autocast"
        self._images = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
        self.facts: dict[str, Any] = {"versions": {"torch": torch.__version__, "numpy": np.__version__}}
        self._prepare(channels_last=False, fused=True)
        self.facts["checks"] = self._check()
        self._pick_variant()
        if request["kind"] == "torch-compile":
            self._compile()

    def measure(self, seconds: float, warmup_steps: int) -> tuple[int, float]:
        """Takes steps for at least so many seconds, one at the least; returns how many, and the exact time."""
        for _ in range(warmup_steps):
            self.step()
        steps, elapsed_s, started = 0, 0.0, time.perf_counter()
        while steps == 0 or elapsed_s < seconds:
            self.step()
            steps, elapsed_s = steps + 1, time.perf_counter() - started
        return steps, elapsed_s

    def step(self) -> float:
        """Takes one optimizer step on the next batch and returns its loss."""
        return self._update(self._loss_of_images(self._images[next(self._batches)]))

    def _prepare(self, *, channels_last: bool, fused: bool) -> None:
        """Makes network, optimizer and averages anew, with the weights of the reference."""
        self._vae: Vae = Vae(self.config, tuple(self._reference["x"].shape[1:]))
        self._vae.load_keras(self._reference)
        if channels_last:
            # Only the convolutions' kernels have four dimensions.
            self._vae.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._weights: list[Tensor] = list(self._vae.parameters())
        self._optimizer = torch.optim.Adam(
            self._weights,
            lr=self.config["learning_rate"],
            eps=_KERAS_ADAM_EPSILON,
            fused=fused,
            foreach=not fused,
        )
        self._averages = [weight.detach().clone() for weight in self._weights] if self.config["ema_decay"] else []
        self._batches = self._endless_batches()
        self._loss_of_images: Callable[[Tensor], Tensor] = self._noisy_loss

    def _noisy_loss(self, images: Tensor) -> Tensor:
        x = torch.bernoulli(images.float() / 255.0)
        samples, latent_dim = self.config["importance_samples"], self.config["latent_dim"]
        # Weights, the loss and its sums stay float32, as in pocketvae's steps.
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self._autocast):
            return self._vae.loss(x, torch.randn(samples, len(images), latent_dim))

    def _update(self, loss: Tensor) -> float:
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self._weights, self.config["max_gradient_norm"], foreach=True)
        self._optimizer.step()
        if self._averages:
            with torch.no_grad():
                torch._foreach_lerp_(self._averages, self._weights, 1.0 - self.config["ema_decay"])
        return float(loss.detach())

    def _endless_batches(self) -> Iterator[Tensor]:
        size = self.config["batch_size"]
        while True:
            order = torch.randperm(len(self._images))
            yield from order[: len(order) // size * size].split(size)

    def _check(self) -> dict[str, float]:
        """Compares parameters, outputs and the losses of the first steps with pocketvae's.

        Raises:
            ValueError: it is not the same network or not the same step.
        """
        deviations = self._check_outputs()
        # As many steps as the reference has; a wrong gradient shows in the loss of the second.
        worst = 0.0
        steps = zip(*(self._reference[name] for name in ("xs", "noise", "losses")), strict=True)
        for number, (x, eps, expected) in enumerate(steps, 1):
            # Keras corrects the second moment's bias after adding epsilon, PyTorch before.
            self._optimizer.param_groups[0]["eps"] = _KERAS_ADAM_EPSILON / math.sqrt(1 - _SECOND_DECAY**number)
            loss = self._update(self._vae.loss(_nchw(x), torch.from_numpy(eps)))
            worst = max(worst, abs(loss - float(expected)) / abs(float(expected)))
        _demand(worst < _LOSS_TOLERANCE, f"the losses of the first steps differ by {worst:.1e} of their values")
        return {**deviations, "relative_loss_deviation": worst}

    def _check_outputs(self) -> dict[str, float]:
        reference = self._reference
        for name, part in self._vae.named_children():
            count, theirs = sum(weight.numel() for weight in part.parameters()), int(reference[f"parameters/{name}"])
            _demand(count == theirs, f"the {name} has {count} parameters, pocketvae's has {theirs}")
        with torch.no_grad():
            mean, log_var = self._vae.encoder(_nchw(reference["x"]))
            z = torch.from_numpy(reference["z_mean"])
            outputs = {
                "z_mean": mean,
                "z_log_var": log_var,
                "logits": self._vae.decoder(z).permute(0, 2, 3, 1),
                "log_prior": self._vae.log_prior(z),
            }
        deviations = {}
        for name, values in outputs.items():
            expected = torch.from_numpy(reference[name])
            # Absolute for values around 1; a log-density of many dimensions is a sum of so many.
            scale = max(1.0, float(expected.abs().max())) if name == "log_prior" else 1.0
            deviation = float((values - expected).abs().max()) / scale
            _demand(deviation < _OUTPUT_TOLERANCE, f"{name} differs from pocketvae's by {deviation:.1e}")
            deviations[f"{name}_deviation"] = deviation
        return deviations

    def _pick_variant(self) -> None:
        """Times memory formats and optimizer kernels, and prepares the fastest."""
        layouts = (False,) if self.config["architecture"] == "mlp" else (False, True)
        trials: dict[str, tuple[float, dict[str, bool]]] = {}
        for channels_last in layouts:
            for fused in (False, True):
                variant = {"channels_last": channels_last, "fused": fused}
                self._prepare(**variant)
                name = f"{'channels_last' if channels_last else 'contiguous'}, {'fused' if fused else 'foreach'} Adam"
                trials[name] = (self._median_step_s(), variant)
        best = min(trials, key=lambda name: trials[name][0])
        self.facts["variant"] = best
        self.facts["trial_step_s"] = {name: step_s for name, (step_s, _) in trials.items()}
        self._prepare(**trials[best][1])
        self.measure(0.0, _WARMUP_STEPS)

    def _compile(self) -> None:
        images = self._images[next(self._batches)]
        with torch.no_grad():
            expected = float(self._noisy_loss(images))
        started = time.perf_counter()
        self._loss_of_images = torch.compile(self._noisy_loss)
        loss = self._update(self._loss_of_images(images))
        self.facts["compile_s"] = time.perf_counter() - started
        deviation = abs(loss - expected) / abs(expected)
        _demand(deviation < _NOISY_TOLERANCE, f"the compiled loss differs from the eager one by {deviation:.0%}")
        self.measure(0.0, _WARMUP_STEPS)

    def _median_step_s(self) -> float:
        self.measure(0.0, _WARMUP_STEPS)
        return sorted(self.measure(0.0, 0)[1] for _ in range(_TRIAL_STEPS))[_TRIAL_STEPS // 2]


def _nchw(images: Any) -> Tensor:
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()


def _demand(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)


class _Worker:
    """Answers requests; an error becomes part of the reply."""

    def __init__(self) -> None:
        self._training: TorchTraining | None = None

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        try:
            if self._training is None:
                self._training = TorchTraining(request)
                return {"facts": self._training.facts}
            steps, elapsed_s = self._training.measure(request["seconds"], request["warmup_steps"])
            return {"steps": steps, "elapsed_s": elapsed_s}
        except Exception as e:  # a compiler may raise anything; the other contenders are still timed
            return {"error": f"{type(e).__name__}: {str(e)[:300]}"}


def main() -> int:
    """Serves on the process's own pipes."""
    # Compilers print on stdout, so the answers get a descriptor of their own and stdout becomes stderr.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    worker = _Worker()
    for line in sys.stdin:
        request = json.loads(line)
        answers.write(json.dumps({"id": request["id"], "result": worker.answer(request["params"])}) + "\n")
        answers.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
