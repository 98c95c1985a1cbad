from pocketvae.benchmarks.remote.tract import _reason

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
