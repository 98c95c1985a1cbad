import subprocess
import sys

import pytest

# A parent that starts a child which never looks at its pipes, and says its number.
_PARENT = """
import sys
from pocketvae.processes.line_process import LineProcess
process = LineProcess([sys.executable, "-I", "-S", "-c", "import time; time.sleep(60)"])
process._start()
print(process._process.pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems tell a child nothing")
def test_a_child_ends_with_a_parent_that_is_killed():
    import psutil

    parent = subprocess.Popen([sys.executable, "-c", _PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    child = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.communicate()
    _, alive = psutil.wait_procs([child], timeout=30)
    # Where nobody collects it, it stays a zombie.
    assert not alive or child.status() == psutil.STATUS_ZOMBIE
