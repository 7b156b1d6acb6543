import pytest
import torch

from organza.config import ConfigError
from organza.layers.source import ends, prepared


def test_ends():
    assert ends((3, 32, 48), (1, 32, 48), 16) == (3, 1, 32, 48)
    with pytest.raises(ConfigError, match=r"30x48 do not fit.*type --data\.resolution 32 48"):
        ends((3, 30, 48), (1, 30, 48), 16)
    with pytest.raises(ConfigError, match=r"32x32 shall become 64x64; type --data\.resolution 64 64"):
        ends((3, 32, 32), (3, 64, 64), 1)
    with pytest.raises(ConfigError, match="recipe 'gan'"):
        ends((3, 32, 32), (2,), 1)


def test_labels_are_planes_behind_the_channels():
    x = torch.randn(2, 3, 4, 6)
    found = prepared(x, torch.tensor([1, 0]), 2, 2)
    assert torch.equal(found[:, :3], x)
    assert torch.equal(found[:, 3:].amax((2, 3)), found[:, 3:].amin((2, 3)))
    assert found[:, 3:, 0, 0].tolist() == [[0, 1], [1, 0]]
    assert prepared(x, None, 0, 2) is x
    with pytest.raises(ValueError, match="4x6 do not fit: both sides must be multiples of 4; pad them to 4x8"):
        prepared(x, None, 0, 4)
