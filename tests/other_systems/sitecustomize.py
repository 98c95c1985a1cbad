"""Shows pocketvae another system than the one it runs on: `POCKETVAE_TEST_SYSTEM` is `win32` or `darwin`.

An interpreter with this folder in PYTHONPATH imports this file when it starts, and so do its children. From then on
modules of pocketvae, and they alone, get other `os`, `sys`, `signal`, `platform` and `tempfile`: the name of the system
is another and what it does not have is missing. The standard library and other packages see the real system, since
theirs is made for the system that they are installed on.

Of Windows it has: no fcntl, resource, pwd, grp and termios; no fork, process groups, user ids, affinity, load average
and uname; no SIGHUP and SIGKILL; no /proc and /sys (macOS has none either); a folder cannot be opened, a temporary file
not opened twice, a file without a name not mapped, a file that is open or mapped neither renamed nor removed, and what
is open for reading alone not synced.

It does not prove that pocketvae runs there. Paths stay those of POSIX, with slashes and without drives, and so do the
encoding of the console, the ends of lines, what names a file may have, and how processes are started and ended; the
libraries are those of this system, and so is what psutil and filelock do; winreg, taskkill and sysctl are not there to
answer. The workflow in .github runs the tests on the systems themselves.
"""

from __future__ import annotations

import builtins
import contextlib
import enum
import errno
import os
import signal
import sys
import tempfile
import threading
import types

SYSTEM = os.environ.get("POCKETVAE_TEST_SYSTEM", "")
WINDOWS = SYSTEM == "win32"
_REAL_IMPORT = builtins.__import__
_LINUX_NAMES = {"sched_getaffinity", "sched_setaffinity", "memfd_create", "posix_fadvise", "O_TMPFILE", "pidfd_open"}
_POSIX_NAMES = {
    "O_DIRECTORY", "WIFSIGNALED", "WNOHANG", "WTERMSIG", "chown", "fchmod", "fchown", "fork", "forkpty", "getegid",
    "geteuid", "getgid", "getgroups", "getloadavg", "getpgid", "getpgrp", "getpriority", "getsid", "getuid",
    "killpg", "mkfifo", "nice", "openpty", "setgid", "setpgid", "setsid", "setuid", "statvfs", "uname", "wait",
    "wait3", "wait4",
}  # fmt: skip
_POSIX_MODULES = {"fcntl", "grp", "pty", "pwd", "resource", "termios", "tty", "readline", "syslog"}
_WINDOWS_SIGNALS = ("SIGABRT", "SIGFPE", "SIGILL", "SIGINT", "SIGSEGV", "SIGTERM")
_EVENTS = {"open", "os.listdir", "os.scandir", "os.rename", "os.remove", "os.rmdir", "mmap.__new__"}
# Who only passes on what its caller asks for.
_BETWEEN = {"pathlib", "io", "os", "glob", "genericpath", "posixpath", "tempfile", "shutil", "contextlib", "weakref"}


class Hidden(types.ModuleType):
    """A module in which names are missing or other; all else is the real one's, what is set too."""

    def __init__(self, real, missing, others):
        super().__init__(real.__name__)
        self.__dict__.update(_real=real, _missing=frozenset(missing), **others)

    def __getattr__(self, name):
        if name in self._missing:
            raise AttributeError(f"module {self._real.__name__!r} has no attribute {name!r} on {SYSTEM}")
        return getattr(self._real, name)

    def __setattr__(self, name, value):
        setattr(self._real, name, value)


def of_pocketvae(variables):
    package = variables.get("__package__") or ""
    return package == "pocketvae" or package.startswith("pocketvae.")


def asked_by_pocketvae():
    """Whether the call that is going on was made by pocketvae, by itself or through the standard library's files."""
    frame = outer_frame()
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _BETWEEN:
        frame = frame.f_back
    return frame is not None and of_pocketvae(frame.f_globals)


def opened_by_pocketvae():
    frame = outer_frame()
    return frame is not None and of_pocketvae(frame.f_globals)


def outer_frame():
    """Returns the frame outside of this file; None where the interpreter itself calls."""
    frame = sys._getframe()
    while frame is not None and frame.f_code.co_filename == __file__:
        frame = frame.f_back
    return frame


