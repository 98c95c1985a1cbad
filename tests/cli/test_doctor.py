from pocketvae.cli.doctor import _version


def test_a_folder_that_an_uninstalled_package_left_is_no_package(tmp_path, monkeypatch):
    (tmp_path / "left_over" / "__pycache__").mkdir(parents=True)
    monkeypatch.syspath_prepend(tmp_path)
    assert _version("left-over", "left_over") is None
    (tmp_path / "left_over" / "__init__.py").touch()
    assert _version("left-over", "left_over") == "unknown"
