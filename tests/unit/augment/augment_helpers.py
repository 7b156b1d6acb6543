import torch

from organza.draws import Draws, keys

WORDS = ("blit", "geom", "color-ada", "filter", "noise", "cutout", "diffaugment")
EVERYTHING = ("bgc", "filter", "noise", "cutout", "diffaugment")


def draws(count, seed=0):
    return Draws(keys(seed, 0, slice(0, count), torch.device("cpu")))


def images(*shape, dtype=torch.float32, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype) * 2 - 1
