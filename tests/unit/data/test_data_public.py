import gzip
import hashlib
import io
import struct
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from data_helpers import encoded, pixels, put

from organza.config import ConfigError
from organza.data import open_dataset, public
from organza.data.download import Remote, fetch
from organza.data.mat import read_mat

scipy_io = pytest.importorskip("scipy.io")


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def test_a_file_is_fetched_once_checked_and_told(server, tmp_path, listener):
    www, url = server
    content = bytes(range(256)) * 9000
    put(www / "a.bin", content)
    remote = Remote(url + "a.bin", md5(content))
    path = fetch(remote, tmp_path / "store", listener)
    assert path.read_bytes() == content
    assert "fetching http://127" in listener.notes[0]
    assert listener.steps[-1] == ("fetching a.bin", len(content), len(content))
    (www / "a.bin").unlink()
    assert fetch(remote, tmp_path / "store", listener) == path
    assert [p.name for p in (tmp_path / "store").iterdir()] == ["a.bin"]


def test_a_wrong_checksum_leaves_nothing(server, tmp_path, listener):
    www, url = server
    put(www / "a.bin", b"changed")
    with pytest.raises(ConfigError, match=f"has the MD5 {md5(b'changed')}, not 0123.*try again"):
        fetch(Remote(url + "a.bin", "0123"), tmp_path / "store", listener)
    assert not list((tmp_path / "store").iterdir())


@pytest.mark.parametrize("name", ["absent.bin", "cut.bin"])
def test_a_failed_download_says_where_to_put_the_file(server, tmp_path, listener, name):
    with pytest.raises(FileNotFoundError, match=rf"cannot be fetched \(.*put it at .*store/{name} \(MD5 abc\)"):
        fetch(Remote(server[1] + name, "abc"), tmp_path / "store", listener)
    assert not list((tmp_path / "store").iterdir())


def test_no_server_and_no_writable_folder(tmp_path, listener):
    with pytest.raises(FileNotFoundError, match="cannot be fetched"):
        fetch(Remote("http://127.0.0.1:9/a.bin", "abc"), tmp_path / "store", listener)
    with pytest.raises(FileNotFoundError, match="cannot be fetched"):
        fetch(Remote("http://127.0.0.1:9/a.bin", "abc"), put(tmp_path / "file", b"") / "x", listener)


def clothes(prefix: str = "train", count: int = 4) -> dict[str, bytes]:
    images = np.stack([pixels(i, 28, 28, 1) for i in range(count)])
    return {
        f"{prefix}-images-idx3-ubyte.gz": gzip.compress(idx(images)),
        f"{prefix}-labels-idx1-ubyte.gz": gzip.compress(idx(np.arange(count, dtype=np.uint8))),
    }


def test_fashion_mnist_is_fetched_when_it_is_nowhere(server, tmp_path, monkeypatch, listener):
    www, url = server
    files = clothes()
    for name, content in files.items():
        put(www / name, content)
    monkeypatch.setitem(public.FASHION, "train", tuple(Remote(url + n, md5(c)) for n, c in files.items()))
    monkeypatch.setattr(public, "places", lambda *_: iter([tmp_path / "cache/data/fashion-mnist"]))
    store = open_dataset("fashion-mnist", progress=listener)
    assert store.shape == (1, 28, 28)
    assert store.classes[0] == "T-shirt/top"
    assert len(store.classes) == 10
    assert "MIT" in store.licence
    assert len(listener.notes) == 2
    open_dataset("fashion-mnist", progress=listener)
    assert len(listener.notes) == 2


@pytest.mark.parametrize(
    "place", ["data/FashionMNIST/raw", "data/fashion-mnist", "../home/.keras/datasets/fashion-mnist"]
)
@pytest.mark.parametrize("packed", [True, False])
def test_fashion_mnist_is_found_where_others_put_it(place, packed, listener):
    for name, content in clothes("t10k", 3).items():
        put(Path(place) / (name if packed else name[:-3]), content if packed else gzip.decompress(content))
    store = open_dataset("fashion-mnist", split="test", progress=listener)
    assert len(store) == 3
    assert not listener.notes


