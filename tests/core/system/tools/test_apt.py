"""What is taken over of a machine's own sources."""

import pytest

from pocketvae.errors import TargetError
from pocketvae.system.tools.apt import AptSource, machine_sources


@pytest.fixture
def machine(tmp_path):
    (tmp_path / "etc/apt/sources.list.d").mkdir(parents=True)
    (tmp_path / "etc/os-release").write_text('ID=debian\nVERSION_CODENAME=bookworm\nPRETTY_NAME="Debian 12"\n')
    return tmp_path


def test_stanzas_and_lines_of_the_own_release_are_taken(machine):
    folder = machine / "etc/apt/sources.list.d"
    (folder / "debian.sources").write_text(
        "Types: deb deb-src\n# a comment\nURIs: file:///mirror\nSuites: bookworm bookworm-updates\n"
        "Components: main contrib\nSigned-By: /keys/own.gpg\n\n"
        "Types: deb\nURIs: file:///off\nSuites: bookworm\nComponents: main\nEnabled: no\n\n"
        "Types: deb\nURIs: file:///other\nSuites: stable\nComponents: main\n"
    )
    (folder / "more.list").write_text(
        "# deb file:///no bookworm main\ndeb [arch=amd64 signed-by=/keys/more.gpg] file:///more "
        "bookworm-security main\n"
        "deb-src file:///source bookworm main\n"
    )
    assert machine_sources(machine) == (
        AptSource(
            uris="file:///mirror",
            suites=("bookworm", "bookworm-updates"),
            components="main contrib",
            trust=(("Signed-By", "/keys/own.gpg"),),
        ),
        AptSource(
            uris="file:///more",
            suites=("bookworm-security",),
            components="main",
            trust=(("Signed-By", "/keys/more.gpg"),),
        ),
    )


def test_a_source_is_written_for_one_architecture():
    source = AptSource(uris="file:///m", suites=("bookworm",), components="main", trust=(("Trusted", "yes"),))
    assert source.stanza("arm64") == (
        "Types: deb\nURIs: file:///m\nSuites: bookworm\nComponents: main\nArchitectures: arm64\nTrusted: yes\n"
    )


def test_another_system_is_refused(machine):
    with pytest.raises(TargetError, match="apt has no source for the release bookworm"):
        machine_sources(machine)
    (machine / "etc/os-release").write_text('ID=fedora\nPRETTY_NAME="Fedora 40"\n')
    with pytest.raises(TargetError, match="this needs Debian and its apt, but the machine is Fedora 40"):
        machine_sources(machine)
