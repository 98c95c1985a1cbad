"""The command `pocketvae explore`."""

from __future__ import annotations

import argparse
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from pocketvae.cli import arguments as common
from pocketvae.cli import interruption
from pocketvae.cli.terminal import Terminal
from pocketvae.errors import SpecError

if TYPE_CHECKING:
    from pocketvae import ModelBundle


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    bundle = common.add_bundle(parser)
    parser.set_defaults(bundle=None, setup=False)

    class Setup(argparse.Action):
        """Takes the place of BUNDLE."""

        def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, *_: object) -> None:
            namespace.setup, bundle.required = True, False

    way = parser.add_mutually_exclusive_group()
    way.add_argument(
        "--setup", action=Setup, nargs=0, help="download onnxruntime-web with npm once, 33 MB; takes no BUNDLE"
    )
    way.add_argument("--export-dir", metavar="DIR", type=Path, help="write the page for any web server instead")
    way.add_argument("--port", metavar="PORT", type=int, default=0, help="port on 127.0.0.1 (default: a free one)")
    parser.add_argument("--no-browser", action="store_true", help="print the address without opening a browser")
    common.add_force(parser)


def run(arguments: argparse.Namespace) -> int:
    """Serves the page until it is interrupted, writes it, or sets the runtime up."""
    import pocketvae
    from pocketvae.apps import DOWNLOAD_MB, SITE_MARKER, export_site, set_up_runtime
    from pocketvae.apps.explorer.server import check_port
    from pocketvae.apps.explorer.site import check_own_site

    check_port(arguments.port)
    with Terminal(quiet=arguments.quiet) as terminal:
        if arguments.setup:
            if arguments.bundle is not None:
                raise SpecError("--setup does not take a BUNDLE: set up first, then explore")
            terminal.line(f"downloading onnxruntime-web with npm: {DOWNLOAD_MB} MB, 14 MB are kept")
            terminal.line(f"ready: {set_up_runtime()}")
            return 0
        if arguments.export_dir is not None:
            common.check_replaceable(arguments.export_dir, SITE_MARKER, force=arguments.force)
            if arguments.force:
                check_own_site(arguments.export_dir)
        with pocketvae.open(arguments.bundle) as bundle:
            if arguments.export_dir is None:
                _serve(bundle, arguments, terminal)
            else:
                size = export_site(bundle, arguments.export_dir, force=arguments.force)
                terminal.line(f"{size / 1e6:.1f} MB, ready for any web server: {arguments.export_dir}")
    return 0


def _serve(bundle: ModelBundle, arguments: argparse.Namespace, terminal: Terminal) -> None:
    import threading
    import webbrowser

    from pocketvae.apps import SiteServer, site_files

    with SiteServer(site_files(bundle), arguments.port) as server:
        terminal.line(f"{server.address} (press Ctrl-C to stop)")
        if not arguments.no_browser:
            # A text browser in this terminal only returns when it is closed, and the page must be served until then.
            threading.Thread(target=webbrowser.open, args=(server.address,), daemon=True).start()
        # Ctrl-C is the normal way to end this command.
        try:
            server.serve_forever()
        except KeyboardInterrupt as e:
            if interruption.number_of(e) != signal.SIGINT:
                raise
            interruption.accept()
