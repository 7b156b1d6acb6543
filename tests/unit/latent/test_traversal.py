import torch
from torch import nn

from organza.latent.traversal import COLUMNS, EACH, traversal
from organza.layers.codes import Coded


class Plain(nn.Module):
    z_dim = 9

    def __init__(self):
        super().__init__()
        self.one = nn.Parameter(torch.ones(1))

    def forward(self, z, labels=None):
        return z * self.one


def test_each_code_goes_through_its_values_and_nothing_else_moves():
    rows = traversal(Coded(Plain(), (3,), 2), seed=5).view(3, EACH, COLUMNS, 9)
    category = rows[0, :, :, :3].argmax(-1)
    assert category.tolist() == [[column % 3 for column in range(COLUMNS)]] * EACH
    for code, place in ((1, 3), (2, 4)):
        values = rows[code, :, :, place]
        torch.testing.assert_close(values, torch.linspace(-0.98, 0.98, COLUMNS).expand(EACH, -1), atol=1e-4, rtol=0)
    for code, moving in ((0, [0, 1, 2]), (1, [3]), (2, [4])):
        still = [place for place in range(9) if place not in moving]
        assert (rows[code][:, :, still] == rows[code][:, :1, still]).all()
    assert not torch.equal(rows[0, 0, :, 5:], rows[0, 1, :, 5:])
