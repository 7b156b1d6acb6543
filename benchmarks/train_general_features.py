"""Train the general feature network that is embedded in `organza.metrics.networks`.

    python benchmarks/train_general_features.py src/organza/metrics/networks/general.safetensors [STEPS]

A batch has emoji, each once as Noto and once as Twemoji drew it, and digits, each twice; of every image a random window
of half its side. The rate is constant and the weights are averaged, so that the file, which is written every 25 steps
and says how many there were, is good at any time. The embedded one had all of the steps below, 220 s of one thread.
The two of a pair attract and all others repel each other (NT-Xent, arXiv:2002.05709, eq. 1); heads tell the classes.
A part of the batch is blurred and gets noise, and a third head measures how much.
"""

from __future__ import annotations

import copy
import sys
import time
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from organza.data import open_dataset
from organza.metrics.networks.general import FEATURES, SIZE, GeneralNetwork

EMOJI, DIGITS, SPOILT = 64, 24, 48  # pairs, pairs, images
STEPS, RATE, TEMPERATURE, WINDOW = 2000, 2e-3, 0.2, 32
PROJECTED, CLASSES, DAMAGES = 64, 10, 2
BLUR = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16  # a deviation of one pixel


class Heads(nn.Module):
    """What is learned beside the features, and thrown away."""

    def __init__(self) -> None:
        super().__init__()
        hidden = (nn.Linear(FEATURES, FEATURES), nn.ReLU(), nn.Linear(FEATURES, PROJECTED))
        self.project = nn.Sequential(*hidden)
        self.emoji, self.digits = nn.Linear(FEATURES, CLASSES), nn.Linear(FEATURES, CLASSES)
        self.damage = nn.Linear(FEATURES, DAMAGES)


def main(path: str, steps: int) -> None:
    """AdamW at a constant rate; averaged weights in half precision to `path`."""
    torch.manual_seed(0)
    draw = Batches()
    network, heads = GeneralNetwork(), Heads()
    average = copy.deepcopy(network)
    optimizer = torch.optim.AdamW([*network.parameters(), *heads.parameters()], RATE, weight_decay=0.01)
    for step in range(1, steps + 1):
        losses = compute(network, heads, draw)
        optimizer.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        optimizer.step()
        follow(average, network, min(0.99, step / (step + 9)))
        if step % 25 == 0 or step == steps:
            told = ", ".join(f"{name} {loss.item():.3f}" for name, loss in losses.items())
            print(f"step {step} of {steps}: {told} ({time.process_time():.0f} s of processor)", flush=True)
            write(average, path, step)


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module, keep: float) -> None:
    """Move the average towards the network, statistics of batch norm included."""
    for old, new in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        old.copy_(new.lerp(old, keep) if old.is_floating_point() else new)


def write(network: nn.Module, path: str, step: int) -> None:
    """The weights in half precision, in one step."""
    state = {name: t.half() if t.is_floating_point() else t for name, t in network.state_dict().items()}
    partial = Path(path).with_suffix(".partial")
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, partial, metadata={"steps": str(step)})
    partial.replace(path)


class Batches:
    """Random views of the embedded data, as floats in [-1, 1]."""

    def __init__(self) -> None:
        self.noto, self.twemoji = open_dataset("emoji"), open_dataset("emoji-twemoji")
        self.digits = open_dataset("mnist")
        assert self.noto.labels is not None
        assert self.digits.labels is not None
        self.kinds, self.values = self.noto.labels, self.digits.labels

    def emoji(self) -> tuple[Tensor, Tensor, Tensor]:
        """Two drawings of the same emoji, and their classes."""
        index = torch.randint(len(self.noto), (EMOJI,))
        one, two = (view(store.images[index].float() / 127.5 - 1) for store in (self.noto, self.twemoji))
        return one, two, self.kinds[index]

    def numbers(self) -> tuple[Tensor, Tensor, Tensor]:
        """Two views of the same digits, as large as `prepare` makes them, and their classes."""
        index = torch.randint(len(self.digits), (DIGITS,))
        images = self.digits.images[index].float().expand(-1, 3, -1, -1) / 127.5 - 1
        images = F.interpolate(images, (SIZE, SIZE), mode="bilinear", antialias=True)
        return view(images, ground=-1, mirror=False), view(images, ground=-1, mirror=False), self.values[index]


