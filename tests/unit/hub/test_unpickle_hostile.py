"""What an attacker would put into a file of weights: it is refused, and nothing of it runs."""

import builtins
import contextlib
import io
import json
import os
import pickle
import random
import re
import resource
import struct
import subprocess
import sys
import time
import zipfile
from collections import Counter
from pathlib import Path

import foreign_files as files
import numpy as np
import pytest
import torch

import organza
from organza.hub.contents import opened
from organza.hub.convert import listing
from organza.hub.foreign import read
from organza.hub.records import Budget, Name, Record, hostile
from organza.hub.tensors import tensor_of
from organza.hub.unpickle import unpickled
from organza.training.checkpoint import DamagedError


class Calls:
    """Pickled, it calls `function` with `args` when it is opened by pickle itself."""

    def __init__(self, function, *args, state=None):
        self.told = (function, args, state) if state is not None else (function, args)

    def __reduce__(self):
        return self.told


def text(words) -> bytes:
    """An instruction that pushes text."""
    content = words.encode()
    return b"X" + struct.pack("<I", len(content)) + content


def calling(module, name, *args) -> bytes:
    """Instructions for the call of a named function with texts."""
    return f"c{module}\n{name}\n".encode() + b"(" + b"".join(map(text, args)) + b"tR"


@pytest.fixture
def planted(tmp_path):
    return tmp_path / "planted"


def attacks(planted: Path) -> dict[str, bytes]:
    """By name a pickle for each known way to run something; all of them make the file `planted` when they succeed."""
    touch, command = f"open({str(planted)!r}, 'w').close()", f"touch {planted}"
    found = {f"os.system, protocol {p}": pickle.dumps(Calls(os.system, command), p) for p in range(6)}
    found |= {
        "eval": pickle.dumps(Calls(builtins.eval, touch)),
        "exec": pickle.dumps(Calls(builtins.exec, touch)),
        "eval of Python 2": calling("__builtin__", "eval", touch) + b".",
        "open": pickle.dumps(Calls(builtins.open, str(planted), "w")),
        "subprocess": pickle.dumps(Calls(subprocess.check_output, ["touch", str(planted)])),
        "runpy": calling("runpy", "_run_code", touch) + b".",
        "pathlib": pickle.dumps(Calls(Path.touch, planted)),
        "a chain of getattr": (
            b"cbuiltins\ngetattr\n(cos\n__dict__\n" + text("get") + b"tR(" + text("system") + b"tR("
            + text(command) + b"tR."
        ),
        "a dotted name": b"\x80\x04" + text("os") + text("path.os.system") + b"\x93" + b"(" + text(command) + b"tR.",
        "a name put together on the stack": (
            b"\x80\x04" + text("po") + b"0" + text("posix") + text("system") + b"\x93(" + text(command) + b"tR."
        ),
        "INST": b"(" + text(command) + b"ios\nsystem\n.",
        "OBJ": b"(cos\nsystem\n" + text(command) + b"o.",
        "NEWOBJ": b"\x80\x02cos\nsystem\n(" + text(command) + b"t\x81.",
        "NEWOBJ_EX": b"\x80\x04cos\nsystem\n(" + text(command) + b"t}\x92.",
        "a state": pickle.dumps(Calls(os.system, "true", state={"__setstate__": Name("os", "system")})),
        "BUILD of a code object": b"ctypes\nFunctionType\n(ctypes\nCodeType\n(tRtR}" + text("a") + b"K\x01sb.",
        "extension code": b"\x80\x02\x82\x01.",
        "extension code 4": b"\x80\x02\x84\x01\x00\x00\x00.",
        "operator": calling("operator", "attrgetter", "system") + b"(cos\nsystem\ntR.",
        "partial": b"cfunctools\npartial\n(cos\nsystem\n" + text(command) + b"tR(tR.",
        "torch.load": calling("torch", "load", str(planted)) + b"(cos\nsystem\n" + text(command) + b"tR.",
        "torch's way to os": b"\x80\x04" + text("torch") + text("os.system") + b"\x93(" + text(command) + b"tR.",
        "a type with a metaclass": b"cbuiltins\ntype\n(" + text("A") + b"(cos\nsystem\ntdtR(tR.",
        "dict of a call": b"ccollections\ndefaultdict\n(cos\nsystem\ntR" + text(command) + b"cos\nsystem\nsb.",
        "reconstructor": b"ccopy_reg\n_reconstructor\n(cos\nsystem\ncbuiltins\nobject\nNtR.",
        "set of calls": b"cbuiltins\nset\n(](" + calling("os", "system", command) + b"etR.",
    }  # fmt: skip
    return found


