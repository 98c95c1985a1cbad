"""What the runner for a phone is made of: the NDK, and libraries in folders and AARs."""

import sys
import zipfile

import pytest

from pocketvae.benchmarks.remote.native_runner import find_libraries, find_ndk, named_libraries
from pocketvae.errors import TargetError

VARIABLE = "POCKETVAE_ANDROID_LIBRARIES"
HOMES = ("ANDROID_NDK_HOME", "ANDROID_NDK_ROOT", "ANDROID_HOME", "ANDROID_SDK_ROOT")
ARM64, X86_64 = 183, 62


def library(machine):
    """The beginning of a shared library for a machine."""
    return b"\x7fELF" + bytes(14) + machine.to_bytes(2, "little")


@pytest.fixture
def no_home(monkeypatch):
    for name in HOMES:
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_an_ndk_that_is_missing_is_told(no_home):
    with pytest.raises(TargetError, match="Android's NDK is not installed: install it, and set ANDROID_NDK_HOME"):
        find_ndk()


def test_a_folder_that_is_no_ndk_is_told(no_home, tmp_path):
    no_home.setenv("ANDROID_NDK_HOME", str(tmp_path))
    with pytest.raises(TargetError, match=r"ANDROID_NDK_HOME must be the folder of an NDK for .*bin is missing"):
        find_ndk()


@pytest.mark.skipif(sys.platform != "linux", reason="the folder is named after the system")
def test_the_newest_ndk_of_an_sdk_is_taken(no_home, tmp_path):
    for version in ("9.1.2", "27.0.1", "26.3.11"):
        (tmp_path / "ndk" / version / "toolchains/llvm/prebuilt/linux-x86_64/bin").mkdir(parents=True)
    no_home.setenv("ANDROID_HOME", str(tmp_path))
    assert "27.0.1" in find_ndk().parts


def test_libraries_come_from_folders_and_aars(tmp_path, monkeypatch):
    plain, sorted_by_machine, archive = tmp_path / "plain", tmp_path / "sorted", tmp_path / "litert.aar"
    plain.mkdir()
    (plain / "libonnxruntime.so").write_bytes(library(ARM64))
    for machine, number in (("arm64-v8a", ARM64), ("x86_64", X86_64)):
        (sorted_by_machine / machine).mkdir(parents=True)
        (sorted_by_machine / machine / "libother.so").write_bytes(library(number))
    with zipfile.ZipFile(archive, "w") as aar:
        for machine in ("arm64-v8a", "x86_64"):
            aar.writestr(f"jni/{machine}/libLiteRt.so", machine)
        aar.writestr("jni/../evil.so", "x")
        aar.writestr("classes.jar", "x")
    monkeypatch.setenv(VARIABLE, ":".join(map(str, (plain, sorted_by_machine, archive))))
    monkeypatch.setattr("os.pathsep", ":")
    found = find_libraries(tmp_path / "cache", "arm64-v8a")
    assert [path.name for path in found] == ["libLiteRt.so", "libonnxruntime.so", "libother.so"]
    assert found[0].read_text() == "arm64-v8a"
    assert found == find_libraries(tmp_path / "cache", "arm64-v8a")


def test_libraries_of_another_machine_are_refused(tmp_path, monkeypatch):
    (tmp_path / "libLiteRt.so").write_bytes(library(X86_64))
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    with pytest.raises(TargetError, match=r"libLiteRt\.so is for x86_64, but the phone needs arm64-v8a"):
        find_libraries(tmp_path / "cache", "arm64-v8a")
    (tmp_path / "libLiteRt.so").write_bytes(b"MZ")
    with pytest.raises(TargetError, match=r"libLiteRt\.so is not a shared library for Android"):
        find_libraries(tmp_path / "cache", "arm64-v8a")


def test_libraries_that_cannot_be_had_are_told(tmp_path, monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(TargetError, match=f"set {VARIABLE} to the AARs of LiteRT and onnxruntime for Android"):
        named_libraries()
    monkeypatch.setenv(VARIABLE, str(tmp_path / "none.aar"))
    with pytest.raises(TargetError, match=r"none\.aar, which does not exist"):
        named_libraries()
    (tmp_path / "none.aar").write_bytes(b"no archive")
    with pytest.raises(TargetError, match=r"none\.aar is not an AAR"):
        find_libraries(tmp_path / "cache", "x86")
    with zipfile.ZipFile(tmp_path / "none.aar", "w") as aar:
        aar.writestr("jni/arm64-v8a/libLiteRt.so", "x")
    with pytest.raises(TargetError, match=f"{VARIABLE} has no libraries for x86: "):
        find_libraries(tmp_path / "cache", "x86")
