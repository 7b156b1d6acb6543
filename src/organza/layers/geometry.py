"""The sizes of the feature maps of a network that halves or doubles its images, for any image size; without torch."""

from __future__ import annotations

from organza.config import ConfigError, Shape


def image(shape: Shape) -> tuple[int, int, int]:
    """The (channels, height, width) of a sample. Raises ConfigError for points, which have only (dimensions,)."""
    if len(shape) != 3:
        raise ConfigError(
            f"this network makes images, but a sample of this data has shape {shape}; type the recipe 'gan' without "
            "another network: it takes other losses, such as --loss hinge --discriminator.spectral_norm true"
        )
    channels, height, width = shape
    return channels, height, width


def pyramid(height: int, width: int, smallest: int = 4) -> tuple[int, int, int]:
    """(base height, base width, doublings): both sides halved together while they are even and stay >= `smallest`.

    28x28 has the base 7x7 and 2 doublings, 256x256 has 4x4 and 6, 48x32 has 6x4 and 3. Raises ConfigError, which
    names the nearest sizes that work, when the image cannot be halved once.
    """
    base_h, base_w, doublings = height, width, 0
    while base_h % 2 == base_w % 2 == 0 and min(base_h, base_w) >= 2 * smallest:
        base_h, base_w, doublings = base_h // 2, base_w // 2, doublings + 1
    if doublings == 0:
        raise ConfigError(
            f"images of {height}x{width} cannot be halved: both sides must be even and at least {2 * smallest}; "
            f"resize to {_nearest(height, width, smallest)}, or type --data.resolution 32"
        )
    return base_h, base_w, doublings


def halvings(height: int, width: int, smallest: int = 4) -> list[tuple[int, int]]:
    """Sizes of the feature maps from the image down, halved and rounded up while both sides stay >= `smallest`.

    28x28 gives 28, 14, 7, 4; 30x20 gives 30x20, 15x10, 8x5. Raises ConfigError for an image too small to be halved.
    """
    sizes = [(height, width)]
    while min(sizes[-1]) + 1 >= 2 * smallest:
        sizes.append(((sizes[-1][0] + 1) // 2, (sizes[-1][1] + 1) // 2))
    if len(sizes) == 1:
        raise ConfigError(
            f"images of {height}x{width} are too small: both sides must be at least {2 * smallest - 1}; "
            "type --data.resolution 16"
        )
    return sizes


def _nearest(height: int, width: int, smallest: int) -> str:
    """The next workable sizes below and above, `26x26 or 28x28`."""
    floor = 2 * smallest
    below = (max(height // 2 * 2, floor), max(width // 2 * 2, floor))
    above = (max((height + 1) // 2 * 2, floor), max((width + 1) // 2 * 2, floor))
    return " or ".join(f"{h}x{w}" for h, w in dict.fromkeys((below, above)))
