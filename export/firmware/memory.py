"""How many bytes of flash and RAM a firmware takes."""

from __future__ import annotations

from dataclasses import dataclass

from pocketvae.export.firmware.goldens import SelfTest
from pocketvae.export.firmware.window import Window
from pocketvae.portability.vela import NpuEstimate

# For kernels that need more scratch memory than the reference kernels, and another version's tables.
_MARGIN_SHARE = 8
_LEAST_MARGIN_BYTES = 512
_STEP_BYTES = 16
# As the interpreter names the part that is not reused between operators.
_TABLES = "arena: tail"


@dataclass(frozen=True, kw_only=True)
class Memory:
    """The bytes that are known before a compiler runs.

    Attributes:
        model_bytes: The file, in flash.
        arena_needed_bytes: The smallest arena that works; of an NPU's file an estimate.
        arena_bytes: What the firmware reserves.
        window_bytes: The ring buffer; 0 without one.
        golden_bytes: The samples of the self-test, in its flash alone.
        allocations: Parts of the arena by the interpreter's names.
        is_measured: Whether the arena was measured, not estimated.
    """

    model_bytes: int
    arena_needed_bytes: int
    arena_bytes: int
    window_bytes: int
    golden_bytes: int
    allocations: tuple[tuple[str, int], ...]
    is_measured: bool

    def rows(self) -> tuple[tuple[str, str, str], ...]:
        """Returns what, how many bytes, and where, for people."""
        how = "measured here" if self.is_measured else "estimated"
        return (
            ("model", f"{self.model_bytes:,}", "flash"),
            ("arena needed", f"{self.arena_needed_bytes:,}", how),
            ("arena reserved", f"{self.arena_bytes:,}", "RAM"),
            ("window", f"{self.window_bytes:,}", "RAM"),
            ("golden samples", f"{self.golden_bytes:,}", "flash, self-test alone"),
        )


def memory_of(content: bytes, test: SelfTest, window: Window | None, estimate: NpuEstimate | None) -> Memory:
    """Returns the table of one firmware; the arena of an NPU's file is vela's SRAM and the interpreter's tables."""
    needed = test.run.arena_bytes
    if estimate is not None:
        needed = estimate.sram_bytes + dict(test.run.allocations).get(_TABLES, needed)
    margin = max(_LEAST_MARGIN_BYTES, needed // _MARGIN_SHARE)
    return Memory(
        model_bytes=len(content),
        arena_needed_bytes=needed,
        arena_bytes=-(-(needed + margin) // _STEP_BYTES) * _STEP_BYTES,
        window_bytes=window.bytes if window else 0,
        golden_bytes=test.bytes,
        allocations=test.run.allocations if estimate is None else (),
        is_measured=estimate is None,
    )
