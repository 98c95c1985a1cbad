"""The target `ssh`: another Linux machine with Python, such as a Raspberry Pi."""

from __future__ import annotations

import contextlib
import shlex
import shutil
import warnings

from pocketvae.benchmarks.execution.protocol import TargetRun
from pocketvae.benchmarks.execution.target import THIS_MACHINE, Target
from pocketvae.benchmarks.remote.channel import ChannelRun
from pocketvae.benchmarks.remote.response_cache import ResponseCache, answers_token, claim_answers, copies_removed
from pocketvae.benchmarks.remote.secure_shell import Address, cache_path, packed
from pocketvae.benchmarks.remote.wheel import WHEEL_NAME, wheel_bytes
from pocketvae.bundle.bundle import Bundle
from pocketvae.bundle.manifest import MANIFEST_NAME
from pocketvae.errors import LeftoverWarning, TargetError
from pocketvae.processes.line_process import LineProcess
from pocketvae.system.files import sha256_bytes
from pocketvae.system.tools.setup import SetupStep, target_folder

_VENV, _UNFINISHED = "venv", ".unfinished"
_PYTHON = cache_path(f"{_VENV}/bin/python")
_VERSION_CHECK = "import sys; sys.exit(sys.version_info < (3, 11) and 'Python 3.11 or newer is needed there')"
_IMPORTS = "import ai_edge_litert, numpy, onnxruntime, pydantic, safetensors"


class SshTarget(Target):
    """Copies a bundle and this pocketvae there, runs, brings back what came out, and removes the copies."""

    def __init__(self, option: str = "") -> None:
        """Keeps the address.

        Args:
            option: `//USER@HOST:PORT`, and `?python=/PATH` where the interpreter there is not to be set up. Empty for a
                target that is only listed.

        Raises:
            SpecError: it is no address.
        """
        self._address = Address.parse(option) if option else None
        self.name = f"ssh:{option}" if option else "ssh"
        self.summary = "another Linux machine: ssh://user@host"

    def unavailable(self) -> str | None:
        """See `Target.unavailable`; whether the machine can be reached is found out by `open`."""
        return None if self._address else "name a machine: ssh://user@host"

    def machine(self) -> str:
        """See `Target.machine`."""
        return THIS_MACHINE if self._address is None or self._address.is_loopback else self._address.host.lower()

    def open(self, bundle: Bundle) -> TargetRun:
        """See `Target.open`."""
        address = self._machine()
        python = _find_python(self.name, address)
        files = _files(bundle)
        key = sha256_bytes(packed(files))[:16]
        answers = target_folder(self.name) / "answers" / key
        with contextlib.ExitStack() as held:
            claim_answers(held, answers, address.host)
            folder = cache_path(f"runs/{key}-{answers_token(answers)}")
            held.enter_context(copies_removed(answers, address.command(f"rm -rf {folder} {folder}{_UNFINISHED}")))
            _send(address, folder, files)
            response_cache = ResponseCache(_runner(address, python, folder), answers)
            held.callback(_remove_copies, self.name, address, folder, response_cache)
            held.callback(response_cache.close)
            run = SshRun(self.name, response_cache, bundle)
            run.held = held.pop_all()
            return run

    def check(self) -> str | None:
        """See `Target.check`."""
        try:
            _find_python(self.name, self._machine())
        except TargetError as e:
            return str(e)
        return None

    def setup(self) -> tuple[SetupStep, ...]:
        """See `Target.setup`."""
        address = self._machine()
        if address.python:
            return ()
        return (
            SetupStep(
                text=f"on {address.host}: a Python environment with LiteRT, onnxruntime and what they need, by its pip",
                download_bytes=80_000_000,
                is_done=lambda: _works(address),
                take=lambda: _make_environment(address),
            ),
        )

    def remove(self) -> None:
        """See `Target.remove`."""
        shutil.rmtree(target_folder(self.name), ignore_errors=True)
        self._machine().run(f"rm -rf {cache_path(_VENV)} {cache_path('runs')}")

    def _machine(self) -> Address:
        if self._address is None:
            raise TargetError(str(self.unavailable()))
        return self._address


