import pytest


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    """No test touches the user's cache, home or data."""
    monkeypatch.setenv("ORGANZA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ORGANZA_DATA", raising=False)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
