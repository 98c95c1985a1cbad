"""What an accelerator says of a graph that it does not take."""

from pocketvae.benchmarks.remote.accelerators import gpu_refusal

SAID = """INFO: [delegate_webgpu.cc:363] Created a WebGPU environment.
ERROR: Following operations are not supported by GPU delegate:
BITWISE_XOR: Not supported op BITWISE_XOR
GATHER: Only support 1D indices
9 operations will run on the GPU, and the remaining 160 operations will run on the CPU.
"""


def test_a_graph_that_is_not_taken_whole_is_refused_with_its_operators():
    assert gpu_refusal(SAID, "ERROR: some ops are not accelerated") == (
        "the GPU takes 9 of 169 operations; not supported: BITWISE_XOR, GATHER"
    )
    assert gpu_refusal("", "ERROR: [x.cc:1]\n└ No adapter") == (
        "LiteRT's GPU accelerator does not load it: └ No adapter"
    )