NAMES = list(attacks(Path("planted")))


@pytest.mark.parametrize("name", NAMES)
def test_no_attack_runs(tmp_path, planted, name):
    content = attacks(planted)[name]
    for suffix in (".pkl", ".pt", ".pth"):
        path = tmp_path / f"file{suffix}"
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"file\.p"):
            organza.load(path)
    inside = pickle.dumps([1])[:-1] + b"0" + content.removeprefix(b"\x80\x04").removeprefix(b"\x80\x02")
    path.write_bytes(inside)
    with pytest.raises(DamagedError):
        read(path)
    assert not planted.exists()


def test_the_attacks_would_work(planted):
    """Opened by pickle itself, some of them plant their file: this corpus is not empty."""
    for name in ("eval", "exec", "INST", "OBJ", "a dotted name", "partial"):
        pickle.loads(attacks(planted)[name])
        assert planted.exists(), name
        planted.unlink()


def test_what_would_be_called_is_told(tmp_path, planted):
    path = tmp_path / "g.pkl"
    path.write_bytes(pickle.dumps({"G_ema": Calls(os.system, f"touch {planted}")}))
    with pytest.raises(DamagedError, match=r"would call posix\.system.*Nothing of it was executed"):
        read(path)
    assert ("HOSTILE", "posix.system (1 times)") in listing(path)
    assert not planted.exists()


LOADERS = (
    "torch.load",
    "numpy.load",
    "joblib.load",
    "dill._dill.loads",
    "pandas.io.pickle.read_pickle",
    "yaml.unsafe_load",
)


@pytest.mark.parametrize("name", [*LOADERS, "pickle.loads", "marshal.loads", "runpy.run_path"])
def test_what_would_open_another_file_is_told_each_time(tmp_path, name):
    module, _, function = name.rpartition(".")
    path, argument = tmp_path / "g.pkl", text("other.pkl")
    once = f"c{module}\n{function}\nq\x00(".encode() + argument + b"tR0"
    path.write_bytes(once + 2 * (b"h\x00(" + argument + b"tR0") + b"ctorch\nload_not\n.")
    lines = listing(path)
    assert ("HOSTILE", f"{name} (3 times)") in lines
    assert ("calls", "torch.load_not (1 times)") in lines
    with pytest.raises(DamagedError, match=f"would call {re.escape(name)}, which"):
        read(path)


def test_hostile_code_in_an_honest_file(tmp_path, planted):
    """The sources that official files carry are for `exec`; here they are text."""
    g = files.generator2()
    source = f"open({str(planted)!r}, 'w').close()"
    with files.foreign_modules():
        network = files.persistent("Generator", g, {"synthesis_kwargs": {}})
        network.source = source
        (tmp_path / "a.pkl").write_bytes(pickle.dumps({"G_ema": network}))
        state = {"version": 4, "build_module_src": source, "variables": []}
        (tmp_path / "b.pkl").write_bytes(pickle.dumps((files.Network(state),) * 3))
    assert organza.load(tmp_path / "a.pkl").z_dim == 8
    with pytest.raises(DamagedError, match="older"):
        organza.load(tmp_path / "b.pkl")
    assert not planted.exists()


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_hostile_pickles_inside_a_tensor(tmp_path, planted, depth):
    content = pickle.dumps(Calls(os.system, f"touch {planted}"))
    for _ in range(depth):
        content = pickle.dumps(Calls(torch.storage._load_from_bytes, content))
    path = tmp_path / "g.pkl"
    path.write_bytes(content)
    with pytest.raises(DamagedError, match=r"posix\.system|pickles in pickles"):
        read(path)
    assert not planted.exists()


