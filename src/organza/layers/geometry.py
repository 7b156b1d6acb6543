"""The sizes of the feature maps of a network that halves or doubles its images, for any image size; without torch."""

from __future__ import annotations

from organza.config import ConfigError, Shape

WIDEST_BASE = 16  # pixels of the shorter side, of the networks that recipes make; all published ones have 4


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
            f"{_remedy(height, width, smallest)}, or type --data.resolution 32"
        )
    return base_h, base_w, doublings


def must_shrink(height: int, width: int) -> None:
    """Raise ConfigError, which names the nearest sizes that work, where `pyramid` ends far from the size of a base.

    Layers between noise or logits and the base have weights for each of its pixels: hundreds of millions for the
    125x125 of 500x500. `pyramid` itself allows it, so that the networks of a run made before stay what they are.
    """
    base_h, base_w, _ = pyramid(height, width)
    if min(base_h, base_w) > WIDEST_BASE:
        raise ConfigError(
            f"images of {height}x{width} can be halved to {base_h}x{base_w} and no further, too large for these "
            f"networks, whose first and last layers have weights for each pixel of that; {_remedy(height, width)}"
        )


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


def _remedy(height: int, width: int, smallest: int = 4) -> str:
    """`resize to 480x480 or 512x512 (--data.resolution 512)`: the next sizes with a small base; the nearer is typed."""
    step = 2
    while -(-min(height, width) // step) > WIDEST_BASE:
        step *= 2
    near = [
        tuple(max(side // step * step, 2 * smallest) for side in (height, width)),
        tuple(max(-(-side // step) * step, 2 * smallest) for side in (height, width)),
    ]
    h, w = min(near[::-1], key=lambda size: abs(size[0] - height) + abs(size[1] - width))
    told = " or ".join(f"{a}x{b}" for a, b in dict.fromkeys(near))
    return f"resize to {told} (--data.resolution {h if h == w else f'{h},{w}'})"
