import signal
import subprocess
import sys

import pytest


def test_little_is_imported_before_ctrl_c_is_handled():
    code = (
        "import sys; before = set(sys.modules); import pocketvae.cli.program;"
        "print(*sorted(name for name in set(sys.modules) - before if '.' not in name))"
    )
    shown = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True).stdout
    assert "pocketvae" in shown.split()
    assert not {"typing", "re", "argparse", "contextlib"} & set(shown.split())


# Ctrl-C while the modules of the command line are imported.
_INTERRUPTED = """
import builtins, signal
from pocketvae.cli import program

load = builtins.__import__

def interrupted(name, *rest):
    if name == "pocketvae.cli":
        signal.raise_signal(signal.SIGINT)
    return load(name, *rest)

builtins.__import__ = interrupted
program.program()
"""


@pytest.mark.posix
def test_ctrl_c_while_it_is_imported_shows_no_traceback():
    done = subprocess.run(
        [sys.executable, "-P", "-c", _INTERRUPTED],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    # A shell reports 130 for it.
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")
