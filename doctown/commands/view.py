"""`doctown view PACK`: a pack as a site in the browser, served on the loopback until it is interrupted."""

import argparse
import tempfile
import threading
import webbrowser
from collections.abc import Mapping
from contextlib import suppress
from http.server import HTTPServer
from pathlib import Path

from doctown.commands.options import MAX_PORT, pack_and_staleness
from doctown.errors import OutputError
from generation import whole_number

SUMMARY = "Show a pack in the browser."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("pack", type=Path, metavar="PACK")
    parser.add_argument("--source", metavar="FOLDER", help="the repository of the pack: what is stale is shown")
    parser.add_argument(
        "--port", type=whole_number(MAX_PORT, least=0), default=0, metavar="N", help="default: a free one"
    )
    parser.add_argument("--no-open", action="store_true", help="print the address, and open no browser")


def run(options: argparse.Namespace, environ: Mapping[str, str]) -> None:
    """Run the command until it is interrupted. Raise DoctownError."""
    from doctown.site.serve import folder_server
    from doctown.site.write import write_site

    pack, staleness = pack_and_staleness(options, environ)
    try:
        with tempfile.TemporaryDirectory(prefix="doctown-") as temporary:
            site = write_site(pack, Path(temporary) / "site", staleness)
            del pack
            with folder_server(site.folder, options.port) as server:
                _serve(server, is_opened=not options.no_open)
    except OSError as error:
        raise OutputError(f"a temporary folder cannot be used: {error.strerror}.") from None


def _serve(server: HTTPServer, *, is_opened: bool) -> None:
    """Serve until it is interrupted, which is how this command ends."""
    address = f"http://127.0.0.1:{server.server_port}/"
    with suppress(KeyboardInterrupt):
        print(f"{address} (until Ctrl-C)", flush=True)  # noqa: T201 - a command speaks by printing
        if is_opened:
            # A browser in the terminal returns when it is left.
            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
        server.serve_forever()
