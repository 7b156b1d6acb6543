"""The public surface: lazy, small, and always the same objects."""

from __future__ import annotations

import subprocess
import sys

import pytest

import organza


def test_importing_the_package_imports_no_torch() -> None:
    code = "import sys, organza; assert 'torch' not in sys.modules; organza.recipes; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_every_public_name_is_there() -> None:
    assert set(organza.__all__) <= set(dir(organza))
    for name in organza.__all__:
        assert getattr(organza, name) is getattr(organza, name)
    assert "dcgan" in organza.recipes.RECIPES


def test_an_unknown_name_says_what_there_is() -> None:
    with pytest.raises(AttributeError, match="train"):
        organza.trian  # noqa: B018
