"""Tiny runs with their pictures, trained once for each module."""

import shutil

import pytest
from picture_helpers import trained

from organza.report.pictures import make_pictures


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A tiny run on digits, with its pictures."""
    folder = trained(tmp_path_factory.mktemp("runs") / "digits", "cgan", "mnist")
    make_pictures(folder)
    return folder


@pytest.fixture(scope="module")
def ring(tmp_path_factory):
    folder = trained(tmp_path_factory.mktemp("runs") / "ring", "gan", "ring")
    make_pictures(folder)
    return folder


@pytest.fixture
def copy(tmp_path):
    """A run that may be broken."""

    def make(run):
        return shutil.copytree(run, tmp_path / "copy")

    return make
