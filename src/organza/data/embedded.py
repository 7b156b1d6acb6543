"""The data that comes with the package: handwritten digits, and emoji in two drawings."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files
from io import BytesIO

import torch

from organza.data.idx import read_idx
from organza.data.listing import Listing, list_zip
from organza.data.store import ImageStore, fingerprint

MNIST_LICENCE = "CC BY-SA 3.0, Yann LeCun and Corinna Cortes"
EMOJI_LICENCES = {"noto": "Apache-2.0, Google (Noto Emoji)", "twemoji": "CC BY 4.0, Twitter and contributors (Twemoji)"}
FOLDER = files("organza.data") / "embedded"


def open_mnist(split: str) -> ImageStore:
    """70 000 handwritten digits: uint8 [60000, 1, 28, 28] (`train`) or [10000, 1, 28, 28] (`test`), 10 labels."""
    prefix = {"train": "train", "test": "t10k"}[split]
    images = torch.from_numpy(read_idx(FOLDER / f"{prefix}-images-idx3-ubyte.gz"))[:, None]
    labels = torch.from_numpy(read_idx(FOLDER / f"{prefix}-labels-idx1-ubyte.gz")).long()
    digits = tuple("0123456789")
    return ImageStore("mnist", images, labels, digits, (), MNIST_LICENCE, fingerprint(images, labels))


def list_emoji(drawing: str) -> Listing:
    """3 786 emoji, 64x64 RGB on white, with 10 labels and captions; `noto` and `twemoji` draw them in one order."""
    archive = BytesIO((FOLDER / f"emoji-{drawing}-64.zip").read_bytes())
    name = "emoji" if drawing == "noto" else f"emoji-{drawing}"
    return replace(list_zip(archive, "train", name), licence=EMOJI_LICENCES[drawing])
