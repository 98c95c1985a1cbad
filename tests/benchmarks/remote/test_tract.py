from pathlib import Path
from types import SimpleNamespace

import pytest

from pocketvae.benchmarks.remote.graphics import GraphicsRemoteRunner
from pocketvae.benchmarks.remote.tract import TractRemoteRunner, _reason
from pocketvae.errors import TargetError

SAID = """Translating node #3 "z_QuantizeLinear" QuantizeLinear ToTypedTranslator

Caused by:
    Tensor datum type error: tensor is U16, accessed as I8

Stack backtrace:
   0: <anyhow::Error>::msg
"""


def test_the_operator_and_what_is_wrong_with_it_are_named_without_a_trace():
    assert _reason(SAID) == (
        'Translating node #3 "z_QuantizeLinear" QuantizeLinear ToTypedTranslator: '
        "Tensor datum type error: tensor is U16, accessed as I8"
    )


@pytest.mark.parametrize("kind", [TractRemoteRunner, GraphicsRemoteRunner])
def test_a_number_of_threads_that_it_cannot_be_told_is_not_timed(kind):
    with pytest.raises(TargetError, match="it is only timed with --threads 1, got 4"):
        kind(Path()).time(SimpleNamespace(threads=4), {})
