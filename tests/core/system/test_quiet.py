"""Output of native libraries is held back, also where a program has no stderr."""

import os
import subprocess
import sys

import pytest

from pocketvae.system.quiet import captured_stderr, quiet_stderr


def test_what_native_code_writes_is_kept_for_who_asks(capfd):
    with captured_stderr() as held:
        os.write(2, b"a warning")
    assert held.text == "a warning"
    with quiet_stderr():
        os.write(2, b"nobody sees it")
    assert capfd.readouterr().err == ""


def test_it_is_printed_where_the_block_fails(capfd):
    held = quiet_stderr()
    held.__enter__()
    os.write(2, b"the reason")
    assert not held.__exit__(ValueError, ValueError(), None)
    assert capfd.readouterr().err == "the reason"


@pytest.mark.parametrize("close", ["", "os.close(2)"])
def test_a_program_without_stderr_goes_on(close):
    # As of pythonw, and of programs with windows.
    script = (
        "import os, sys\n"
        "from pocketvae.system.quiet import captured_stderr, quiet_stderr\n"
        f"sys.stderr = None\n{close}\n"
        "with quiet_stderr(), captured_stderr() as held:\n    pass\n"
        "print('done', repr(held.text))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=False)
    assert done.stdout == "done ''\n"
