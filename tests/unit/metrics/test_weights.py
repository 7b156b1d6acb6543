import hashlib
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from organza.config import ConfigError
from organza.metrics import weights
from organza.metrics.weights import WEIGHTS, filled, load_weights, read_tensors, weights_folder


@pytest.fixture
def caches(tmp_path, monkeypatch):
    """Empty places, and the name of a small file of weights that could be in them."""
    for name in ("ORGANZA_WEIGHTS", "HF_HUB_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    torch.save({"a": torch.arange(3.0)}, tmp_path / "source.pth")
    content = (tmp_path / "source.pth").read_bytes()
    about = replace(
        WEIGHTS["inception"],
        file="small-v1.pth",
        url="http://127.0.0.1:9/small-v1.pth",
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        aliases=("other-name.pth",),
    )
    monkeypatch.setitem(WEIGHTS, "small", about)
    return content, about


def put(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_the_places_in_their_order(tmp_path, monkeypatch, caches):
    content, about = caches
    hub = tmp_path / "hf/hub/models--someone--mirror"
    places = [
        hub / "snapshots/abc/small-v1.pth",
        hub / f"blobs/{about.sha256}",
        tmp_path / "torch/hub/checkpoints/other-name.pth",
        tmp_path / "torch/hub/checkpoints/small-v1.pth",
        tmp_path / "mine/small-v1.pth",
    ]
    monkeypatch.setenv("ORGANZA_WEIGHTS", str(tmp_path / "mine"))
    for place in places:  # each is preferred to those before it
        put(place, content)
        assert load_weights("small").path == place
    given = put(tmp_path / "given/renamed.bin", content)
    loaded = load_weights("small", given)
    assert loaded.path == given
    assert loaded.sha256 == about.sha256
    assert loaded.tensors["a"].tolist() == [0, 1, 2]
    assert load_weights("small", tmp_path / "mine").path == places[-1]


def test_a_file_in_an_installed_package_is_found_without_importing_it(tmp_path, monkeypatch, caches):
    content, about = caches
    put(tmp_path / "site/carrier/data/small.pth", content)
    put(tmp_path / "site/carrier/__init__.py", b"raise RuntimeError('imported')")
    put(tmp_path / "site/carrier-1.0.dist-info/METADATA", b"Metadata-Version: 2.1\nName: carrier\nVersion: 1.0\n")
    put(tmp_path / "site/carrier-1.0.dist-info/RECORD", b"carrier/__init__.py,,\ncarrier/data/small.pth,,\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    packages = (("nowhere", "x.pth"), ("carrier", "carrier/data/small.pth"))
    monkeypatch.setitem(WEIGHTS, "small", replace(about, packaged=packages))
    assert load_weights("small").path == tmp_path / "site/carrier/data/small.pth"


def test_what_is_missing_is_told_in_full(tmp_path, monkeypatch, caches):
    _, about = caches
    with pytest.raises(ConfigError) as told:
        load_weights("small")
    folder = tmp_path / "torch/hub/checkpoints"
    for part in (about.url, f"{about.bytes:,} bytes", about.sha256, str(folder / about.file), "ORGANZA_WEIGHTS"):
        assert part in str(told.value)
    assert "download=True" in str(told.value)
    monkeypatch.setenv("ORGANZA_WEIGHTS", str(tmp_path / "mine"))
    assert weights_folder() == tmp_path / "mine"
    with pytest.raises(ConfigError, match=r"mine/small-v1\.pth"):
        load_weights("small")
    with pytest.raises(ConfigError, match=r"no file .*/absent.pth'; give the path of small-v1.pth"):
        load_weights("small", tmp_path / "absent.pth")
    with pytest.raises(ConfigError, match=r"no weights 'smal'.*small"):
        load_weights("smal")


def test_heads_of_lpips_can_be_installed(caches, monkeypatch):
    monkeypatch.setattr(weights, "packaged_file", lambda *_: None)
    with pytest.raises(ConfigError, match=r"7,289 bytes.*type: pip install lpips; or put"):
        load_weights("lpips-vgg")


@pytest.mark.parametrize("given", [True, False])
def test_a_wrong_hash_is_refused_and_both_are_named(tmp_path, caches, given):
    content, about = caches
    wrong = content[:-1] + b"x"
    place = put(tmp_path / "torch/hub/checkpoints/small-v1.pth", wrong)
    found = hashlib.sha256(wrong).hexdigest()
    with pytest.raises(ConfigError, match=f"has the sha256 {found}, not {about.sha256}"):
        load_weights("small", place if given else None)


def test_a_damaged_file_does_not_hide_a_whole_one(tmp_path, monkeypatch, caches):
    content, _ = caches
    monkeypatch.setenv("ORGANZA_WEIGHTS", str(tmp_path / "mine"))
    put(tmp_path / "mine/small-v1.pth", content[:-1] + b"x")
    whole = put(tmp_path / "torch/hub/checkpoints/small-v1.pth", content)
    assert load_weights("small").path == whole


def test_the_beginning_of_a_hash_is_verified(monkeypatch, tmp_path, caches):
    content, about = caches
    place = put(tmp_path / "a.pth", content)
    monkeypatch.setitem(WEIGHTS, "small", replace(about, sha256=about.sha256[:8]))
    assert load_weights("small", place).sha256 == about.sha256
    monkeypatch.setitem(WEIGHTS, "small", replace(about, sha256="00000000"))
    with pytest.raises(ConfigError, match="not 00000000…"):
        load_weights("small", place)


def test_a_download_happens_only_when_asked(tmp_path, monkeypatch, caches, server, listener):
    (www, url), (content, about) = server, caches
    put(www / about.file, content)
    monkeypatch.setitem(WEIGHTS, "small", replace(about, url=url + about.file))
    with pytest.raises(ConfigError, match="not on this machine"):
        load_weights("small")
    loaded = load_weights("small", download=True, progress=listener)
    assert loaded.path == tmp_path / "torch/hub/checkpoints" / about.file
    assert loaded.path.read_bytes() == content
    assert "fetching http://127" in listener.notes[0]
    assert about.licence in listener.notes[0]
    assert listener.steps[-1] == (f"fetching {about.file}", len(content), len(content))
    assert [p.name for p in loaded.path.parent.iterdir()] == [about.file]
    load_weights("small", download=True, progress=listener)
    assert len(listener.notes) == 1


@pytest.mark.parametrize("served", [b"changed", None])
def test_a_bad_download_leaves_nothing(tmp_path, monkeypatch, caches, server, served):
    (www, url), (_, about) = server, caches
    if served is not None:
        put(www / about.file, served)
    monkeypatch.setitem(WEIGHTS, "small", replace(about, url=url + about.file))
    told = "has the sha256 [0-9a-f]{64}, not " if served else "cannot be fetched .*404.* and put it at "
    with pytest.raises(ConfigError, match=told):
        load_weights("small", download=True)
    assert not list((tmp_path / "torch/hub/checkpoints").iterdir())


def test_a_pickle_is_not_executed(tmp_path):
    class Evil:
        def __reduce__(self):
            return Path.touch, (tmp_path / "executed",)

    with pytest.raises(ConfigError, match="is no file of weights"):
        read_tensors(put(tmp_path / "a.pth", pickle.dumps(Evil())))
    torch.save({"a": Evil()}, tmp_path / "b.pth")
    with pytest.raises(ConfigError, match="is no file of weights"):
        read_tensors(tmp_path / "b.pth")
    assert not (tmp_path / "executed").exists()
    torch.save([1, 2], tmp_path / "c.pth")
    with pytest.raises(ConfigError, match="holds no tensors by name"):
        read_tensors(tmp_path / "c.pth")


def test_safetensors_under_any_name(tmp_path):
    save_file({"a": torch.ones(2)}, tmp_path / "blob")
    assert read_tensors(tmp_path / "blob")["a"].tolist() == [1, 1]


def test_weights_of_another_network_are_refused(tmp_path):
    def make():
        return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))

    state = make().state_dict()
    loaded = weights.Loaded(tmp_path / "a.pth", "", {n: t for n, t in state.items() if "tracked" not in n})
    network = filled(make, loaded)
    assert torch.equal(network[0].weight, state["0.weight"])
    assert not network.training
    assert not any(p.requires_grad for p in network.parameters())
    for change, told in (
        ({"0.weight": torch.ones(3, 3)}, "size mismatch"),
        ({"head.bias": torch.ones(1)}, r"0 missing .*1 unknown \(head.bias\)"),
    ):
        with pytest.raises(ConfigError, match=f"a.pth has other weights than Sequential: .*{told}"):
            filled(make, replace(loaded, tensors=state | change))
    assert filled(make, replace(loaded, tensors=state | {"head.bias": torch.ones(1)}), ("head.",)) is not None


def test_the_table_is_whole():
    assert [name for name, about in WEIGHTS.items() if not about.sha256] == ["resnet50-ade20k"]  # is never fetched
    for name, about in WEIGHTS.items():
        if not about.sha256:
            continue
        assert about.url.startswith("https://"), name
        assert len(about.sha256) in (8, 64), name
        assert int(about.sha256, 16) >= 0
        assert about.sha256[:8] in about.file or len(about.sha256) == 64, name
        assert about.licence, name
        assert about.bytes > 5000, name
