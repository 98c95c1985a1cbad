"""The names of Arm's accelerators."""

import pytest

from pocketvae.errors import SpecError
from pocketvae.portability.ethos_u import ACCELERATORS, EthosU


@pytest.mark.parametrize("name", ACCELERATORS)
def test_every_accelerator_has_a_system_of_its_own_family(name):
    chip = EthosU.parse(name)
    assert chip.system_config.lower().replace("_", "-").startswith(name.rpartition("-")[0])
    assert chip.memory_mode


def test_words_choose_the_system_and_the_memory_in_any_order():
    chip = EthosU.parse("ethos-u55-128:Sram_Only+Ethos_U55_Deep_Embedded")
    assert chip.describe() == "ethos-u55-128, Ethos_U55_Deep_Embedded, Sram_Only"


def test_the_family_alone_is_the_default():
    assert EthosU.parse("ethos-u") == EthosU.parse("ethos-u55-128")


def test_what_is_meant_is_proposed():
    with pytest.raises(SpecError, match="unknown Ethos-U accelerator 'ethos-u55-28': did you mean 'ethos-u55-128'"):
        EthosU.parse("ethos-u55-28")
