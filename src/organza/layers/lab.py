"""Colours between sRGB and CIE Lab under D65 (CIE 15:2004; IEC 61966-2-1), differentiable.

Lab separates how light a colour is, L in [0, 100], from which colour it is, a (green to red) and b (blue to yellow),
about -110 to 110. Colours that sRGB cannot show come out beyond [-1, 1].
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

TO_XYZ = ((0.412453, 0.357580, 0.180423), (0.212671, 0.715160, 0.072169), (0.019334, 0.119193, 0.950227))
"""Linear sRGB to XYZ."""
FROM_XYZ = torch.linalg.inv(torch.tensor(TO_XYZ, dtype=torch.float64)).tolist()
WHITE = (0.95047, 1.0, 1.08883)  # XYZ of D65, seen by the observer of 2 degrees
BEND, SLOPE, LIFT = 0.008856, 7.787, 16 / 116  # where the cube root begins, and the line below it


def rgb_to_lab(x: Tensor) -> Tensor:
    """sRGB [B, 3, H, W] in [-1, 1] -> L, a, b [B, 3, H, W], float32 or float64."""
    xyz = _mixed(_linear(x.add(1).div(2)), _matrix(x, TO_XYZ)) / _white(x)
    bent = torch.where(xyz > BEND, xyz.clamp(min=BEND) ** (1 / 3), SLOPE * xyz + LIFT)
    fx, fy, fz = bent.unbind(1)
    return torch.stack([116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)], 1)


def lab_to_rgb(lab: Tensor) -> Tensor:
    """L, a, b [B, 3, H, W] -> sRGB [B, 3, H, W], in [-1, 1] where sRGB has the colour."""
    light, a, b = lab.unbind(1)
    fy = (light + 16) / 116
    bent = torch.stack([fy + a / 500, fy, fy - b / 200], 1)
    xyz = torch.where(bent > _bend(bent), bent**3, (bent - LIFT) / SLOPE) * _white(lab)
    return _curved(_mixed(xyz, _matrix(lab, FROM_XYZ))).mul(2).sub(1)


def lightness(grey: Tensor) -> Tensor:
    """Grey [B, 1, H, W] in [-1, 1] -> its L in [0, 100]."""
    y = _linear(grey.add(1).div(2))
    return 116 * torch.where(y > BEND, y.clamp(min=BEND) ** (1 / 3), SLOPE * y + LIFT) - 16


def grey_of(light: Tensor) -> Tensor:
    """L [B, 1, H, W] in [0, 100] -> the grey in [-1, 1] that is as light."""
    bent = (light + 16) / 116
    y = torch.where(bent > _bend(bent), bent**3, (bent - LIFT) / SLOPE)
    return _curved(y).mul(2).sub(1)


def _bend(x: Tensor) -> float:
    return SLOPE * BEND + LIFT


def _linear(x: Tensor) -> Tensor:
    """sRGB's curve undone, [0, 1] -> [0, 1]; below 0 the line goes on."""
    return torch.where(x > 0.04045, ((x.clamp(min=0.04045) + 0.055) / 1.055) ** 2.4, x / 12.92)


def _curved(x: Tensor) -> Tensor:
    """sRGB's curve, [0, 1] -> [0, 1]."""
    return torch.where(x > 0.0031308, 1.055 * x.clamp(min=0.0031308) ** (1 / 2.4) - 0.055, 12.92 * x)


def _matrix(like: Tensor, rows: Sequence[Sequence[float]]) -> Tensor:
    return torch.tensor(rows, dtype=like.dtype, device=like.device)


def _white(like: Tensor) -> Tensor:
    return torch.tensor(WHITE, dtype=like.dtype, device=like.device).view(1, 3, 1, 1)


def _mixed(x: Tensor, matrix: Tensor) -> Tensor:
    """Every pixel times the matrix; no matrix product, which autocast would make coarse."""
    return (matrix[None, :, :, None, None] * x[:, None]).sum(2)
