import gzip
import os
import struct

import numpy as np
import pytest
import torch
from data_helpers import pixels, put
from safetensors.torch import save_file

from organza.config import ConfigError
from organza.data import open_dataset
from organza.data.idx import read_idx

BATCH = np.stack([pixels(i, height=6, width=9) for i in range(4)])  # [N, H, W, C]
FIRST = torch.from_numpy(BATCH.transpose(0, 3, 1, 2).copy())  # [N, C, H, W]
LABELS = np.array([0, 2, 1, 0])


class Evil:
    """Writes a file when it is unpickled."""

    def __init__(self, target):
        self.target = str(target)

    def __reduce__(self):
        return os.mkdir, (self.target,)


def idx(array: np.ndarray, code: int = 8) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape) + array.tobytes()


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, content["images"])
    elif path.suffix == ".npz":
        np.savez(path, **content)
    else:
        tensors = {key: torch.from_numpy(value.copy()) for key, value in content.items()}
        torch.save(tensors, path) if path.suffix == ".pt" else save_file(tensors, path)
    return path


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".pt", ".safetensors"])
@pytest.mark.parametrize("order", ["last", "first"])
def test_array_files_of_both_orders(tmp_path, suffix, order):
    images = BATCH if order == "last" else FIRST.numpy()
    store = open_dataset(write(tmp_path / f"set{suffix}", {"images": images, "labels": LABELS}))
    assert torch.equal(store.images, FIRST)
    assert store.name == "set"
    assert len(store.fingerprint) == 16
    if suffix != ".npy":
        assert store.labels.tolist() == [0, 2, 1, 0]
        assert store.classes == ("0", "1", "2")


@pytest.mark.parametrize("kind", [lambda a: a, torch.from_numpy])
def test_arrays_and_tensors_in_memory(kind):
    assert torch.equal(open_dataset(kind(BATCH)).images, FIRST)
    assert open_dataset(kind(BATCH[..., 0].copy())).shape == (1, 6, 9)
    points = open_dataset(kind(np.zeros((5, 2))))
    assert points.images.dtype == torch.float32
    assert points.shape == (2,)


@pytest.mark.parametrize(
    ("names", "split", "count"),
    [
        (("arr_0", "arr_1"), "train", 4),
        (("x", "y"), "train", 4),
        (("x_train", "y_train", "x_test", "y_test"), "train", 4),
        (("x_train", "y_train", "x_test", "y_test"), "test", 2),
        (("train_images", "train_labels", "test_images", "test_labels"), "test", 2),
    ],
)
def test_the_usual_names_in_archives(tmp_path, names, split, count):
    parts = (BATCH, LABELS[:, None], BATCH[:2], LABELS[:2])
    np.savez(tmp_path / "set.npz", **dict(zip(names, parts, strict=False)))
    store = open_dataset(tmp_path / "set.npz", split=split)
    assert len(store) == count
    assert store.labels.tolist() == LABELS[:count].tolist()


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".pt", ".pkl", ".pickle"])
def test_pickles_are_refused_and_never_run(tmp_path, suffix):
    target, path = tmp_path / "owned", tmp_path / f"evil{suffix}"
    evil = np.array([Evil(target)], dtype=object)
    if suffix == ".npy":
        np.save(path, evil, allow_pickle=True)
    elif suffix == ".npz":
        np.savez(path, images=evil)
    else:
        torch.save({"images": Evil(target)}, path)
    with pytest.raises(ConfigError, match=r"pickled Python objects, which can run any code.*numpy.savez"):
        open_dataset(path)
    assert not target.exists()


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".pt", ".safetensors"])
@pytest.mark.parametrize("content", [b"", b"nonsense that is long enough to be read as a header of something"])
def test_damaged_files_are_told(tmp_path, suffix, content):
    with pytest.raises(ConfigError, match=r"is damaged|pickled"):
        open_dataset(put(tmp_path / f"bad{suffix}", content))


