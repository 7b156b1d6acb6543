import pytest


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    """No test touches the user's cache, home or data."""
    monkeypatch.setenv("ORGANZA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ORGANZA_DATA", raising=False)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


class Listener:
    """Remembers what it was told."""

    def __init__(self):
        self.steps, self.notes = [], []

    def step(self, what, done, total):
        self.steps.append((what, done, total))

    def note(self, message):
        self.notes.append(message)


@pytest.fixture
def listener():
    return Listener()
