import pytest
import torch

from organza.config import ConfigError
from organza.layers.labels import attributes, with_planes
from organza.layers.sizes import must_divide, must_reach, no_classes, some_classes


def test_classes_become_one_hot_and_attributes_stay():
    assert attributes(torch.tensor([2, 0], dtype=torch.int32), 3).tolist() == [[0, 0, 1], [1, 0, 0]]
    values = torch.tensor([[0.0, 1.0, 0.5]], dtype=torch.float64)
    assert attributes(values, 3) is values
    assert attributes(torch.tensor([[0, 1, 1]]), 3).tolist() == [[0.0, 1.0, 1.0]]


@pytest.mark.parametrize("labels", [torch.zeros(2), torch.zeros(2, 4), torch.zeros(2, 4, dtype=torch.int64)])
def test_other_labels_are_refused(labels):
    with pytest.raises(ValueError, match=r"neither classes \(int64 \[B\]\) nor attributes \(\[B, 3\]\)"):
        attributes(labels, 3)
    with pytest.raises(ValueError, match="labels are missing"):
        attributes(None, 3)


def test_each_value_fills_a_plane():
    x, values = torch.rand(2, 3, 2, 4), torch.tensor([[0.0, 1.0], [0.25, 0.5]])
    y = with_planes(x.double(), values)
    assert y.shape == (2, 5, 2, 4)
    assert y.dtype == torch.float64
    assert torch.equal(y[:, :3], x.double())
    assert y[1, 3:].flatten(1).tolist() == [[0.25] * 8, [0.5] * 8]


def test_sizes_and_classes_that_do_not_fit():
    must_divide(torch.zeros(1, 3, 8, 12), 4)
    with pytest.raises(ValueError, match=r"9x12 do not fit.*multiples of 4.*12x12"):
        must_divide(torch.zeros(1, 3, 9, 12), 4)
    must_reach(8, 9, 8, "this", "type that")
    with pytest.raises(ConfigError, match="images of 9x7 are too small for this, which needs 8; type that"):
        must_reach(9, 7, 8, "this", "type that")
    no_classes("X", 0)
    some_classes("X", 1)
    with pytest.raises(ConfigError, match="X reads no labels, but the data has 2 classes; add --conditional false"):
        no_classes("X", 2)
    with pytest.raises(ConfigError, match="X translates between classes, but there are no labels"):
        some_classes("X", 0)
