"""A phone behind adb, Android's debug bridge, as the user has it: commands and files.

What goes there and comes back are files, which adb's sync protocol carries as they are on every system; its shell
carries only text, and the exit code as a last line, since devices before Android 7 return none.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pocketvae.errors import ChannelError, TargetError, TimeLimitError, did_you_mean
from pocketvae.processes.deadline import run_program
from pocketvae.system.tools.setup import named_program

# As for a connection of ssh: the same request may succeed when the cable is back.
LOST = 255
_TIME_LIMIT_S = 600.0
_LISTING_TIME_LIMIT_S = 60.0
_END = "pocketvae-ended:"
_HEADER = "List of devices attached"
# Characters of an unexpected answer that a message shows.
_QUOTED = 80
_LOST = re.compile(
    r"device '[^']*' not found|device offline|device unauthorized|no devices|error: closed|device still \w+"
    r"|connection reset|protocol fault|failed to (?:get feature set|read copy response|stat remote)",
    re.IGNORECASE,
)
_FULL = re.compile(r"no space left on device|ENOSPC", re.IGNORECASE)
_STATES = {
    "unauthorized": "unlock it and allow USB debugging for this computer in the dialog that it shows",
    "offline": "reconnect it, or run adb reconnect",
    "no permissions": "this user may not access USB devices: install the udev rules of Android, or see adb's help",
}


def find_adb() -> str:
    """Returns the program.

    Raises:
        TargetError: there is none.
    """
    named = named_program("POCKETVAE_ADB")
    if named:
        return named
    homes = [os.environ.get(name) for name in ("ANDROID_HOME", "ANDROID_SDK_ROOT")]
    folders = [str(Path(home) / "platform-tools") for home in homes if home]
    found = shutil.which("adb") or shutil.which("adb", path=os.pathsep.join(folders))
    if found is None:
        raise TargetError(
            "adb is not installed: install Android's platform tools, and put adb on PATH or set ANDROID_HOME"
        )
    return found


@dataclass(frozen=True, kw_only=True)
class Device:
    """One phone.

    Attributes:
        adb: The program.
        serial: Which of the connected devices.
    """

    adb: str
    serial: str

    def shell(self, script: str, *, time_limit_s: float = _TIME_LIMIT_S) -> str:
        """Runs a shell script there and returns what it printed.

        Raises:
            ChannelError: the device is gone (code `LOST`), or the script ended with another code than 0.
            TimeLimitError: it took too long.
        """
        # stderr goes to stdout, for devices that have one stream.
        done = self._run(["shell", f"({script}) 2>&1; code=$?; echo; echo {_END}$code"], time_limit_s)
        said, ended, code = done.stdout.rpartition(_END)
        if not ended or not code.strip().isdigit():
            raise self._failure("adb shell", done)
        said = said.removesuffix("\n")
        if int(code):
            raise ChannelError(_last_line(said) or f"it ended with code {int(code)}", int(code))
        return said

    def command(self, script: str) -> list[str]:
        """Returns the command that runs a shell script there."""
        return [self.adb, "-s", self.serial, "shell", script]

    def push(self, paths: Sequence[Path], folder: str) -> None:
        """Copies files into a folder there.

        Raises:
            ChannelError: the device is gone (code `LOST`), is full, or refuses them.
        """
        done = self._run(["push", *map(str, paths), f"{folder}/"], _TIME_LIMIT_S)
        if done.returncode:
            raise self._failure("adb push", done)

    def pull(self, path: str, to: Path) -> None:
        """Copies a file from there.

        Raises:
            ChannelError: the device is gone (code `LOST`), or there is no such file.
        """
        done = self._run(["pull", path, str(to)], _TIME_LIMIT_S)
        if done.returncode or not to.is_file():
            raise self._failure("adb pull", done)

    def _run(self, words: Sequence[str], time_limit_s: float) -> subprocess.CompletedProcess[str]:
        return _run([self.adb, "-s", self.serial, *words], time_limit_s)

    def _failure(self, doing: str, done: subprocess.CompletedProcess[str]) -> ChannelError:
        said = f"{done.stderr}\n{done.stdout}"
        line = _last_line(done.stderr) or _last_line(done.stdout) or f"code {done.returncode}"
        if _FULL.search(said):
            return ChannelError(f"no space is left on {self.serial}: {line}")
        if _LOST.search(said):
            return ChannelError(f"{self.serial} is gone: {line}", LOST)
        return ChannelError(f"{doing} failed: {line}")


def find_device(serial: str) -> Device:
    """Returns the device of a serial number, or the only one.

    Args:
        serial: As `adb devices` lists it; empty for the only one.

    Raises:
        TargetError: adb is missing or fails, or there is no such device, or it cannot be used.
    """
    adb = find_adb()
    states = _states(adb)
    known = ", ".join(states)
    if not states:
        raise TargetError("no device is connected: connect a phone with USB debugging on; adb devices must list it")
    if not serial:
        if len(states) > 1:
            raise TargetError(f"several devices are connected: name one of them, android:SERIAL; known: {known}")
        serial = next(iter(states))
    if serial not in states:
        raise TargetError(f"no device {serial!r} is connected: {did_you_mean(serial, states)}known: {known}")
    state = states[serial]
    if state != "device":
        advice = next((text for name, text in _STATES.items() if state.startswith(name)), "it must be started normally")
        raise TargetError(f"{serial} is {state.partition('(')[0].strip()}: {advice}")
    return Device(adb=adb, serial=serial)


def _states(adb: str) -> dict[str, str]:
    """Returns the state of every connected device by its serial number."""
    try:
        done = _run([adb, "devices"], _LISTING_TIME_LIMIT_S)
    except ChannelError as e:
        raise TargetError(f"adb devices: {e}") from e
    if done.returncode:
        raise TargetError(f"adb devices failed: {_last_line(done.stderr) or done.returncode}")
    _, header, listed = done.stdout.partition(_HEADER)
    if not header:
        printed = _last_line(done.stdout) or _last_line(done.stderr) or "nothing"
        raise TargetError(f"{adb} is not adb: adb devices must print {_HEADER!r}, got {printed[:_QUOTED]!r}")
    pairs = [re.split(r"\s+", line.strip(), maxsplit=1) for line in listed.splitlines() if line.strip()]
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}


def _run(command: Sequence[str], time_limit_s: float) -> subprocess.CompletedProcess[str]:
    try:
        done = run_program(command, time_limit_s)
    except subprocess.TimeoutExpired as e:
        raise TimeLimitError(f"it took longer than {e.timeout:.4g} s and was ended") from e
    except OSError as e:
        raise ChannelError(f"{command[0]} cannot be started: {e.strerror or e}") from e
    # Some systems and devices end lines with both characters.
    out, err = (part.decode("utf-8", "replace").replace("\r\n", "\n") for part in (done.stdout, done.stderr))
    return subprocess.CompletedProcess(command, done.returncode, out, err)


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1].removeprefix("adb: ").removeprefix("error: ")[:300] if lines else ""


def quoted(text: str) -> str:
    """Returns a text as one word of a script there."""
    return shlex.quote(text)