def test_cut_files_are_told(tmp_path):
    for suffix in (".npy", ".npz", ".pt", ".safetensors"):
        path = write(tmp_path / f"set{suffix}", {"images": BATCH, "labels": LABELS})
        path.write_bytes(path.read_bytes()[:-400])
        with pytest.raises(ConfigError, match="damaged"):
            open_dataset(path)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((0, 3, 8, 8), np.uint8), "empty array"),
        (np.array(3), "empty array"),
        (np.zeros(5), r"shape \[5\]; images take"),
        (np.zeros((1, 2, 3, 4, 5), np.uint8), "images take"),
        (np.zeros((2, 9, 8, 9), np.uint8), "channels are unclear"),
        (np.full((2, 8, 8), 200.0), "values 200 to 200; allowed is -1 to 1"),
        (np.full((2, 8, 8), np.nan), "values that are NaN"),
        (np.full((2, 8, 8), -1), "integers from -1 to -1"),
        (np.full((2, 8, 8), 1 << 20), "take 0 to 255 or 0 to 65535"),
        (np.array([["a", "b"]]), "values of type <U1; it takes"),
        (np.array([[0.0, np.inf], [0.0, 0.0]]), "1 points with NaN or infinite"),
    ],
)
def test_unclear_arrays_are_explained(array, message):
    with pytest.raises(ConfigError, match=message):
        open_dataset(array)


@pytest.mark.parametrize(
    ("dtype", "highest", "kept"),
    [
        (np.uint8, 255, torch.uint8),
        (np.uint16, 65535, torch.uint16),
        (np.int64, 255, torch.uint8),
        (np.int32, 65535, torch.uint16),
        (np.float64, 1, torch.float32),
        (np.float16, 1, torch.float32),
    ],
)
def test_types_are_kept_or_made_the_nearest(dtype, highest, kept):
    store = open_dataset(np.full((2, 8, 8), highest, dtype))
    assert store.images.dtype == kept
    assert (store.images.numpy() == highest).all()


def test_halves_of_torch_are_floats():
    given = torch.linspace(-1, 1, 2 * 3 * 4 * 5).view(2, 3, 4, 5)
    for dtype in (torch.bfloat16, torch.float16):
        assert torch.equal(open_dataset(given.to(dtype)).images, given.to(dtype).float())


def test_booleans_are_black_and_white():
    assert open_dataset(np.ones((2, 8, 8), bool)).images.unique().tolist() == [255]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array([0, 1]), r"4 samples but labels of shape \[2\]"),
        (np.array([0, 1, 2, -1]), "whole numbers from 0"),
        (np.array([0, 1, 2, 0.5]), "whole numbers from 0"),
        (np.array(list("abcd")), "whole numbers from 0"),
        (np.zeros((4, 3)), r"labels of shape \[4, 3\]"),
    ],
)
def test_wrong_label_arrays(tmp_path, labels, message):
    np.savez(tmp_path / "set.npz", images=BATCH, labels=labels)
    with pytest.raises(ConfigError, match=message):
        open_dataset(tmp_path / "set.npz")


def test_archives_without_samples_name_what_they_hold(tmp_path):
    np.savez(tmp_path / "set.npz", foo=BATCH, bar=LABELS)
    with pytest.raises(ConfigError, match="holds 'foo', 'bar'; name the samples 'images'"):
        open_dataset(tmp_path / "set.npz")
    torch.save("text", tmp_path / "set.pt")
    with pytest.raises(ConfigError, match="holds a str"):
        open_dataset(tmp_path / "set.pt")
    torch.save((FIRST, torch.from_numpy(LABELS)), tmp_path / "pair.pt")
    assert open_dataset(tmp_path / "pair.pt").labels.tolist() == LABELS.tolist()


def test_large_npy_files_are_mapped_and_not_changed(tmp_path):
    np.save(tmp_path / "set.npy", FIRST.numpy())
    store = open_dataset(tmp_path / "set.npy")
    store.images[0] = 0
    assert torch.equal(open_dataset(tmp_path / "set.npy").images, FIRST)


