"""What a student has to reach, how long it is trained and how far it may be from its teacher."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pocketvae.errors import SpecError
from pocketvae.portability.ethos_u import EthosU
from pocketvae.spec import STRICT
from pocketvae.system.limits import check_number

# The search asks for this much more than was asked for: the trained student's file is measured again, and a second
# measurement is up to so much slower.
SEARCH_MARGIN = 1.05
DEFAULT_STEPS = 20_000
DEFAULT_BUDGET_NATS, DEFAULT_BUDGET_DB = 0.5, 0.3
_MOST_STEPS = 10_000_000


@dataclass(frozen=True, kw_only=True)
class Targets:
    """What the student's file has to reach; None for what is not asked for.

    Attributes:
        target_us: Latency of one call in microseconds, at most.
        speedup: How many times as fast as the teacher's file, at least.
        max_kb: Size of the file in units of 1000 bytes, at most.
        chip: The Ethos-U whose compiler's estimate of int8 files counts, as `EthosU.parse` reads it; empty for float32
            files on this machine, with one thread.

    Raises:
        SpecError: a number is not positive and finite, a speed-up is none, nothing is asked for, or no chip has that
            name.
    """

    __pydantic_config__ = STRICT
    target_us: float | None = None
    speedup: float | None = None
    max_kb: float | None = None
    chip: str = ""

    def __post_init__(self) -> None:
        if self.chip:
            EthosU.parse(self.chip)
        options = {"--target-us": self.target_us, "--speedup": self.speedup, "--max-kb": self.max_kb}
        given = {option: value for option, value in options.items() if value is not None}
        if not given:
            raise SpecError("a student needs a target: give --speedup K, --target-us N or --max-kb N, or several")
        for option, value in given.items():
            if not 0 < value < math.inf:
                raise SpecError(f"{option} must be positive and finite, got {value:g}")
        if self.speedup is not None and self.speedup <= 1:
            raise SpecError(f"--speedup must be above 1, got {self.speedup:g}: the teacher is as fast as itself")

    def excess(self, *, latency_us: float, teacher_us: float, size_bytes: int) -> float:
        """Returns how many times as much as allowed a file takes, by the target that it is furthest from."""
        shares = [
            latency_us / self.target_us if self.target_us else 0.0,
            latency_us * self.speedup / teacher_us if self.speedup else 0.0,
            size_bytes / (1000 * self.max_kb) if self.max_kb else 0.0,
        ]
        return max(shares)

    def text(self) -> str:
        """Returns them as text: `at least 3 times as fast, at most 50 kB`."""
        parts = [
            f"at most {self.target_us:g} µs" if self.target_us else "",
            f"at least {self.speedup:g} times as fast" if self.speedup else "",
            f"at most {self.max_kb:g} kB" if self.max_kb else "",
        ]
        text = ", ".join(filter(None, parts))
        return f"{text} on {self.accelerator.accelerator}" if self.accelerator else text

    @property
    def accelerator(self) -> EthosU | None:
        """The chip; None for this machine."""
        return EthosU.parse(self.chip) if self.chip else None


@dataclass(frozen=True, kw_only=True)
class DistilConfig:
    """How a student is found and trained.

    Attributes:
        targets: What it has to reach.
        steps: Optimizer steps of the student that is kept, those before it was chosen among them.
        batch_size: Latents of one step.
        learning_rate: Highest rate; a cosine leads from it to a hundredth.
        seed: Of initial weights and latents.
        budget_nats: The largest loss of ELBO; None for the default, where it applies.
        budget_db: The largest loss of PSNR of reconstructions; None for the default, where it applies.
        finalists: How many candidates are trained for a short time.

    Raises:
        SpecError: a value is out of range.
    """

    __pydantic_config__ = STRICT
    targets: Targets
    steps: int = DEFAULT_STEPS
    batch_size: int = 128
    learning_rate: float = 4e-3
    seed: int = 0
    budget_nats: float | None = None
    budget_db: float | None = None
    finalists: int = 6

    def __post_init__(self) -> None:
        check_number(self.steps, "--steps", most=_MOST_STEPS)
        check_number(self.batch_size, "the batch size", least=4, most=4096)
        check_number(self.finalists, "the number of finalists", most=16)
        check_number(self.seed, "--seed", least=0, most=2**31 - 1)
        if not 0 < self.learning_rate < math.inf:
            raise SpecError(f"the learning rate must be positive and finite, got {self.learning_rate:g}")
        for option, value in (("--budget-nats", self.budget_nats), ("--budget-db", self.budget_db)):
            if value is not None and not 0 < value < math.inf:
                raise SpecError(f"{option} must be positive and finite, got {value:g}")
