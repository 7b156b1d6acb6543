"""What every metric asks of its inputs: features [N, D] as NumPy arrays or tensors, finite, and enough of them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from organza.config import ConfigError

Features = Tensor | np.ndarray
"""[N, D], one row for each sample."""


def as_features(name: str, given: Features, least: int = 1) -> Tensor:
    """The same as a float32 or float64 tensor [N, D]; other types become float32 (half), float64 (integers).

    A tensor stays on its device, but for those without float64. Raises ConfigError, with `name`, for another number of
    dimensions, for fewer than `least` rows, for no columns and for values that are not finite, or not numbers.
    """
    if not isinstance(given, (Tensor, np.ndarray)):
        raise ConfigError(f"{name} is a {type(given).__name__}; give features [N, D] as a NumPy array or a tensor")
    tensor = torch.as_tensor(_plain(name, given) if isinstance(given, np.ndarray) else given).detach()
    if tensor.dim() != 2 or tensor.shape[1] == 0:
        raise ConfigError(f"{name} has the shape {tuple(tensor.shape)}; give features [N, D], one row for each sample")
    if len(tensor) < least:
        raise ConfigError(f"{name} has {len(tensor)} samples; this metric needs at least {least}")
    if tensor.is_complex():
        raise ConfigError(f"{name} is complex; give real numbers")
    if tensor.device.type == "mps":
        tensor = tensor.cpu()  # there is no float64 on it
    if tensor.dtype not in (torch.float32, torch.float64):
        tensor = tensor.float() if tensor.is_floating_point() else tensor.double()
    must_be_finite(name, tensor)
    return tensor.contiguous()  # another order of the same numbers would add them up in another order


def _plain(name: str, given: np.ndarray) -> np.ndarray:
    """An array as torch takes it: of the machine's byte order, without negative strides, and writable."""
    if given.dtype.kind not in "fiubc":
        raise ConfigError(f"{name} has values of type {given.dtype}; give numbers: {name}.astype('float32')")
    if isinstance(given, np.ma.MaskedArray) and given.mask.any():
        raise ConfigError(f"{name} has masked values, which no metric leaves out; give the rows that have all of them")
    kind = np.float64 if given.dtype.kind == "f" and given.dtype.itemsize > 8 else given.dtype.newbyteorder("=")
    array = np.asarray(given, kind)
    return array if array.flags.writeable and min(array.strides, default=0) >= 0 else array.copy()


def must_be_finite(name: str, tensor: Tensor) -> None:
    """Raise ConfigError for NaN and infinity."""
    low, high = torch.aminmax(tensor) if tensor.numel() else (torch.zeros(()), torch.zeros(()))  # NaN spreads
    if not (low.isfinite() and high.isfinite()):
        raise ConfigError(f"{name} has NaN or infinite values; look at the network or the images that made them")


def as_pair(real: Features, fake: Features, least: int = 1) -> tuple[Tensor, Tensor]:
    """Both as `as_features`, of one type and on one device. Raises ConfigError as it does, and for different D."""
    one, two = as_features("real", real, least), as_features("fake", fake, least)
    must_be_as_wide(one.shape[1], two.shape[1])
    dtype = torch.promote_types(one.dtype, two.dtype)
    return one.to(two.device, dtype), two.to(dtype)


def must_be_as_wide(real: int, fake: int) -> None:
    """Raise ConfigError for features of different lengths."""
    if real != fake:
        raise ConfigError(f"real has {real} features a sample and fake has {fake}; take both from the same network")


def must_be_from(name: str, value: int, least: int, most: int | None = None) -> None:
    """Raise ConfigError for a number outside the range."""
    if value < least or (most is not None and value > most):
        allowed = f"at least {least}" if most is None else f"from {least} to {most}"
        raise ConfigError(f"{name} is {value}; it must be {allowed}")