@pytest.mark.parametrize("place", ["data.pkl", "storage", "old"])
def test_hostile_torch_files(tmp_path, planted, place):
    path, evil = tmp_path / "g.pt", Calls(os.system, f"touch {planted}")
    if place == "storage":
        torch.save({"a": torch.zeros(2)}, path)
        content = pickle.dumps(evil)
        edited(path, lambda name, old: content if name.endswith("data/0") else old)
    else:
        torch.save({"a": evil}, path, _use_new_zipfile_serialization=place == "data.pkl")
    with pytest.raises(DamagedError):
        read(path)
    assert not planted.exists()


def edited(path, change, **more):
    """Write a zip anew with other members."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", **more) as archive:
        for name, content in members.items():
            archive.writestr(name, change(name, content))


BOMBS = {
    "nested lists": b"]" * 900_000 + b".",
    "nested tuples": b")" + b"\x85" * 900_000 + b".",
    "nested and closed": b"]" * 40_000 + b"a" * 39_999 + b".",
    "memo": b"]" + b"".join(b"r" + struct.pack("<I", i * 1000) for i in range(300_000)) + b"]" * 200_000 + b".",
    "far memo": b"]r\xff\xff\xff\xff.",
    "laughs": b"]" + b"(" + b"2" * 9 + b"e" + b"".join(b"](" + b"h\x00" * 9 + b"e" for _ in range(40)) + b".",
    "tuples that hash forever": b")" + b"2\x86" * 60 + b"}q\x00" + b"0" + b"}" + b")" + b"2\x86" * 60 + b"K\x01s.",
    "a long text that is short": b"\x8d" + struct.pack("<Q", 2**40) + b"x.",
    "long bytes that are short": b"\x8e" + struct.pack("<Q", 2**62) + b"x.",
    "a long number": b"\x8b" + struct.pack("<i", 2**31 - 1) + b"\x01.",
    "digits": b"L" + b"9" * 100_000 + b"L\n.",
    "frames": b"\x80\x04\x95" + struct.pack("<Q", 2**60) + b"N.",
    "copies of bytes": (
        b"\x80\x02c_codecs\nencode\nq\x00" + text("x" * 1_000_000) + b"q\x01"
        + b"".join(b"h\x00h\x01" + text("latin1") + b"\x86R" for _ in range(5000)) + b"."
    ),
    "copies of a dict": (
        b"ccollections\nOrderedDict\nq\x00](" + b"".join(b"K\x01K\x02\x86" for _ in range(40_000)) + b"e\x85q\x01"
        + b"".join(b"h\x00h\x01R0" for _ in range(40_000)) + b"."
    ),
    "marks": b"(" * 60_000 + b".",
    "a long tuple as a key": (
        b"(" + b"K\x01" * 45_000 + b"tq\x000}q\x01" + b"h\x00Ns" * 80_000 + b"."
    ),
    "one blob again and again": (
        b"ctorch.storage\n_load_from_bytes\nq\x00B" + struct.pack("<I", 1_000_010)
        + b"\x8e" + struct.pack("<Q", 1_000_000) + b"x" * 1_000_000 + b"." + b"\x85q\x01("
        + b"h\x00h\x01R" * 20_000 + b"l."
    ),
    "a number without end": b"\x8b" + struct.pack("<i", 100_000) + b"\x01" * 100_000 + b".",
    "colliding keys": b"}(" + b"".join(
        b"\x8a\x0c" + (i * (2**61 - 1)).to_bytes(12, "little", signed=True) + b"N" for i in range(20_000)
    ) + b"u.",
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_take_neither_memory_nor_time(tmp_path, name):
    path = tmp_path / "g.pkl"
    path.write_bytes(BOMBS[name])
    began, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DamagedError):
        read(path)
    assert time.process_time() - began < 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000  # KB


MODULE = b"ctorch.nn\nModule\n)R"


def twice_nested(opening: bytes, first: bytes, second: bytes, depth: int = 45) -> bytes:
    """A value that stands twice in one that stands twice …: a few bytes, and as text without end."""
    return opening + b"q\x00" + b"".join(
        b"0" + opening + b"q" + bytes([i + 1]) + b"(" + first + b"h" + bytes([i]) + second + b"h" + bytes([i])
        + (b"u" if first else b"e") for i in range(depth)
    )  # fmt: skip


CRAFTED = {
    "a list of itself": b"]q\x00" + (b"(" + b"h\x00" * 49_000 + b"e") * 3 + b".",
    "dicts of dicts": twice_nested(b"}", text("a"), text("b")) + b".",
    "lists as an argument": (
        b"}" + text("cur_nimg") + b"K\x01s" + text("G_ema") + MODULE + b"}(" + text("_init_kwargs") + b"}"
        + text("activation") + twice_nested(b"]", b"", b"") + b"s" + text("_parameters") + b"}ubs."
    ),
    "a record as a key": (
        b"}cx\ny\n(" + twice_nested(b"]", b"", b"") + b"tRNs."
    ),
    "long names of modules": (
        b"}" + text("G_ema") + MODULE + b"}" + text("_modules") + b"}" + text("x" * 1_000_000) + MODULE + b"}"
        + text("_parameters") + b"}(" + text("p") + b"ctorch._utils\n_rebuild_tensor_v2\n(NK\x00K\x01\x85)NtRq\x00"
        + b"".join(text(f"p{i}") + b"h\x00" for i in range(9_000)) + b"usbssbs."
    ),
    "parameters of parameters": (
        b"ctorch._utils\n_rebuild_parameter\nq\x000}" + text("a") + b"h\x00" * 20_000 + b"N" + b"\x85R" * 20_000 + b"s."
    ),
    "a size that numpy has not": (
        b"}" + text("a") + b"cnumpy.core.multiarray\n_reconstruct\n)R(K\x01K\x01\x85cnumpy\ndtype\n" + text("f3")
        + b"\x85R\x89C\x03abctbs."
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CRAFTED)
def test_small_files_that_are_large_as_text(tmp_path, name):
    """Neither reading nor listing takes long, and nothing but DamagedError comes out."""
    path = tmp_path / "g.pkl"
    path.write_bytes(CRAFTED[name])
    began, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DamagedError, match=r"g\.pkl"):
        read(path)
    with contextlib.suppress(DamagedError):
        assert sum(len(words) for _, words in listing(path)) < 1_000_000
    assert time.process_time() - began < 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000  # KB


def test_tensors_that_declare_too_much(tmp_path):
    numbers = torch.zeros(4)
    storage = torch.storage.TypedStorage(wrap_storage=numbers.untyped_storage(), dtype=numbers.dtype, _internal=True)
    made = torch._utils._rebuild_tensor_v2
    shapes = {
        "large": (0, (2**20, 2**20), (2**20, 1)), "expanded": (0, (10**6, 10**6), (0, 0)), "negative": (0, (-1,), (1,)),
        "beyond": (2, (3,), (1,)), "offset": (-1, (2,), (1,)), "stride": (0, (2,), (-1,)), "text": (0, ("a",), (1,)),
        "true": (0, (True,), (1,)), "many": (0, (1,) * 40, (1,) * 40),
    }  # fmt: skip
    for name, (offset, size, stride) in shapes.items():
        told = Calls(made, storage, offset, size, stride, False, {})
        path = tmp_path / "g.pkl"
        path.write_bytes(pickle.dumps({"a": told}))
        contents = opened(path)
        with pytest.raises(DamagedError):
            tensor_of(contents.value["a"], contents.budget)
        assert name
    path.write_bytes(pickle.dumps({"a": Calls(made, storage, 1, (3, 1), (1, 7), False, {})}))
    contents = opened(path)
    assert tensor_of(contents.value["a"], contents.budget).shape == (3, 1)


def test_arrays_of_objects_and_wrong_lengths(tmp_path):
    path = tmp_path / "g.pkl"
    for array in (np.array([{}, 1], object), np.array(["a"]), np.zeros(2, "M8[s]"), np.zeros(2, [("a", "f4")])):
        path.write_bytes(pickle.dumps({"a": array}, 3))
        contents = opened(path)
        with pytest.raises(DamagedError):
            tensor_of(contents.value["a"], contents.budget)
    whole = pickle.dumps({"a": np.arange(6, dtype=np.float32)}, 3)
    path.write_bytes(whole.replace(b"K\x06\x85", b"K\x07\x85"))
    contents = opened(path)
    with pytest.raises(DamagedError, match="declares 7 numbers"):
        tensor_of(contents.value["a"], contents.budget)
    path.write_bytes(whole)
    assert tensor_of(opened(path).value["a"], Budget(1000)).tolist() == [0, 1, 2, 3, 4, 5]


def test_zip_bombs_and_false_zips(tmp_path):
    path = tmp_path / "g.pt"

    def saved():
        torch.save({"a": torch.zeros(100, 100)}, path)

    def nothing(_, content):
        return content

    saved()
    edited(path, nothing, compression=zipfile.ZIP_DEFLATED)
    refused(path, "compressed")
    saved()
    edited(path, lambda name, old: b"\0" * 50_000_000 if "data/0" in name else old, compression=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 1e6
    refused(path, "compressed")
    saved()
    edited(path, lambda name, old: old[:-4] if "data/0" in name else old)
    refused(path, "another length")
    saved()
    edited(path, lambda name, old: b"big" if name.endswith("byteorder") else old)
    refused(path, "high byte")
    saved()
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr(archive.namelist()[0], b"N.")
    refused(path, "two members")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/other.txt", b"")
    refused(path, "no file of torch")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/data.pkl", b"N.")
        archive.writestr("x/constants.pkl", b"N.")
    refused(path, "none of the GANs")


def refused(path, told):
    with pytest.raises(DamagedError, match=told):
        read(path)


def honest(tmp_path) -> dict[str, Path]:
    """One small file of each form."""
    g = files.generator2(res=8, base=16, most=4, z=3, w=3, layers=1)
    return {
        "pickle": files.snapshot(tmp_path / "a.pkl", ("Generator", g, {"synthesis_kwargs": {}})),
        "old": files.state(tmp_path / "b.pth", files.big_generator((8, 8), embed=2, classes=2), old=True),
        "new": files.state(tmp_path / "c.pth", files.big_generator((8, 8), embed=2, classes=2)),
    }


@pytest.mark.parametrize("form", ["pickle", "old", "new"])
def test_truncated_files(tmp_path, form):
    path = honest(tmp_path)[form]
    whole = path.read_bytes()
    for length in range(0, len(whole), max(1, len(whole) // 40)):
        path.write_bytes(whole[:length])
        with pytest.raises(DamagedError, match=path.name):
            read(path)
    path.write_bytes(whole)
    read(path)


@pytest.mark.parametrize("form", ["pickle", "old", "new"])
def test_changed_bits_and_garbage(tmp_path, form):
    """A flipped number cannot be seen in a format without checksums; whatever else comes is a DamagedError."""
    path, chance, flipped = honest(tmp_path)[form], random.Random(0), 0
    whole = path.read_bytes()
    for _ in range(40):
        content = bytearray(whole)
        for _ in range(chance.choice((1, 1, 5, 50))):
            content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        path.write_bytes(content)
        try:
            read(path)
        except DamagedError:
            flipped += 1
    assert flipped > 5
    for _ in range(60):
        path.write_bytes(chance.choice((b"", b"\x80\x04", b"PK\x03\x04", b"(")) + chance.randbytes(200) + b".")
        with pytest.raises(DamagedError):
            read(path)


def test_random_instructions():
    """Nothing but DamagedError comes out of any row of instructions."""
    chance, ended = random.Random(1), 0
    letters = [code for code in range(256)]
    for _ in range(3000):
        file = io.BytesIO(bytes(chance.choice(letters) for _ in range(chance.randrange(1, 30))) + b".")
        try:
            unpickled(file, Budget(100), Counter())
            ended += 1
        except DamagedError:
            pass
    common = [ord(letter) for letter in "()]}NK\x01tlduebasRo0122\x85\x86\x87q\x00h\x00\x81\x94\x8f\x90\x91"]
    for _ in range(3000):
        file = io.BytesIO(bytes(chance.choice(common) for _ in range(chance.randrange(1, 25))) + b".")
        try:
            unpickled(file, Budget(100), Counter())
            ended += 1
        except DamagedError:
            pass
    assert ended > 20


WATCHED = """
import sys
import torch, numpy, organza
import encodings.raw_unicode_escape, encodings.unicode_escape  # by which protocol 0 writes text
import organza.hub.foreign, organza.hub.convert, organza.models.stylegan2, organza.models.biggan
loaded, own, bad = None, set(), []