class SshRun(ChannelRun):
    """The remote runner at the other end of a connection.

    Attributes:
        held: What ends with it: the connection, the copies at the other end, the claim on the answers.
    """

    def __init__(self, name: str, response_cache: ResponseCache, bundle: Bundle) -> None:
        """Starts the remote runner.

        Raises:
            TargetError: it does not start.
        """
        self.held = contextlib.ExitStack()
        super().__init__(name, response_cache, bundle)

    def close(self) -> None:
        """See `TargetRun.close`."""
        self.held.close()


def _runner(address: Address, python: str, folder: str) -> LineProcess:
    # The line break ends what a login shell may have printed before.
    script = (
        f"echo; cd / && PYTHONPATH={folder}/{WHEEL_NAME} PYTHONSAFEPATH=1 "
        f"exec {python} -m pocketvae.benchmarks.remote.serve {folder}/bundle"
    )
    return LineProcess(address.command(script))


def _remove_copies(name: str, address: Address, folder: str, response_cache: ResponseCache) -> None:
    """Removes the copies; they stay for the next attempt when the connection was lost."""
    if response_cache.is_lost:
        return
    try:
        address.run(f"rm -rf {folder}")
    except TargetError as e:
        warnings.warn(f"{name}: {folder} was left there: {e}", LeftoverWarning, stacklevel=2)


def _find_python(name: str, address: Address) -> str:
    """Returns the interpreter there as a word of a shell script.

    Raises:
        TargetError: the machine cannot be reached, or is not set up.
    """
    if address.python:
        python = shlex.quote(address.python)
        address.run(f"{python} -c {shlex.quote(_VERSION_CHECK)}; {python} -c {shlex.quote(_IMPORTS)}")
        return python
    if not _works(address):
        raise TargetError(f"{address.host} is not set up: run pocketvae targets setup {name}")
    return _PYTHON


def _works(address: Address) -> bool:
    """Whether the environment is there and complete.

    Raises:
        TargetError: the machine cannot be reached.
    """
    return address.run(f"echo; if {_PYTHON} -c {shlex.quote(_IMPORTS)} >/dev/null 2>&1; then echo works; fi") == "works"


def _make_environment(address: Address) -> None:
    folder, half = cache_path(_VENV), cache_path(f"{_VENV}{_UNFINISHED}")
    address.run(
        f"python3 -c {shlex.quote(_VERSION_CHECK)}; mkdir -p {half}; python3 -m venv {half}; "
        f"cat > {half}/{WHEEL_NAME}; "
        f"{half}/bin/python -m pip install --quiet --no-input --disable-pip-version-check {half}/{WHEEL_NAME}'[run]'; "
        # The scripts in it name the folder, but only its interpreter is used, which does not.
        f"{half}/bin/python -m pip uninstall --quiet --yes pocketvae; rm -rf {folder}; mv {half} {folder}",
        send=wheel_bytes(),
    )


def _send(address: Address, folder: str, files: dict[str, bytes]) -> None:
    """Copies files into a folder that appears when they are all there; one that is there is taken as it is."""
    half = f"{folder}{_UNFINISHED}"
    if address.run(f"echo; if [ -d {folder} ]; then echo there; fi") != "there":
        copy = f"mkdir -p {half} && tar -x -C {half} && mv {half} {folder}"
        address.run(f"rm -rf {half}; {copy} || {{ rm -rf {half}; exit 1; }}", send=packed(files))


def _files(bundle: Bundle) -> dict[str, bytes]:
    """Returns what the other machine needs: the artifacts, the manifest and this pocketvae."""
    artifacts = {artifact.file.path: bundle.artifact_path(artifact) for artifact in bundle.manifest.artifacts}
    paths = {MANIFEST_NAME: bundle.path / MANIFEST_NAME, **artifacts}
    return {WHEEL_NAME: wheel_bytes(), **{f"bundle/{name}": path.read_bytes() for name, path in paths.items()}}
