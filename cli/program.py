"""The program `pocketvae`: what runs before the modules of the command line are imported."""

from __future__ import annotations

import signal


def program() -> int:
    """Runs the command of the process's arguments; see `main.program`."""
    # Until there is something to clean up, Ctrl-C ends the process as other signals do, without a traceback.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from pocketvae.cli import main

    return main.program()


if __name__ == "__main__":
    raise SystemExit(program())
