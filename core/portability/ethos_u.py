"""Arm's Ethos-U accelerators by Arm's names, each with a system configuration and a memory mode of Arm's compiler."""

from __future__ import annotations

from dataclasses import dataclass

from pocketvae.errors import SpecError, unknown_name

ACCELERATORS = (
    "ethos-u55-32",
    "ethos-u55-64",
    "ethos-u55-128",
    "ethos-u55-256",
    "ethos-u65-256",
    "ethos-u65-512",
    "ethos-u85-128",
    "ethos-u85-256",
    "ethos-u85-512",
    "ethos-u85-1024",
    "ethos-u85-2048",
)
DEFAULT_ACCELERATOR = "ethos-u55-128"
_FAMILY = "ethos-u"
# By family, the default first. Vela takes those of another family and estimates nonsense.
_SYSTEM_CONFIGS = {
    "ethos-u55": ("Ethos_U55_High_End_Embedded", "Ethos_U55_Deep_Embedded"),
    "ethos-u65": ("Ethos_U65_High_End", "Ethos_U65_Embedded", "Ethos_U65_Mid_End", "Ethos_U65_Client_Server"),
    "ethos-u85": (
        "Ethos_U85_SYS_DRAM_Mid",
        "Ethos_U85_SYS_DRAM_Low",
        "Ethos_U85_SYS_DRAM_High",
        "Ethos_U85_SYS_Flash_Low",
        "Ethos_U85_SYS_Flash_High",
    ),
}
_DEDICATED = ("Dedicated_Sram", "Dedicated_Sram_256KB", "Dedicated_Sram_384KB", "Dedicated_Sram_512KB")
_MEMORY_MODES = {
    "ethos-u55": ("Shared_Sram", "Sram_Only"),
    "ethos-u65": (*_DEDICATED, "Shared_Sram", "Sram_Only"),
    "ethos-u85": ("Dedicated_Sram_384KB", *_DEDICATED, "Shared_Sram", "Sram_Only"),
}


@dataclass(frozen=True, kw_only=True)
class EthosU:
    """One accelerator in one system.

    Attributes:
        accelerator: One of `ACCELERATORS`.
        system_config: Clock and bandwidths, by vela's name.
        memory_mode: Where weights and activations are stored, by vela's name.
    """

    accelerator: str
    system_config: str
    memory_mode: str

    @classmethod
    def parse(cls, name: str) -> EthosU:
        """Reads `ACCELERATOR[:WORD+WORD]`; a word is a system configuration or a memory mode.

        `ethos-u` alone is the default.

        Raises:
            SpecError: a name is unknown, belongs to another family, or there are two of a kind.
        """
        accelerator, _, rest = name.partition(":")
        if name == _FAMILY:
            accelerator = DEFAULT_ACCELERATOR
        if accelerator not in ACCELERATORS:
            raise unknown_name("Ethos-U accelerator", accelerator, ACCELERATORS)
        family = accelerator.rpartition("-")[0]
        systems, modes = _SYSTEM_CONFIGS[family], _MEMORY_MODES[family]
        words = rest.split("+") if rest else []
        for word in words:
            if word not in (*systems, *modes):
                raise unknown_name(f"system configuration or memory mode of {accelerator}", word, (*systems, *modes))
        chosen = [[word for word in words if word in kind] or [kind[0]] for kind in (systems, modes)]
        if any(len(kind) > 1 for kind in chosen):
            raise SpecError(f"{name}: name at most one system configuration and one memory mode")
        return cls(accelerator=accelerator, system_config=chosen[0][0], memory_mode=chosen[1][0])

    def describe(self) -> str:
        """Returns it as text, as an estimate must be labelled."""
        return f"{self.accelerator}, {self.system_config}, {self.memory_mode}"