@pytest.mark.parametrize("packed", [False, True])
def test_idx_files_find_their_labels(tmp_path, packed):
    pack, end = (gzip.compress, ".gz") if packed else (bytes, "")
    path = put(tmp_path / f"t10k-images-idx3-ubyte{end}", pack(idx(BATCH[..., 0].copy())))
    assert open_dataset(path).labels is None
    put(tmp_path / "t10k-labels-idx1-ubyte.gz", gzip.compress(idx(LABELS.astype(np.uint8))))
    store = open_dataset(path)
    assert store.labels.tolist() == LABELS.tolist()
    assert np.array_equal(store.images[:, 0].numpy(), BATCH[..., 0])
    assert torch.equal(open_dataset(tmp_path, split="test").images, store.images)  # the folder, as MNIST's


@pytest.mark.parametrize(("code", "dtype"), [(9, "i1"), (11, ">i2"), (12, ">i4"), (13, ">f4"), (14, ">f8")])
def test_idx_types(tmp_path, code, dtype):
    values = np.array([[1, 2], [3, 4]], dtype)
    assert read_idx(put(tmp_path / "a", idx(values, code))).tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "starts with nothing"),
        (b"\x89PNG....", "not an IDX file"),
        (idx(BATCH[..., 0].copy())[:-1], "is damaged: it has"),
        (idx(BATCH[..., 0].copy()) + b"x", "is damaged: it has"),
        (b"\0\0\x08\x03\0\0", "is damaged"),
        (gzip.compress(idx(BATCH[..., 0].copy()))[:-9], "is damaged"),
    ],
)
def test_damaged_idx_files(tmp_path, content, message):
    with pytest.raises(ConfigError, match=message):
        open_dataset(put(tmp_path / "a-idx3-ubyte", content))


@pytest.mark.parametrize(
    ("text", "points", "labels", "classes"),
    [
        ("1,2\n3,4\n", [[1, 2], [3, 4]], None, ()),
        ("x;y\n1;2\n3;4", [[1, 2], [3, 4]], None, ()),
        ("x,y,label\n1,2,1\n3,4,0\n", [[1, 2], [3, 4]], [1, 0], ("0", "1")),
        ("label\tx\n1\t5\n", [[5]], [1], ("0", "1")),
        ("5.1,3.5,setosa\n1,2,virginica\n", [[5.1, 3.5], [1, 2]], [0, 1], ("setosa", "virginica")),
        ('\ufeffx,y,class\n1,2,"b, c"\n3,4,a\n', [[1, 2], [3, 4]], [1, 0], ("a", "b, c")),
    ],
)
def test_tables_of_points(tmp_path, text, points, labels, classes):
    store = open_dataset(put(tmp_path / "set.csv", text.encode()))
    assert store.images.dtype == torch.float32
    assert np.allclose(store.images.numpy(), points)
    assert (None if store.labels is None else store.labels.tolist()) == labels
    assert store.classes == classes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no points; it takes one on each line: x,y"),
        ("x,y\n", "has no points"),
        ("1,2\n3,x\n", "every line takes 2 numbers"),
        ("x,y\n1,2\n3\n", "every line takes 2 numbers"),
        ("1" * 140_000 + ",2\n", "holds no points: field larger"),
    ],
)
def test_wrong_tables(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        open_dataset(put(tmp_path / "set.csv", text.encode()))


def test_one_file_has_one_split(tmp_path):
    np.save(tmp_path / "set.npy", BATCH)
    with pytest.raises(ConfigError, match="has no split 'test': it is one file"):
        open_dataset(tmp_path / "set.npy", split="test")


def test_read_only_and_reversed_arrays():
    frozen = BATCH.copy()
    frozen.flags.writeable = False
    assert torch.equal(open_dataset(frozen).images, FIRST)
    assert torch.equal(open_dataset(BATCH[::-1]).images, FIRST.flip(0))


def test_float_images_that_start_at_zero_are_noted(listener):
    images = np.linspace(0, 1, 128, dtype=np.float32).reshape(2, 8, 8)
    open_dataset(images, progress=listener)
    assert "give them as x * 2 - 1" in listener.notes[0]
    open_dataset(images * 2 - 1, progress=listener)
    assert len(listener.notes) == 1