def code_of(event, args):
    return args[0] if event == "compile" else (args[0].co_code, args[0].co_names, str(args[0].co_consts))

def watch(event, args):
    if event in ("compile", "exec"):  # typing compiles the hints of our own constructors, those of the first reading
        code = str(code_of(event, args))
        own.add(code) if loaded is None else code in own or bad.append(event)
        return
    if loaded is None:
        return
    if event in ("os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "marshal.loads",
                 "ctypes.dlopen", "socket.connect", "pickle.find_class", "shutil.rmtree", "os.remove"):
        bad.append(event)
    if event == "import" and args[0] not in loaded:
        bad.append(f"import {args[0]}")
    if event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+"):
        bad.append(f"open {args[0]} {args[1]}")

sys.addaudithook(watch)
sys.modules["organza.hub.foreign"].read(sys.argv[1])  # what reading an honest file imports is imported now
loaded, told = set(sys.modules), []
for path in sys.argv[1:]:
    for use in (organza.hub.foreign.read, organza.hub.convert.listing):
        try:
            use(path)
            told.append("read")
        except ValueError:
            told.append("refused")
import json
print(json.dumps([told, bad]))
"""


def test_under_watch_nothing_is_imported_run_or_written(tmp_path, planted):
    """Python's own audit events, while honest and hostile files are read in a process of their own."""
    paths = [str(honest(tmp_path)["pickle"])]
    for number, content in enumerate(attacks(planted).values()):
        paths.append(str(tmp_path / f"{number}.pkl"))
        Path(paths[-1]).write_bytes(content)
    torch.save({"a": Calls(os.system, f"touch {planted}")}, tmp_path / "z.pt")
    paths.append(str(tmp_path / "z.pt"))
    done = subprocess.run([sys.executable, "-c", WATCHED, *paths], capture_output=True, text=True, check=True)
    told, bad = json.loads(done.stdout)
    assert bad == []
    assert told[:2] == ["read", "read"]
    assert told[2::2] == ["refused"] * (len(paths) - 1)
    assert not planted.exists()


