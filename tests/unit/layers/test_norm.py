import pytest
import torch
from torch import nn

from organza.layers.norm import ClassBatchNorm2d, ConditionalBatchNorm2d


def images(seed=0):
    return 3 * torch.randn(6, 4, 5, 3, generator=torch.Generator().manual_seed(seed)) + 1


def normalised(x):
    mean, deviation = x.mean((0, 2, 3), keepdim=True), x.std((0, 2, 3), keepdim=True, correction=0)
    return (x - mean) / (deviation**2 + 1e-5).sqrt()


@pytest.mark.parametrize(
    ("norm", "condition"),
    [
        (ClassBatchNorm2d(4), None),
        (ClassBatchNorm2d(4, 3), torch.tensor([0, 2, 1, 1, 0, 2])),
        (ConditionalBatchNorm2d(4, 5), torch.zeros(6, 5)),
    ],
)
def test_gains_start_at_one(norm, condition):
    torch.testing.assert_close(norm(images(), condition), normalised(images()))


def test_without_classes_it_is_torch_batch_norm():
    mine, other = ClassBatchNorm2d(4), nn.BatchNorm2d(4)
    for norm in (mine, other):
        norm(images(1))
        norm.eval()
    torch.testing.assert_close(mine(images()), other(images()))
    assert [p.shape for p in mine.parameters()] == [p.shape for p in other.parameters()]


def test_classes_have_gains_and_biases_of_their_own():
    norm, labels = ClassBatchNorm2d(4, 3), torch.tensor([0, 2, 1, 1, 0, 2])
    nn.init.normal_(norm.gain)
    nn.init.normal_(norm.bias)
    expected = torch.stack(
        [x * norm.gain[y][:, None, None] + norm.bias[y][:, None, None]
         for x, y in zip(normalised(images()), labels, strict=True)]
    )  # fmt: skip
    torch.testing.assert_close(norm(images(), labels), expected)


def test_gain_is_one_plus_what_the_condition_predicts():
    torch.manual_seed(0)
    norm, condition = ConditionalBatchNorm2d(4, 5), torch.randn(6, 5)
    gain, bias = 1 + condition @ norm.gain.weight.T, condition @ norm.bias.weight.T
    expected = normalised(images()) * gain[:, :, None, None] + bias[:, :, None, None]
    torch.testing.assert_close(norm(images(), condition), expected)
    assert norm.gain.bias is norm.bias.bias is None


@pytest.mark.parametrize(
    ("norm", "condition"),
    [(ClassBatchNorm2d(4, 3), torch.tensor([0, 2, 1, 1, 0, 2])), (ConditionalBatchNorm2d(4, 5), torch.ones(6, 5))],
)
def test_evaluation_uses_the_running_statistics(norm, condition):
    for _ in range(200):
        norm(images(), condition)
    norm.eval()
    alone = norm(images()[:1], condition[:1])
    torch.testing.assert_close(alone, norm(images(), condition)[:1])
    torch.testing.assert_close(alone, norm.train()(images(), condition)[:1], rtol=0.02, atol=0.02)  # n against n - 1


def test_channels_stay_last():
    x = images().contiguous(memory_format=torch.channels_last)
    y = ConditionalBatchNorm2d(4, 5)(x, torch.randn(6, 5))
    assert y.is_contiguous(memory_format=torch.channels_last)
