"""Public data sets by name: found on this machine, or fetched from their authors; read without unpickling anything."""

from __future__ import annotations

import hashlib
import os
import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from organza.config import ConfigError
from organza.data.arrays import open_idx_folder
from organza.data.cache import Allocate, Decoded, cache_folder, cached
from organza.data.download import Remote, fetch
from organza.data.listing import Listing, list_folder, list_zip
from organza.data.mat import read_mat
from organza.data.progress import Progress
from organza.data.store import ImageStore

FASHION_LICENCE = "MIT, Zalando SE"
CIFAR_LICENCE = "no licence stated; cite Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009"
SVHN_LICENCE = "non-commercial use only; cite Netzer et al., Reading Digits in Natural Images, 2011"
CELEBA_LICENCE = "non-commercial research only, images of real people; cite Liu et al., ICCV 2015"

_FASHION_URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
FASHION = {  # checksums: the table in the authors' README
    "train": (
        Remote(_FASHION_URL + "train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
        Remote(_FASHION_URL + "train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe"),
    ),
    "test": (
        Remote(_FASHION_URL + "t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79"),
        Remote(_FASHION_URL + "t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310"),
    ),
}
_CLOTHES = "T-shirt/top, Trouser, Pullover, Dress, Coat, Sandal, Shirt, Sneaker, Bag, Ankle boot"
_FASHION_CLASSES = tuple(_CLOTHES.split(", "))


@dataclass(frozen=True)
class Cifar:
    """One of the two sets, in its binary version (the other versions are pickles and MATLAB files)."""

    remote: Remote  # checksums: the table on the author's page
    folder: str  # inside the archive
    files: dict[str, tuple[str, ...]]  # by split
    label_bytes: int  # before the pixels; the last is the label
    class_names: str


CIFAR = {
    "cifar10": Cifar(
        Remote("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530"),
        "cifar-10-batches-bin",
        {"train": tuple(f"data_batch_{i}.bin" for i in range(1, 6)), "test": ("test_batch.bin",)},
        1,
        "batches.meta.txt",
    ),
    "cifar100": Cifar(
        Remote("https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz", "03b5dce01913d631647c71ecec9e9cb8"),
        "cifar-100-binary",
        {"train": ("train.bin",), "test": ("test.bin",)},
        2,
        "fine_label_names.txt",
    ),
}

_SVHN_URL = "http://ufldl.stanford.edu/housenumbers/"
SVHN = {  # the authors publish no checksums; these are the ones that torchvision checks
    "train": Remote(_SVHN_URL + "train_32x32.mat", "e26dedcc434d2e4c54c9b2d4a06d8373"),
    "test": Remote(_SVHN_URL + "test_32x32.mat", "eb5a983be6a315427106f1b164d9cef3"),
    "extra": Remote(_SVHN_URL + "extra_32x32.mat", "a93ce644f1a588dc4d68dda5feec44a7"),
}

CELEBA_PAGE = "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"
CELEBA_NUMBERS = {"train": (1, 162_770), "valid": (162_771, 182_637), "test": (182_638, 202_599)}  # of the files


def places(name: str, *inner: str) -> Iterator[Path]:
    """Folders where a set may lie already: ours, the project's and those of torchvision, Keras and Debian."""
    own = [Path(os.environ["ORGANZA_DATA"]).expanduser()] if os.environ.get("ORGANZA_DATA") else []
    common = [Path("data"), Path("~/.keras/datasets").expanduser(), Path("/usr/share/datasets")]
    for root in (*own, cache_folder() / "data", *common):
        yield from (root / name, *(root / part for part in inner), root)


def open_fashion_mnist(split: str, progress: Progress) -> ImageStore:
    """70 000 pictures of clothes: uint8 [N, 1, 28, 28], 10 labels, in the form of MNIST (arXiv 1708.07747)."""

    def look(folder: Path) -> ImageStore | None:
        return open_idx_folder(folder, split, "fashion-mnist", _FASHION_CLASSES)

    # Not the bare roots: MNIST itself has the same file names.
    near = [p for p in places("fashion-mnist", "FashionMNIST/raw", "FashionMNIST") if "fashion" in str(p).lower()]
    store = next((found for found in map(look, near) if found is not None), None)
    if store is None:
        folder = cache_folder() / "data" / "fashion-mnist"
        for remote in FASHION[split]:
            fetch(remote, folder, progress)
        store = look(folder)
    assert store is not None
    return replace(store, licence=FASHION_LICENCE)


def open_cifar(name: str, split: str, progress: Progress) -> ImageStore:
    """60 000 photographs: uint8 [N, 3, 32, 32], 10 or 100 labels."""
    about = CIFAR[name]
    unpacked = (place for place in places(name, about.folder, f"{name}/{about.folder}") if place.name != "data")
    origin = _find(lambda p: (p / about.files[split][0]).is_file(), unpacked)
    if origin is None:
        folder = _find(lambda p: (p / about.remote.file).is_file(), places(name))
        origin = fetch(about.remote, folder or cache_folder() / "data" / name, progress)
    first = origin / about.files[split][0] if origin.is_dir() else origin
    decoded = cached(_key(first, name, split), lambda allocate: _read_cifar(about, origin, split, allocate))
    return decoded.store(name, CIFAR_LICENCE)


def open_svhn(split: str, progress: Progress) -> ImageStore:
    """House numbers cut to single digits: uint8 [N, 3, 32, 32], labels 0..9."""
    remote = SVHN[split]
    folder = _find(lambda p: (p / remote.file).is_file(), places("svhn", "SVHN"))
    path = fetch(remote, folder or cache_folder() / "data" / "svhn", progress)
    return cached(_key(path, "svhn", split), lambda allocate: _read_svhn(path, allocate)).store("svhn", SVHN_LICENCE)


def list_celeba(split: str) -> Listing:
    """202 599 aligned faces of celebrities, 178x218 RGB, in the official split by file number."""
    name = "img_align_celeba"
    first, last = CELEBA_NUMBERS[split]
    for place in places("celeba", "CelebA"):
        for path in (place / f"{name}.zip", place / name):
            if not path.exists():
                continue
            listing = list_folder(path, "train") if path.is_dir() else list_zip(path, "train")
            part = listing.keep(lambda file: Path(file).stem.isdigit() and first <= int(Path(file).stem) <= last)
            if not part.entries:
                listing.close()
                raise ConfigError(f"{path} has no files {first:06d}.jpg to {last:06d}.jpg; fetch it again")
            return replace(part, name="celeba", licence=CELEBA_LICENCE)
    raise FileNotFoundError(
        f"celeba is not on this machine and its authors offer no plain download; open {CELEBA_PAGE}, "
        f"get {name}.zip and put it at {cache_folder() / 'data' / 'celeba' / f'{name}.zip'}"
    )


def _find(has: Callable[[Path], bool], folders: Iterator[Path]) -> Path | None:
    return next((folder for folder in folders if has(folder)), None)


def _key(path: Path, name: str, split: str) -> str:
    facts = path.stat()
    text = f"{name} {split} {path.resolve()} {facts.st_size} {facts.st_mtime_ns}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _read_cifar(about: Cifar, origin: Path, split: str, allocate: Allocate) -> Decoded:
    files = about.files[split]
    contents = _members(origin, {*files, about.class_names})
    missing = [file for file in files if file not in contents]
    size = about.label_bytes + 3 * 32 * 32
    if missing or any(not contents[file] or len(contents[file]) % size for file in files):
        raise ConfigError(f"{origin} is damaged: {missing or files} incomplete; remove it, and it is fetched again")
    records = np.concatenate([np.frombuffer(contents[file], np.uint8).reshape(-1, size) for file in files])
    images = allocate((len(records), 3, 32, 32), "uint8")
    images[:] = records[:, about.label_bytes :].reshape(-1, 3, 32, 32)
    labels = records[:, about.label_bytes - 1].astype(np.int64)
    classes = contents.get(about.class_names, b"").decode().split() or map(str, range(int(labels.max()) + 1))
    return Decoded(images, labels, tuple(classes), (), (), ())


def _members(origin: Path, wanted: set[str]) -> dict[str, bytes]:
    """The wanted files of a folder or a tar, by their bare names; nothing is written to disk."""
    if origin.is_dir():
        return {file: (origin / file).read_bytes() for file in wanted if (origin / file).is_file()}
    found = {}
    try:
        with tarfile.open(origin) as archive:
            for member in archive:
                file = archive.extractfile(member) if Path(member.name).name in wanted else None
                if file is not None:
                    found[Path(member.name).name] = file.read()
    except (tarfile.TarError, EOFError, OSError, zlib.error) as problem:
        reason = str(problem).split(":")[0]
        raise ConfigError(f"{origin} is damaged: {reason}; remove it, and it is fetched again") from None
    return found


def _read_svhn(path: Path, allocate: Allocate) -> Decoded:
    arrays = read_mat(path)
    if "X" not in arrays or "y" not in arrays or arrays["X"].shape[:3] != (32, 32, 3):
        raise ConfigError(f"{path} has {', '.join(arrays) or 'nothing'}, not X [32, 32, 3, N] and y; fetch it again")
    pixels, labels = arrays["X"], arrays["y"].reshape(-1).astype(np.int64) % 10  # the authors write 0 as 10
    images = allocate((pixels.shape[3], 3, 32, 32), "uint8")
    images[:] = pixels.transpose(3, 2, 0, 1)
    return Decoded(images, labels, tuple("0123456789"), (), (), ())
