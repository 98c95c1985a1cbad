"""A machine behind ssh: its address, commands, and files in its cache folder."""

from __future__ import annotations

import io
import os
import re
import shlex
import subprocess
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass

from pocketvae.errors import SpecError, TargetError
from pocketvae.processes.deadline import run_program

# Host keys are checked as the user's own configuration says; a password is never asked for.
_OPTIONS = ("-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-o", "ServerAliveInterval=5", "-T")
_ADDRESS = re.compile(
    r"//(?:(?P<user>[A-Za-z0-9_][A-Za-z0-9._-]*)@)?(?P<host>[A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:]+\])"
    r"(?::(?P<port>[0-9]{1,5}))?/?(?:\?python=(?P<python>/[^\n]+))?"
)
_TIME_LIMIT_S = 1200.0
# The shell at the other end expands it; everything below it is quoted here.
_CACHE = '"${XDG_CACHE_HOME:-$HOME/.cache}"/pocketvae'


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where a machine is.

    Attributes:
        user: Who logs in; None leaves it to ssh.
        host: Name or number, or an alias of the user's ssh configuration.
        port: None leaves it to ssh.
        python: The interpreter to use; None stands for the one that `targets setup` makes.
    """

    user: str | None
    host: str
    port: int | None
    python: str | None

    @classmethod
    def parse(cls, text: str) -> Address:
        """Parses what follows `ssh:`.

        Raises:
            SpecError: it is not an address.
        """
        match = _ADDRESS.fullmatch(text)
        if match is None or not 0 < int(match["port"] or 1) < 65536:
            raise SpecError(f"an address must be ssh://USER@HOST:PORT, optionally with ?python=/PATH, got ssh:{text}")
        port = int(match["port"]) if match["port"] else None
        return cls(user=match["user"], host=match["host"].strip("[]"), port=port, python=match["python"])

    @property
    def is_loopback(self) -> bool:
        """Whether it is this machine under one of its names."""
        return self.host.lower() in ("localhost", "::1") or bool(re.fullmatch(r"127(\.[0-9]{1,3}){1,3}", self.host))

    def command(self, script: str) -> list[str]:
        """Returns the command that runs a shell script there; the script is one line, since csh quotes no more."""
        config = os.environ.get("POCKETVAE_SSH_CONFIG")
        words = ["ssh", *(("-F", config) if config else ()), *_OPTIONS]
        words += ["-p", str(self.port)] if self.port else []
        words += ["-l", self.user] if self.user else []
        # sshd hands a command to the user's shell, which may be none of the Bourne family.
        return [*words, "--", self.host, f"exec sh -c {shlex.quote(script)}"]

    def run(self, script: str, *, send: bytes = b"") -> str:
        """Runs a shell script there and returns the last line that it printed.

        Args:
            script: One line, which ends at the first command that fails.
            send: Its standard input.

        Raises:
            TargetError: the machine cannot be reached, or the script fails; the message has the last line it printed.
        """
        try:
            done = run_program(self.command(f"set -eu; {script}"), _TIME_LIMIT_S, send=send)
        except FileNotFoundError as e:
            raise TargetError("ssh is not installed: install an OpenSSH client") from e
        except OSError as e:
            raise TargetError(f"ssh cannot be started: {e.strerror or e}") from e
        except subprocess.TimeoutExpired as e:
            raise TargetError(f"{self.host} took longer than {e.timeout:.4g} s") from e
        if done.returncode:
            lines = [line for line in done.stderr.decode("utf-8", "replace").splitlines() if line.strip()]
            what = "cannot be reached" if done.returncode == 255 else "failed"
            raise TargetError(f"{self.host} {what}: {lines[-1].strip()[:300] if lines else done.returncode}")
        # A login shell may have printed something before.
        return done.stdout.decode("utf-8", "replace").rstrip().rpartition("\n")[2]


def cache_path(name: str) -> str:
    """Returns a path in the other machine's cache folder as a word of a shell script."""
    return f"{_CACHE}/{shlex.quote(name)}"


def packed(files: Mapping[str, bytes]) -> bytes:
    """Returns files as a tar archive."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return archive.getvalue()
