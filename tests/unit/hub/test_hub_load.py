"""What `organza.load` does with what it is given, and with what an attacker would give it."""

import json
import pickle
import resource
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import organza
from organza.config import ConfigError, Model
from organza.hub import GAN, save
from organza.models import build, complete
from organza.training.checkpoint import DamagedError, checksum

CLASSES = ("cat", "dog", "emu")


class Bomb:
    """Opening its pickle makes a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return Path.touch, (self.target,)


def gan(name="dcgan", shape=(3, 16, 16), classes=CLASSES, **options) -> GAN:
    torch.manual_seed(3)
    model = complete(Model(name=name, options={"width": 8, "z_dim": 6, **options}), "generator")
    network = build(model, "generator", shape, len(classes)).eval()
    return GAN(network, model, shape, classes, "test", {"images": 7})


@pytest.fixture
def folder(tmp_path) -> Path:
    save(gan(), tmp_path / "gan", "# card\n")
    return tmp_path / "gan"


def edit(folder: Path, **changes) -> Path:
    """Change fields of config.json; None removes one."""
    about = json.loads((folder / "config.json").read_text()) | changes
    (folder / "config.json").write_text(json.dumps({k: v for k, v in about.items() if v is not None}))
    return folder


def options(folder: Path, **changes) -> Path:
    return edit(folder, generator=json.loads((folder / "config.json").read_text())["generator"] | changes)


@pytest.mark.parametrize("classes", [CLASSES, ()])
def test_what_was_saved_comes_back(tmp_path, classes):
    one = gan(classes=classes)
    save(one, tmp_path / "gan", "# card\n")
    two = organza.load(tmp_path / "gan")
    assert sorted(path.name for path in (tmp_path / "gan").iterdir()) == [
        "README.md", "config.json", "model.safetensors",
    ]  # fmt: skip
    assert (two.model, two.shape, two.classes, two.recipe, two.training) == (
        one.model, one.shape, one.classes, one.recipe, one.training,
    )  # fmt: skip
    assert torch.equal(one.sample(5), two.sample(5))
    assert len(two.sha256) == 64
    assert not two.generator.training
    assert not any(p.requires_grad for p in two.generator.parameters())


def test_points_come_back(tmp_path):
    one = gan("mlp", (2,), ())
    save(one, tmp_path, "")
    samples = organza.load(tmp_path).sample(9)
    assert samples.dtype == torch.float32
    assert samples.shape == (9, 2)
    assert torch.equal(samples, one.sample(9))


def test_files_of_the_folder_name_it(folder):
    for name in ("model.safetensors", "config.json"):
        assert organza.load(folder / name).shape == (3, 16, 16)
    assert organza.load(str(folder)).shape == (3, 16, 16)


def test_another_file_does_not_stand_for_its_neighbour(folder):
    """Asked for old.safetensors, we must not answer with model.safetensors."""
    (folder / "old.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    with pytest.raises(ValueError, match=r"old\.safetensors"):
        organza.load(folder / "old.safetensors")


def test_nothing_there(tmp_path):
    for missing in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(FileNotFoundError, match=missing.name):
            organza.load(missing)
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match="first checkpoint"):
        organza.load(tmp_path / "run")


def test_config_missing(folder):
    (folder / "config.json").unlink()
    with pytest.raises(FileNotFoundError, match="holds no GAN"):
        organza.load(folder)


@pytest.mark.parametrize("name", ["model.safetensors", "gan.pkl", "gan.pt", "gan.pth", "gan"])
@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_pickles_are_refused_and_not_executed(folder, tmp_path, name, protocol):
    planted = tmp_path / "planted"
    (folder / name).write_bytes(pickle.dumps(Bomb(planted), protocol))
    with pytest.raises(ValueError, match=rf"{name}|cannot be loaded"):
        organza.load(folder / name)
    if name == "model.safetensors":
        with pytest.raises(ValueError, match="cannot be loaded"):
            organza.load(folder)
    assert not planted.exists()


def test_torch_files_are_refused(folder, tmp_path):
    planted = tmp_path / "planted"
    torch.save({"a": Bomb(planted)}, folder / "model.safetensors")
    for path in (folder, folder / "model.safetensors"):
        with pytest.raises(ValueError, match=r"pickle|cannot be loaded"):
            organza.load(path)
    assert not planted.exists()


def test_torn_weights(folder):
    file = folder / "model.safetensors"
    whole = file.read_bytes()
    for point in range(0, len(whole), len(whole) // 20):
        file.write_bytes(whole[:point])
        with pytest.raises(DamagedError):
            organza.load(folder)
        file.write_bytes(whole[:point] + bytes([whole[point] ^ 1]) + whole[point + 1 :])
        with pytest.raises(DamagedError):
            organza.load(folder)
    file.write_bytes(whole)
    organza.load(folder)


def test_weights_of_another_network(folder, tmp_path):
    save(gan(width=16), tmp_path / "other", "")
    (tmp_path / "other" / "model.safetensors").replace(folder / "model.safetensors")
    with pytest.raises(DamagedError, match="other weights"):
        organza.load(folder)


@pytest.mark.parametrize("change", ["fewer", "more", "renamed"])
def test_missing_and_additional_tensors(folder, change):
    tensors = load_file(folder / "model.safetensors")
    first = next(iter(tensors))
    value = tensors[first] if change == "more" else tensors.pop(first)
    tensors |= {} if change == "fewer" else {"other": value.clone()}
    save_file(tensors, folder / "model.safetensors", metadata={"checksum": str(checksum(tensors))})
    with pytest.raises(DamagedError, match=r"project|other"):
        organza.load(folder)


def test_weights_that_another_program_wrote_anew(folder):
    before, tensors = organza.load(folder).sample(2), load_file(folder / "model.safetensors")
    save_file(tensors, folder / "model.safetensors")
    assert torch.equal(organza.load(folder).sample(2), before)
    save_file({f"net.{name}": value for name, value in tensors.items()}, folder / "model.safetensors")
    with pytest.raises(DamagedError, match="other weights"):
        organza.load(folder)


TEXTS = [
    b"", b"{", b"[]", b"3", b"null", b"\xff\xfe\x00", b'"x"', b"{}", b"[" * 200_000, b'{"format": 1}',
    b'{"format": 1e999}', b"9" * 5000,
]  # fmt: skip


@pytest.mark.parametrize("text", TEXTS, ids=[str(text[:12]) for text in TEXTS])
def test_hostile_json(folder, text):
    (folder / "config.json").write_bytes(text)
    with pytest.raises(ValueError, match=r"config\.json|format"):
        organza.load(folder)


FIELDS = {
    "format": [0, 2, "1", None, [], 1e9],
    "shape": [None, [], [3], [3, 16], [3, 16, 16, 16], ["a", 1, 2], [3, -16, 16], [3, 0, 0], [0, 16, 16], 7, "abc",
              [3, 17, 16], [3, 16.5, 16], [3, 2**40, 2**40], [10**30, 16, 16], [True, 16, 16], {"a": 1}],
    "classes": [None, 3, ["a"] * 70_000, [1, 2, 3], "abc", {"a": 1, "b": 2, "c": 3}],
    "generator": [None, [], {}, "dcgan", {"name": 3}, {"name": []}, {"name": {}}],
    "recipe": [None, 5],
    "training": [None, "x", [1]],
}  # fmt: skip


@pytest.mark.parametrize(
    ("field", "value"), [(f, v) for f, values in FIELDS.items() for v in values], ids=lambda v: str(v)[:30]
)
def test_hostile_fields(folder, field, value):
    with pytest.raises(DamagedError):
        organza.load(edit(folder, **{field: value}))


OPTIONS = {
    "name": [
        "stylegan99",
        "os.system",
        "organza.models.dcgan",
        "__class__",
        "../dcgan",
        "",
        "torch.nn:Linear",
        3,
        None,
    ],
    "width": [10**12, 10**30, 2**31, 60_000, -1, 0, 2.5, "x", None, [8], {"a": 1}, float("inf"), True],
    "z_dim": [0, -3, 10**15, "6; import os", 7],
    "upsample": ["bicubic", None, 3],
    "norm": ["none", "instance", "__import__('os')"],
    "import": ["os"],
    "__init__": ["os"],
}


@pytest.mark.parametrize(
    ("option", "value"), [(o, v) for o, values in OPTIONS.items() for v in values], ids=lambda v: str(v)[:30]
)
def test_hostile_options(folder, option, value):
    with pytest.raises(DamagedError):
        organza.load(options(folder, **{option: value}))


def test_a_description_cannot_fill_memory_or_time(tmp_path):
    save(gan("mlp", (2,), ()), tmp_path, "")
    begin, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for hostile in ({"depth": 10**9}, {"width": 65_000}, {"width": 10**9}, {"z_dim": 60_000, "width": 60_000}):
        with pytest.raises(DamagedError):
            organza.load(options(tmp_path, **{"depth": 2, "width": 8, **hostile}))
    assert time.process_time() - begin < 5
    assert (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000
    )  # KB; the honest sizes are 17 GB and more


def test_devices(folder):
    assert organza.load(folder, device="cpu").sample(1).shape == (1, 3, 16, 16)
    for device in ("tpu", "", "cuda:99" if not torch.cuda.is_available() else "abc"):
        with pytest.raises(ConfigError, match="device"):
            organza.load(folder, device=device)


def test_a_failed_save_leaves_the_old_model(folder):
    whole = organza.load(folder).sample(2)
    (folder / "model.partial").mkdir()  # the place where the new file would be written
    with pytest.raises(OSError, match=r"(?i)directory"):
        save(gan(width=16), folder, "")
    (folder / "model.partial").rmdir()
    assert torch.equal(organza.load(folder).sample(2), whole)
