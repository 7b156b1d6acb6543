import subprocess
import sys

import pytest

from organza.config import ConfigError
from organza.layers.geometry import image, pyramid


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
    ("size", "nearest"), [((27, 28), "26x28 or 28x28"), ((6, 6), "8x8"), ((33, 31), "32x30 or 34x32")]
)
def test_unworkable_size_names_the_nearest(size, nearest):
    with pytest.raises(ConfigError, match=f"{nearest}.*--data.resolution 32"):
        pyramid(*size)


def test_the_named_sizes_work():
    for size in ((26, 28), (8, 8), (32, 30), (34, 32)):
        assert pyramid(*size)[2] >= 1


def test_points_are_refused():
    assert image((3, 4, 5)) == (3, 4, 5)
    with pytest.raises(ConfigError, match="type the recipe 'gan' without another network"):
        image((2,))


def test_recipes_and_geometry_leave_torch_out():
    code = "import sys, organza.layers.geometry; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