def compute(network: nn.Module, heads: Heads, draw: Batches) -> dict[str, Tensor]:
    """The losses of one batch."""
    (e1, e2, kinds), (d1, d2, numbers) = draw.emoji(), draw.numbers()
    whole = torch.cat([e1, d1, e2, d2])
    spoilt, damage = spoil(whole[torch.randperm(len(whole))[:SPOILT]])
    images = torch.cat([whole, spoilt])
    features = network(images)
    clean, pairs = features[: len(whole)], len(e1) + len(d1)
    emoji = torch.cat([clean[: len(e1)], clean[pairs : pairs + len(e1)]])
    digits = torch.cat([clean[len(e1) : pairs], clean[pairs + len(e1) :]])
    damages = torch.cat([torch.zeros(len(whole), DAMAGES), damage])
    return {
        "pairs": contrast(heads.project(clean)),
        "emoji": 0.3 * F.cross_entropy(heads.emoji(emoji), kinds.repeat(2)),
        "digits": 0.3 * F.cross_entropy(heads.digits(digits), numbers.repeat(2)),
        "damage": F.mse_loss(heads.damage(features), damages),
    }


def contrast(projected: Tensor) -> Tensor:
    """NT-Xent of [2 B, D]: i and i + B are a pair, and all others are not."""
    unit = F.normalize(projected)
    alike = (unit @ unit.T / TEMPERATURE).fill_diagonal_(-torch.inf)
    return F.cross_entropy(alike, torch.arange(len(unit)).roll(len(unit) // 2))


def view(images: Tensor, ground: float = 1, mirror: bool = True) -> Tensor:
    """A window [B, 3, 32, 32] of each image, turned, scaled, shifted and mirrored, in other colours."""
    count = len(images)
    angle, scale = 0.25 * torch.randn(count), 0.4 + 0.5 * torch.rand(count)  # of the side that is seen
    flip = torch.where(torch.rand(count) < 0.5, -1.0, 1.0) if mirror else torch.ones(count)
    cos, sin, shift = scale * angle.cos(), scale * angle.sin(), 0.25 * torch.randn(2, count)
    rows = torch.stack([cos * flip, -sin, shift[0], sin * flip, cos, shift[1]], 1).view(count, 2, 3)
    grid = F.affine_grid(rows, [count, 3, WINDOW, WINDOW], align_corners=False)
    moved = F.grid_sample(images - ground, grid, align_corners=False) + ground
    contrast, light = 1 + 0.2 * torch.randn(count, 1, 1, 1), 0.1 * torch.randn(count, 3, 1, 1)
    inverted = torch.where(torch.rand(count, 1, 1, 1) < 0.1, -1.0, 1.0)
    return (inverted * moved * contrast + light).clamp(-1, 1)


def spoil(images: Tensor) -> tuple[Tensor, Tensor]:
    """Images with noise, blur or both, and how much of them: the deviation of noise, and pixels of blur, by 3."""
    count = len(images)
    amount = torch.rand(count, DAMAGES) * (torch.rand(count, DAMAGES) < 0.6)
    blurred = images
    for times in range(1, 9):  # the variances of repeated blurs add
        row, column = (BLUR.view(shape).expand(3, 1, -1, -1) for shape in ((1, 1, 1, 5), (1, 1, 5, 1)))
        further = F.conv2d(F.pad(blurred, (2, 2, 2, 2), mode="replicate"), row, groups=3)
        more = (amount[:, 1] * 8 >= times)[:, None, None, None]
        blurred = torch.where(more, F.conv2d(further, column, groups=3), blurred)
    noisy = blurred + amount[:, 0, None, None, None] * torch.randn_like(blurred)
    return noisy.clamp(-1, 1), torch.stack([amount[:, 0], (amount[:, 1] * 8).floor().sqrt() / 3], 1)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else STEPS)
