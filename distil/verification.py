"""The trained student's file beside its teacher: on fresh latents, and on data where there are any."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from pocketvae.distil.config import DEFAULT_BUDGET_DB, DEFAULT_BUDGET_NATS, DistilConfig
from pocketvae.distil.evidence import Evidence
from pocketvae.distil.latents import POSTERIOR, PRIOR, VERIFICATION, draw
from pocketvae.distil.losses import in_nats
from pocketvae.distil.record import Closeness, Loss
from pocketvae.distil.teacher import FloatArray, Latents, Teacher
from pocketvae.distil.training import Learner
from pocketvae.kinds.registry import kind_of
from pocketvae.numerics.likelihoods import Observed
from pocketvae.runtimes.opening import open_runner
from pocketvae.spec import Format
from pocketvae.vae_spec import Likelihood, VaeSpec

# A user's decoder of which neither data nor a likelihood is known: differences that a person hardly sees.
LEAST_PSNR_DB = 30.0
_MOST_LATENTS, _FEWEST_LATENTS, _MOST_VALUES = 1024, 64, 12_000_000
_OWN = "the teacher's own {plural}, of latents that training did not see"


class StudentFile:
    """A student's float32 TFLite file as a function of latents; a context manager."""

    def __init__(self, content: bytes, vae: VaeSpec) -> None:
        """Loads the file."""
        self._vae = vae
        self.runner = open_runner(content, Format.TFLITE)

    def decode(self, latents: Latents) -> FloatArray:
        """Returns `[N, *data_shape] float32`."""
        found = self.runner.run_samples(latents.inputs(self._vae))
        return next(iter(found.values())).reshape(-1, *self._vae.data_shape)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.runner.close()


@dataclass(frozen=True, kw_only=True)
class Judge:
    """Compares a trained student with its teacher.

    Attributes:
        teacher: The teacher.
        learner: The trained student.
        file: Its file.
        evidence: Data, as far as there are any.
        config: Has the budgets.
    """

    teacher: Teacher
    learner: Learner
    file: StudentFile
    evidence: Evidence
    config: DistilConfig

    @property
    def vae(self) -> VaeSpec:
        """The interface of both."""
        return self.teacher.vae

    def closeness(self) -> tuple[Closeness, ...]:
        """Returns how close both are for fresh latents of each kind."""
        count = int(np.clip(_MOST_VALUES // math.prod(self.vae.data_shape), _FEWEST_LATENTS, _MOST_LATENTS))
        drawn = draw(self.teacher, count, seed=self.config.seed, stream=VERIFICATION, number=0)
        return tuple(self._closeness(kind, latents) for kind, latents in drawn.items())

    def losses(self, closeness: tuple[Closeness, ...]) -> tuple[Loss, ...]:
        """Returns what is lost against the teacher, each with its budget where it has one."""
        elbo, psnr = self._elbo(closeness), self._psnr()
        is_binary = self.vae.likelihood is Likelihood.BERNOULLI
        by_nats = elbo is not None and (is_binary or psnr is None)
        found = []
        if elbo is not None:
            limit = self.config.budget_nats or (DEFAULT_BUDGET_NATS if by_nats else None)
            found.append(replace(elbo, limit=limit))
        if psnr is not None:
            limit = self.config.budget_db or (None if by_nats else DEFAULT_BUDGET_DB)
            found.append(replace(psnr, limit=limit))
        return tuple(found) or (self._to_teacher(closeness),)

    def _closeness(self, kind: str, latents: Latents) -> Closeness:
        expected = self.teacher.decode(latents)
        difference = np.abs(self.file.decode(latents) - expected)
        square = float(np.mean(np.square(difference, dtype=np.float64)))
        loss = self.learner.loss((latents, self.teacher.targets(latents))) if in_nats(self.vae) else None
        return Closeness(
            kind=kind,
            count=len(latents.z),
            psnr_db=10 * math.log10(self.vae.range_span**2 / square) if square > 0 else None,
            p99_abs=float(np.quantile(difference, 0.99)),
            max_abs=float(difference.max()),
            kl_nats=loss,
        )

    def _elbo(self, closeness: tuple[Closeness, ...]) -> Loss | None:
        observed, posterior = self.evidence.observed, self.evidence.posterior
        if observed is not None and posterior is not None:
            lost = self._log_likelihoods(observed, posterior)
            return Loss(
                name="ELBO",
                unit="nats",
                value=float(np.mean(lost)),
                limit=None,
                count=len(lost),
                source=self.evidence.source,
            )
        nearest = next((item for kind in (POSTERIOR, PRIOR) for item in closeness if item.kind == kind), None)
        if nearest is None or nearest.kl_nats is None:
            return None
        return Loss(
            name="ELBO", unit="nats", value=nearest.kl_nats, limit=None, count=nearest.count, source=self._own()
        )

    def _log_likelihoods(self, observed: Observed, latents: Latents) -> npt.NDArray[np.float64]:
        """Returns log p(x|z) under the teacher less that under the student, `[N]`."""
        if self.vae.likelihood is not Likelihood.DISCRETIZED_LOGISTIC:
            mine, own = self.file.decode(latents), self.teacher.decode(latents)
            return observed.log_likelihoods(own) - observed.log_likelihoods(mine)
        both = (self.teacher.targets(latents), self.teacher.outputs(self.learner.model, latents))
        terms = [
            replace(observed, log_scale=log_scale).log_likelihoods(np.clip(mean, 0.0, 1.0)) for mean, log_scale in both
        ]
        return terms[0] - terms[1]

    def _psnr(self) -> Loss | None:
        data, means = self.evidence.data, self.evidence.means
        if data is None or means is None:
            return None
        errors = [_mean_square(decode(means) - data) for decode in (self.teacher.decode, self.file.decode)]
        value = 10 * math.log10(max(errors[1], 1e-12) / max(errors[0], 1e-12))
        return Loss(
            name="PSNR of reconstructions",
            unit="dB",
            value=value,
            limit=None,
            count=len(data),
            source=self.evidence.source,
        )

    def _to_teacher(self, closeness: tuple[Closeness, ...]) -> Loss:
        worst = min(closeness, key=lambda item: math.inf if item.psnr_db is None else item.psnr_db)
        return Loss(
            name="PSNR to the teacher",
            unit="dB",
            value=200.0 if worst.psnr_db is None else worst.psnr_db,
            limit=LEAST_PSNR_DB,
            is_least=True,
            count=worst.count,
            source=f"{self._own()}, {worst.kind}",
        )

    def _own(self) -> str:
        return _OWN.format(plural=kind_of(self.vae.data).plural)


def _mean_square(difference: npt.NDArray[Any]) -> float:
    return float(np.mean(np.square(difference, dtype=np.float64)))
