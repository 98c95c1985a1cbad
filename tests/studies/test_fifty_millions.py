import resource
import sys

import fifty_millions
import psutil

_PROGRAM = """
import sys, time
print("making one", file=sys.stderr, flush=True)
time.sleep(0.3)
block = bytearray(100_000_000)
print("made")
sys.exit(1)
"""


def test_lines_are_kept_with_their_times_and_the_exit_code(capfd):
    found = fifty_millions.run_command([sys.executable, "-c", _PROGRAM])
    assert found.code == 1
    assert [line for _, line in found.said] == ["making one", "made"]
    assert found.said[1][0] - found.said[0][0] >= 0.2
    assert found.step.wall_s >= 0.3
    # On Linux a process that was forked counts the memory of its parent until it is another program.
    own = psutil.Process().memory_info().rss
    peak = max(own, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
    assert 100e6 <= found.step.peak_rss_bytes < 1e9 + peak
    assert "making one" in capfd.readouterr().err
