import itertools
import re
import subprocess
import sys

import pytest

from organza.config import ConfigError
from organza.layers.geometry import WIDEST_BASE, image, must_shrink, pyramid


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((28, 28), (7, 7, 2)),
        ((32, 32), (4, 4, 3)),
        ((64, 64), (4, 4, 4)),
        ((256, 256), (4, 4, 6)),
        ((48, 32), (6, 4, 3)),
        ((256, 8), (128, 4, 1)),
        ((26, 26), (13, 13, 1)),
    ],
)
def test_pyramid(size, expected):
    assert pyramid(*size) == expected


def test_smallest_side_of_the_base():
    assert pyramid(32, 32, smallest=8) == (8, 8, 2)


@pytest.mark.parametrize(
    ("size", "nearest"),
    [((27, 28), "26x28 or 28x28"), ((6, 6), "8x8"), ((33, 31), "32x30 or 34x32"), ((45, 64), "44x64 or 48x64")],
)
def test_unworkable_size_names_the_nearest(size, nearest):
    with pytest.raises(ConfigError, match=f"{nearest}.*--data.resolution 32"):
        pyramid(*size)


def test_the_named_sizes_work():
    for size in ((26, 28), (8, 8), (32, 30), (34, 32)):
        assert pyramid(*size)[2] >= 1


@pytest.mark.parametrize(
    ("size", "base", "remedy"),
    [
        ((66, 66), "33x33", "64x64 or 72x72 (--data.resolution 64)"),
        ((250, 250), "125x125", "240x240 or 256x256 (--data.resolution 256)"),
        ((500, 500), "125x125", "480x480 or 512x512 (--data.resolution 512)"),
        ((1000, 1000), "125x125", "960x960 or 1024x1024 (--data.resolution 1024)"),
        ((720, 1280), "45x80", "704x1280 or 768x1280 (--data.resolution 704,1280)"),
    ],
)
def test_a_large_base_is_refused_with_the_nearest_sizes(size, base, remedy):
    with pytest.raises(ConfigError, match=re.escape(f"can be halved to {base} and")) as refused:
        must_shrink(*size)
    assert str(refused.value).endswith(f"resize to {remedy}")


@pytest.mark.parametrize("size", [(8, 8), (26, 26), (28, 28), (240, 432), (256, 8), (1024, 1024)])
def test_a_small_base_is_not_refused(size):
    assert must_shrink(*size) is None
    assert min(pyramid(*size)[:2]) <= WIDEST_BASE


def test_every_named_size_works():
    refused = 0
    for height, width in itertools.product((6, 27, 31, 45, 64, 66, 100, 250, 333, 720, 1000, 1080), repeat=2):
        try:
            must_shrink(height, width)
        except ConfigError as problem:
            refused += 1
            for told in re.findall(r"(\d+)x(\d+)(?= or \d+x| \(--)", str(problem)):
                must_shrink(*map(int, told))
    assert refused > 100


def test_points_are_refused():
    assert image((3, 4, 5)) == (3, 4, 5)
    with pytest.raises(ConfigError, match="type the recipe 'gan' without another network"):
        image((2,))


def test_recipes_and_geometry_leave_torch_out():
    code = "import sys, organza.layers.geometry; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
