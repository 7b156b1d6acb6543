"""Weights of the feature network for tests: random ones in the form of the packages' files, and real ones if there."""

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

import torch

from organza.config import ConfigError
from organza.models.efficientnet import find_weights

# Output channels, expansion, kernel and stride of every block, written out from table 1 of arXiv:1905.11946.
LITE0 = (
    (16, 1, 3, 1), (24, 6, 3, 2), (24, 6, 3, 1), (40, 6, 5, 2), (40, 6, 5, 1), (80, 6, 3, 2), (80, 6, 3, 1),
    (80, 6, 3, 1), (112, 6, 5, 1), (112, 6, 5, 1), (112, 6, 5, 1), (192, 6, 5, 2), (192, 6, 5, 1), (192, 6, 5, 1),
    (192, 6, 5, 1), (320, 6, 3, 1),
)  # fmt: skip


def random_weights(seed: int = 0) -> dict[str, torch.Tensor]:
    """A state dict of Lite0 with the names and shapes of the package's, random, statistics of batch norm included."""
    generator, state = torch.Generator().manual_seed(seed), {}

    def convolution(name: str, norm: str, out: int, *rest: int) -> None:
        spread = (2 / torch.tensor(rest).prod()) ** 0.5
        state[f"{name}.weight"] = spread * torch.randn(out, *rest, generator=generator)
        for part, low in (("weight", 0.5), ("bias", -0.5), ("running_mean", -0.5), ("running_var", 0.5)):
            state[f"{norm}.{part}"] = low + torch.rand(out, generator=generator)
        state[f"{norm}.num_batches_tracked"] = torch.tensor(7)

    convolution("_conv_stem", "_bn0", 32, 3, 3, 3)
    before = 32
    for number, (after, expansion, kernel, _) in enumerate(LITE0):
        block, inner = f"_blocks.{number}", before * expansion
        if expansion > 1:
            convolution(f"{block}._expand_conv", f"{block}._bn0", inner, before, 1, 1)
        convolution(f"{block}._depthwise_conv", f"{block}._bn1", inner, 1, kernel, kernel)
        convolution(f"{block}._project_conv", f"{block}._bn2", after, inner, 1, 1)
        before = after
    convolution("_conv_head", "_bn1", 1280, 320, 1, 1)
    state["_fc.weight"], state["_fc.bias"] = torch.randn(1000, 1280, generator=generator), torch.zeros(1000)
    return state


def write_features(folder: Path, seed: int = 0) -> str:
    """The path of a file with `random_weights`, for `--discriminator.model.features`."""
    path = folder / f"features-{seed}.pth"
    torch.save(random_weights(seed), path)
    return str(path)


@cache
def random_features() -> str:
    """The same for the whole session, where no fixture can reach."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return write_features(folder)


def features_installed() -> bool:
    """Whether a package with real weights is here."""
    try:
        find_weights("auto")
    except ConfigError:
        return False
    return True
