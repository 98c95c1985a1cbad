"""Debian packages for a target, from the sources of this machine's apt.

Nothing is installed: packages are downloaded into a private state folder and unpacked beside it.
"""

from __future__ import annotations

import platform
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pocketvae.errors import TargetError
from pocketvae.system.files import write_text
from pocketvae.system.tools.setup import run_tool

_LIST_LINE = re.compile(r"^deb\s+(?:\[(?P<options>[^]]*)\]\s*)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<components>.+)$")
_KEPT_FIELDS = ("Signed-By", "Trusted")


@dataclass(frozen=True, kw_only=True)
class AptSource:
    """Where apt finds packages, as one stanza of a `.sources` file has it.

    Attributes:
        uris: Addresses of mirrors.
        suites: Releases.
        components: Parts of a release.
        trust: The fields that say whose signature counts.
    """

    uris: str
    suites: tuple[str, ...]
    components: str
    trust: tuple[tuple[str, str], ...] = ()

    def stanza(self, architecture: str) -> str:
        """Returns it as text, for one architecture."""
        lines = [("Types", "deb"), ("URIs", self.uris), ("Suites", " ".join(self.suites))]
        lines += [("Components", self.components), ("Architectures", architecture), *self.trust]
        return "".join(f"{name}: {value}\n" for name, value in lines)


def machine_sources(root: Path = Path("/")) -> tuple[AptSource, ...]:
    """Returns the sources of this machine's own Debian release.

    Args:
        root: Of the file system.

    Raises:
        TargetError: the machine is no Debian, or has no sources of its release.
    """
    codename = release_codename(root)
    folder = root / "etc/apt"
    found: list[AptSource] = []
    for path in sorted([folder / "sources.list", *folder.glob("sources.list.d/*")]):
        if path.suffix == ".sources":
            found += _stanzas(path.read_text("utf-8"))
        elif path.suffix == ".list" and path.is_file():
            found += _lines(path.read_text("utf-8"))
    own = [replace(source, suites=tuple(s for s in source.suites if s.startswith(codename))) for source in found]
    chosen = tuple(source for source in own if source.suites and "main" in source.components.split())
    if not chosen:
        raise TargetError(f"apt has no source for the release {codename}: add one to {folder}/sources.list.d")
    return chosen


def release_codename(root: Path = Path("/")) -> str:
    """Returns the name of this Debian release, for example `bookworm`.

    Raises:
        TargetError: the machine is no Debian.
    """
    path = root / "etc/os-release"
    lines = path.read_text("utf-8").splitlines() if path.is_file() else []
    fields = {name: value.strip('"') for name, _, value in (line.partition("=") for line in lines)}
    if fields.get("ID") != "debian" or "VERSION_CODENAME" not in fields:
        raise TargetError(f"this needs Debian and its apt, but the machine is {fields.get('PRETTY_NAME', 'unknown')}")
    return fields["VERSION_CODENAME"]


def of_release(sources: Sequence[AptSource], codename: str) -> tuple[AptSource, ...]:
    """Returns the sources of another release at the same mirrors."""
    own = release_codename()
    return tuple(replace(source, suites=(codename,)) for source in sources if own in source.suites)


def unpack_packages(folder: Path, packages: Sequence[str], sources: Sequence[AptSource], architecture: str) -> None:
    """Downloads packages with all that they depend on and unpacks them.

    Args:
        folder: Where to.
        packages: Names.
        sources: Where they come from.
        architecture: Debian's name of it: `arm64`, `amd64`.

    Raises:
        TargetError: a source cannot be reached, or a package is not available.
    """
    _unpack(folder, _download(folder, ("install", "--download-only", "--yes"), packages, sources, architecture))
    shutil.rmtree(folder / ".apt")