def test_names_are_records_and_nothing_else():
    seen: Counter[str] = Counter()
    value = unpickled(io.BytesIO(pickle.dumps({"a": Calls(os.getcwd)})), Budget(100), seen)
    assert isinstance(value["a"], Record)
    assert value["a"].name == Name("posix", "getcwd")
    assert seen == {"posix.getcwd": 1}


def test_which_names_are_hostile():
    harmless = ["collections.OrderedDict", "builtins.set", "torch._utils._rebuild_tensor_v2", "argparse.Namespace",
                "numpy.core.multiarray._reconstruct", "dnnlib.tflib.network.Network", "_codecs.encode"]  # fmt: skip
    bad = ["os.system", "builtins.getattr", "builtins.eval", "torch.os.system", "__main__.A", "subprocess.Popen",
           "builtins.object.__reduce__", "a.__globals__", "nt.system", "__builtin__.eval", ".x"]  # fmt: skip
    assert hostile(harmless) == []
    assert hostile(bad) == sorted(bad)


def test_a_file_larger_than_the_memory(tmp_path, monkeypatch):
    path = honest(tmp_path)["pickle"]
    monkeypatch.setattr("organza.hub.contents.available_memory", lambda: path.stat().st_size * 2)
    refused(path, "three times as much memory")
