"""Memory that is freed goes back to the system."""

import subprocess
import sys

import pytest

# Blocks below glibc's threshold for maps of their own lie in its heap, which a last block keeps from shrinking.
CHILD = """
import psutil
from pocketvae.system.memory import release
class Ring:
    def __init__(self):
        self.me, self.content = self, [b"x" * 100_000 for _ in range(2000)]
here = psutil.Process()
ring = Ring()
last = b"x" * 100_000
del ring
before = here.memory_info().rss
release()
print(before - here.memory_info().rss)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems return memory by themselves")
def test_cyclic_garbage_goes_back_to_the_system():
    done = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 150_000_000