def unpack_file(folder: Path, package: str, file: str, sources: Sequence[AptSource], architecture: str) -> None:
    """Downloads one package, without what it depends on, and keeps one file of it.

    Args:
        folder: Where to.
        package: Name.
        file: Path in the package, such as `usr/bin/qemu-aarch64`.
        sources: Where it comes from.
        architecture: Debian's name of it.

    Raises:
        TargetError: as `unpack_packages`, or the package has no such file.
    """
    archives = download_packages(folder, (package,), sources, architecture)
    _unpack(folder / ".apt" / "whole", archives)
    whole = folder / ".apt" / "whole" / file
    if not whole.is_file():
        raise TargetError(f"the package {package} does not contain {file}")
    # A library's name is often a link to the file with its whole version.
    whole.resolve().rename(folder / whole.name)
    shutil.rmtree(folder / ".apt")


def download_packages(
    folder: Path, packages: Sequence[str], sources: Sequence[AptSource], architecture: str
) -> list[Path]:
    """Downloads packages, without what they depend on, and returns their archives.

    Args:
        folder: Where to, below `.apt`.
        packages: Names, each with its version or without: `libc6`, `swiftlang=6.0.3-2`.
        sources: Where they come from.
        architecture: Debian's name of it.

    Raises:
        TargetError: as `unpack_packages`.
    """
    return _download(folder, ("download",), packages, sources, architecture)


def _unpack(folder: Path, archives: Sequence[Path]) -> None:
    folder.mkdir(exist_ok=True)
    for archive in archives:
        run_tool(("dpkg", "-x", str(archive), str(folder)), f"unpacking {archive.name}")


def own_architecture() -> str:
    """Returns Debian's name of this machine's architecture."""
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


def _download(
    folder: Path, action: Sequence[str], packages: Sequence[str], sources: Sequence[AptSource], architecture: str
) -> list[Path]:
    state = folder / ".apt"
    for name in ("lists/partial", "archives/partial", "none"):
        (state / name).mkdir(parents=True)
    write_text(state / "status", "")
    write_text(state / "own.sources", "\n".join(source.stanza(architecture) for source in sources))
    options = {
        "APT::Architecture": architecture,
        "APT::Architectures": architecture,
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "",
        "Acquire::Languages": "none",
        "Acquire::Retries": "3",
        "Debug::NoLocking": "true",
        "Dir::Cache": str(state),
        "Dir::Cache::archives": str(state / "archives"),
        "Dir::Etc::SourceList": str(state / "own.sources"),
        "Dir::Etc::SourceParts": str(state / "none"),
        "Dir::State": str(state),
        "Dir::State::Lists": str(state / "lists"),
        "Dir::State::status": str(state / "status"),
    }
    apt = ["apt-get", "--quiet", *(word for name, value in options.items() for word in ("-o", f"{name}={value}"))]
    run_tool([*apt, "--error-on=any", "update"], "reading apt's package lists")
    run_tool([*apt, *action, *packages], f"downloading {', '.join(packages)}", cwd=state / "archives")
    return sorted((state / "archives").glob("*.deb"))


def _stanzas(text: str) -> Iterator[AptSource]:
    for stanza in re.split(r"\n\s*\n", text):
        lines = [line for line in stanza.splitlines() if not line.startswith("#")]
        fields = dict(re.findall(r"^([A-Za-z-]+):[ \t]*(.*(?:\n[ \t].*)*)", "\n".join(lines), re.MULTILINE))
        if "deb" in fields.get("Types", "").split() and fields.get("Enabled", "yes") != "no":
            yield AptSource(
                uris=" ".join(fields.get("URIs", "").split()),
                suites=tuple(fields.get("Suites", "").split()),
                components=fields.get("Components", ""),
                trust=tuple((name, fields[name]) for name in _KEPT_FIELDS if name in fields),
            )


def _lines(text: str) -> Iterator[AptSource]:
    for line in text.splitlines():
        match = _LIST_LINE.match(line.strip())
        if match:
            options = dict(word.partition("=")[::2] for word in (match["options"] or "").split())
            names = {"Signed-By": options.get("signed-by"), "Trusted": options.get("trusted")}
            yield AptSource(
                uris=match["uri"],
                suites=(match["suite"],),
                components=match["components"],
                trust=tuple((name, value) for name, value in names.items() if value),
            )
