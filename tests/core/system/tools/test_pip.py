import zipfile

import pytest

from pocketvae.errors import TargetError
from pocketvae.system.tools.pip import unpack_wheel


def test_a_wheel_of_another_machine_is_refused(tmp_path):
    wheel = tmp_path / "numpy-2.4-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl"
    with pytest.raises(TargetError, match="is for .*x86_64, but the target is aarch64"):
        unpack_wheel(wheel, tmp_path, "aarch64")


def test_wheels_of_the_machine_and_of_any_are_unpacked(tmp_path):
    for name in ("a-1-py3-none-any.whl", "b-1-cp311-cp311-manylinux2014_aarch64.whl"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr(name[0], "x")
        unpack_wheel(tmp_path / name, tmp_path / "site", "aarch64")
    assert sorted(path.name for path in (tmp_path / "site").iterdir()) == ["a", "b"]
    (tmp_path / "c-1-py3-none-any.whl").write_bytes(b"no zip")
    with pytest.raises(TargetError, match="c-1-py3-none-any.whl is damaged"):
        unpack_wheel(tmp_path / "c-1-py3-none-any.whl", tmp_path / "site", "aarch64")
