"""Ctrl-C while modules are being imported waits for them; elsewhere it strikes at once."""

from __future__ import annotations

import importlib
import signal
import sys
import time

import pytest

from organza.interruption import AGAIN, imports_first

MODULE = """
import signal
signal.raise_signal(signal.SIGINT)
whole = True
"""


def test_an_import_is_whole_before_it_is_interrupted(tmp_path, monkeypatch):
    (tmp_path / "struck_within.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "struck_within", raising=False)
    began = time.monotonic()
    with imports_first():
        assert importlib.import_module("struck_within").whole
        with pytest.raises(KeyboardInterrupt):
            time.sleep(20)
    assert AGAIN / 2 < time.monotonic() - began < 10


def test_elsewhere_it_strikes_at_once_and_the_handler_of_before_returns():
    before = signal.getsignal(signal.SIGINT)
    with imports_first(), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