def test_organza_data_comes_first(tmp_path, monkeypatch):
    for name, content in clothes("t10k", 5).items():
        put(tmp_path / "mine/fashion-mnist" / name, content)
    for name, content in clothes("t10k", 3).items():
        put(Path("data/fashion-mnist") / name, content)
    monkeypatch.setenv("ORGANZA_DATA", str(tmp_path / "mine"))
    assert len(open_dataset("fashion-mnist", split="test")) == 5


def records(count: int, label_bytes: int, seed: int) -> np.ndarray:
    rows = np.random.RandomState(seed).randint(0, 256, (count, label_bytes + 3072)).astype(np.uint8)
    rows[:, label_bytes - 1] = np.arange(count) % 10
    return rows


def cifar_files(name: str) -> dict[str, bytes]:
    about = public.CIFAR[name]
    files = {f: records(3, about.label_bytes, i).tobytes() for i, f in enumerate(sum(about.files.values(), ()))}
    count = 10 if name == "cifar10" else 100
    return files | {about.class_names: "\n".join(f"class{i}" for i in range(count)).encode()}


@pytest.mark.parametrize(("name", "count"), [("cifar10", 15), ("cifar100", 3)])
@pytest.mark.parametrize("form", ["folder", "tar", "download"])
def test_cifar_in_every_form(server, tmp_path, monkeypatch, name, count, form, listener):
    about, files = public.CIFAR[name], cifar_files(name)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for file, content in (files | {"../../evil": b"x"}).items():
            info = tarfile.TarInfo(f"{about.folder}/{file}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    packed = buffer.getvalue()
    if form == "folder":
        for file, content in files.items():
            put(Path("data") / about.folder / file, content)
    else:
        put((server[0] if form == "download" else Path("data")) / about.remote.file, packed)
    monkeypatch.setitem(public.CIFAR, name, replace(about, remote=Remote(server[1] + about.remote.file, md5(packed))))
    store = open_dataset(name, progress=listener)
    assert (len(store), store.shape) == (count, (3, 32, 32))
    rows = records(3, about.label_bytes, 0)
    assert np.array_equal(store.images[0].numpy().reshape(-1), rows[0, about.label_bytes :])
    assert store.labels[:3].tolist() == [0, 1, 2]
    assert store.classes[1] == "class1"
    assert bool(listener.notes) == (form == "download")
    assert len(open_dataset(name, split="test")) == 3


def test_damaged_cifar_archives(tmp_path):
    about = public.CIFAR["cifar10"]
    put(Path("data") / about.remote.file, b"not a tar")
    with pytest.raises(ConfigError, match=r"is damaged: .*remove it"):
        open_dataset("cifar10")
    (Path("data") / about.remote.file).unlink()
    put(Path("data") / about.folder / "data_batch_1.bin", b"123")
    with pytest.raises(ConfigError, match="incomplete; remove it"):
        open_dataset("cifar10")


@pytest.mark.parametrize("compressed", [True, False])
def test_svhn_agrees_with_scipy(tmp_path, compressed):
    x = np.random.RandomState(0).randint(0, 256, (32, 32, 3, 4)).astype(np.uint8)
    y = np.array([[10], [1], [9], [3]], np.uint8)
    Path("data").mkdir()
    scipy_io.savemat("data/test_32x32.mat", {"X": x, "y": y, "text": "no"}, do_compression=compressed)
    store = open_dataset("svhn", split="test")
    assert store.labels.tolist() == [0, 1, 9, 3]
    assert np.array_equal(store.images.numpy(), x.transpose(3, 2, 0, 1))
    assert "non-commercial" in store.licence


def test_mat_files_of_every_number_type(tmp_path):
    arrays = {f"a{kind}": np.arange(6, dtype=kind).reshape(2, 3) for kind in ("u1", "i1", "u2", "i4", "f4", "f8")}
    scipy_io.savemat(tmp_path / "a.mat", arrays)
    read = read_mat(tmp_path / "a.mat")
    assert read.keys() == arrays.keys()
    for name, array in arrays.items():
        assert np.array_equal(read[name], array), name


def test_damaged_mat_files(tmp_path):
    with pytest.raises(ConfigError, match="not a little-endian MATLAB 5 file"):
        read_mat(put(tmp_path / "a.mat", b"MATLAB 7.3"))
    scipy_io.savemat(tmp_path / "b.mat", {"X": np.zeros((32, 32), np.uint8)}, do_compression=True)
    content = (tmp_path / "b.mat").read_bytes()
    for cut in (140, len(content) - 3):
        with pytest.raises(ConfigError, match="is damaged"):
            read_mat(put(tmp_path / "c.mat", content[:cut]))
    put(Path("data/train_32x32.mat"), content)
    with pytest.raises(ConfigError, match=r"has X, not X \[32, 32, 3, N\] and y"):
        open_dataset("svhn")


def test_celeba_is_found_and_divided_by_file_number():
    Path("data/celeba").mkdir(parents=True)
    with zipfile.ZipFile("data/celeba/img_align_celeba.zip", "w") as archive:
        for number in (1, 2, 162_771, 182_638):
            archive.writestr(f"img_align_celeba/{number:06d}.jpg", encoded(pixels(number, 10, 8), "JPEG"))
    assert [len(open_dataset("celeba", split=s)) for s in ("train", "valid", "test")] == [2, 1, 1]
    store = open_dataset("celeba", resolution=8, crop="center")
    assert store.shape == (3, 8, 8)
    assert store.labels is None
    assert store.name == "celeba"


def test_celeba_says_where_to_get_it_and_where_to_put_it():
    with pytest.raises(FileNotFoundError, match=r"open https://mmlab.*put it at .*celeba/img_align_celeba.zip"):
        open_dataset("celeba")
    put(Path("data/celeba/img_align_celeba/x.jpg"), encoded(pixels(0), "JPEG"))
    with pytest.raises(ConfigError, match=r"has no files 000001.jpg to 162770.jpg"):
        open_dataset("celeba")


def test_the_official_checksums_are_md5_and_the_addresses_are_the_authors():
    remotes = [*sum(public.FASHION.values(), ()), *(c.remote for c in public.CIFAR.values()), *public.SVHN.values()]
    assert len(remotes) == 9
    for remote in remotes:
        assert len(remote.md5) == 32
        assert int(remote.md5, 16)
        assert any(host in remote.url for host in ("fashion-mnist.s3", "cs.toronto.edu/~kriz", "ufldl.stanford.edu"))


def test_the_hub_names_its_extra(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ConfigError, match=r'hf:org/name needs the extra hub; type: pip install "organza\[hub\]"'):
        open_dataset("hf:org/name")


def test_a_local_set_in_the_form_of_the_hub(tmp_path):
    datasets = pytest.importorskip("datasets")
    from PIL import Image

    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"]), "text": datasets.Value("string")}
    )
    rows = {"image": [Image.fromarray(pixels(i)) for i in range(4)], "label": [0, 1, 1, 0], "text": list("wxyz")}
    (tmp_path / "set").mkdir()
    datasets.Dataset.from_dict(rows, features=features).to_parquet(tmp_path / "set/train.parquet")
    store = open_dataset(f"hf:{tmp_path / 'set'}")
    assert store.labels.tolist() == [0, 1, 1, 0]
    assert store.classes == ("a", "b")
    assert store.captions == tuple("wxyz")
    assert torch.equal(store.images[3], torch.from_numpy(pixels(3).transpose(2, 0, 1).copy()))