def hidden_modules():
    """Returns what pocketvae gets in place of the standard library's modules."""
    import platform

    system = {"win32": "Windows", "darwin": "Darwin"}[SYSTEM]
    modules = {
        "sys": Hidden(sys, (), {"platform": SYSTEM}),
        "os": Hidden(os, _LINUX_NAMES | (_POSIX_NAMES if WINDOWS else set()), {"fsync": fsync} if WINDOWS else {}),
        "platform": Hidden(platform, (), {"system": lambda: system}),
    }
    if not WINDOWS:
        import resource

        modules["resource"] = Hidden(resource, (), {"getrusage": usage_in_bytes})
    if WINDOWS:
        known = enum.IntEnum("Signals", {name: getattr(signal, name).value for name in _WINDOWS_SIGNALS})
        names = {name for name in dir(signal) if name.startswith("SIG") and name.isupper()} - {"SIG_IGN", "SIG_DFL"}
        modules["signal"] = Hidden(signal, names - set(_WINDOWS_SIGNALS) - {"SIG_IGN", "SIG_DFL"}, {"Signals": known})
        modules["tempfile"] = Hidden(tempfile, (), {"NamedTemporaryFile": named_temporary_file})
        modules["winreg"] = types.SimpleNamespace(HKEY_LOCAL_MACHINE=None, OpenKey=no_registry)
    return modules


def usage_in_bytes(who):
    """Returns what macOS does: bytes where Linux has kB."""
    import resource

    return types.SimpleNamespace(ru_maxrss=resource.getrusage(who).ru_maxrss * 1024)


def no_registry(*_):
    raise FileNotFoundError("there is no registry here")


def fsync(descriptor):
    import fcntl

    if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
        raise OSError(errno.EBADF, "a file that is open for reading alone cannot be synced")
    os.fsync(descriptor)


_only_once = set()


def named_temporary_file(*arguments, **options):
    file = tempfile.NamedTemporaryFile(*arguments, **options)  # noqa: SIM115
    if options.get("delete", True):
        _only_once.add(file.name)
    return file


def in_use(path):
    """Whether this process has a file open or mapped, or one in this folder."""
    wanted = os.path.realpath(path)
    for descriptor in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found = os.readlink(f"/proc/self/fd/{descriptor}")
            if found == wanted or found.startswith(f"{wanted}/"):
                return True
    with open("/proc/self/maps") as maps:
        return any(f" {wanted}\n" in line or f" {wanted}/" in line for line in maps)


_looking = threading.local()


def look(event, arguments):
    """Refuses what the other system would refuse; what is done here to find that out is not looked at."""
    if event in _EVENTS and not getattr(_looking, "now", False):
        _looking.now = True
        try:
            refuse(event, arguments)
        finally:
            _looking.now = False


def refuse(event, arguments):
    if event == "open" and isinstance(arguments[0], str | bytes):
        path = os.fsdecode(arguments[0])
        if path.startswith(("/proc", "/sys/")) and asked_by_pocketvae():
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)
        if WINDOWS and opened_by_pocketvae() and os.path.isdir(path):
            raise PermissionError(errno.EACCES, "a folder cannot be opened", path)
        if path in _only_once and asked_by_pocketvae():
            raise PermissionError(errno.EACCES, "a temporary file cannot be opened twice", path)
    elif event in ("os.listdir", "os.scandir") and str(arguments[0]).startswith(("/proc", "/sys/")):
        if asked_by_pocketvae():
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(arguments[0]))
    elif WINDOWS and event in ("os.rename", "os.remove", "os.rmdir") and arguments[-1] == -1:
        if asked_by_pocketvae() and in_use(arguments[0]):
            raise PermissionError(errno.EACCES, "it is in use by this process", str(arguments[0]))
    elif WINDOWS and event == "mmap.__new__" and arguments[0] != -1 and os.fstat(arguments[0]).st_nlink == 0:
        raise PermissionError(errno.EACCES, "a file without a name cannot be mapped")


def import_hidden(name, variables=None, local=None, fromlist=(), level=0):
    if variables is not None and level == 0 and of_pocketvae(variables):
        if WINDOWS and name.partition(".")[0] in _POSIX_MODULES:
            raise ModuleNotFoundError(f"No module named {name!r} on {SYSTEM}", name=name)
        if name in HIDDEN:
            return HIDDEN[name]
    return _REAL_IMPORT(name, variables, local, fromlist, level)


if SYSTEM:
    HIDDEN = hidden_modules()
    builtins.__import__ = import_hidden
    sys.addaudithook(look)
