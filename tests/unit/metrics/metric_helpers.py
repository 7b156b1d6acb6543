"""The features of reference/metrics.md, section 4, from NumPy alone: the golden values are theirs."""

from functools import cache

import numpy as np
import pytest


@cache
def golden() -> tuple[np.ndarray, np.ndarray]:
    """(real [1500, 64], fake [2000, 64]), float32."""
    random = np.random.RandomState(20261122)
    mixing = random.randn(64, 64) / 8
    fake = np.abs(random.randn(2000, 64) @ mixing).astype(np.float32)
    real = np.abs(random.randn(1500, 64) @ mixing * 1.1 + 0.05).astype(np.float32)
    assert fake.astype(np.float64).sum() == pytest.approx(102473.869114, abs=1e-5)
    assert real.astype(np.float64).sum() == pytest.approx(84181.062272, abs=1e-5)
    return real, fake


def golden64() -> tuple[np.ndarray, np.ndarray]:
    """The same in float64."""
    real, fake = golden()
    return real.astype(np.float64), fake.astype(np.float64)


def some(n: int, d: int, seed: int = 0, scale: float = 1.0, shift: float = 0.0) -> np.ndarray:
    """Gaussian features, float64 [n, d]."""
    return np.random.RandomState(seed).randn(n, d) * scale + shift
