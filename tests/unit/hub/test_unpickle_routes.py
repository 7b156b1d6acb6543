"""Further routes of hostile files: rare instructions, lies about sizes, crafted tensors, arrays, zips and arguments."""

import contextlib
import io
import os
import pickle
import resource
import struct
import time
import zipfile

import foreign_files as files
import pytest
import torch

import organza
from organza.hub.convert import listing
from organza.hub.foreign import read
from organza.hub.tensors import tensor_of
from organza.training.checkpoint import DamagedError

REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"
NET = b"ctorch.nn\nModule\n)R"


def text(words) -> bytes:
    content = words if isinstance(words, bytes) else words.encode()
    return b"X" + struct.pack("<I", len(content)) + content


def eight(number: int) -> bytes:
    return struct.pack("<Q", number)


def row(*numbers: int) -> bytes:
    return b"(" + b"".join(b"I%d\n" % number for number in numbers) + b"t"


INSTRUCTIONS = {
    "OBJ of nothing": (b"(o.", "a call of nothing"),
    "OBJ of a number": (b"(K\x01o.", "the result of a call"),
    "INST without a container": (b"ios\nsystem\n.", "no container is open"),
    "STACK_GLOBAL of numbers": (b"\x80\x04K\x01K\x02\x93.", "a name that is no text"),
    "STACK_GLOBAL of bytes": (b"\x80\x04C\x02osC\x06system\x93.", "a name that is no text"),
    "STACK_GLOBAL of a dict in the memo": (b"\x80\x04}\x94h\x00h\x00\x93.", "a name that is no text"),
    "STACK_GLOBAL of an open container": (b"\x80\x04((\x93.", "in the place of a value"),
    "STACK_GLOBAL of two lines": (b"\x80\x04" + text("a\nb") + text("c") + b"\x93.", "steers a terminal"),
    "extension code 2": (b"\x80\x02\x83\x01\x00.", "the instruction EXT2"),
    "extension code below zero": (b"\x80\x02\x84\xff\xff\xff\xff.", "the instruction EXT4"),
    "BUILD with __setstate__": (
        b"}" + text("G_ema") + NET + b"}" + text("__setstate__") + b"cos\nsystem\nsbs.", "would call os.system",
    ),
    "BUILD of slots": (
        b"}" + text("G_ema") + NET + b"(N}" + text("__class__") + b"ca\nb\nstbs.", "in the place of a network",
    ),
    "BUILD of a name": (b"ca\nb\n}b.", "a state of what has none"),
    "BUILD of an open container": (b"(}b.", "a state of what has none"),
    "BUILD with itself": (b"ca\nB\n)Rq\x00h\x00b.", "an object a.B"),
    "NEWOBJ_EX without a tuple": (b"\x80\x04ca\nB\n]}\x92.", "a call without arguments"),
    "NEWOBJ_EX with words": (b"\x80\x04cos\nsystem\n)}" + text("a") + b"K\x01s\x92.", "would call os.system"),
    "PERSID without storages": (b"P1\n.", "a reference to outside"),
    "BINPERSID without storages": (
        b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + b"K\x04tQ.", "to outside",
    ),
    "BINPERSID of an open container": (b"(Q.", "in the place of a value"),
    "a number of gigabytes that is none": (b"\x8b" + struct.pack("<i", 2**31 - 1) + b"\x01" * 99 + b".", "long4"),
    "a number of minus one byte": (b"\x8b" + struct.pack("<i", -1) + b".", "long4"),
    "a frame beyond the file": (b"\x80\x04\x95" + eight(2**63) + b"}.", "ends too early"),
    "a frame of one byte too many": (b"\x80\x04\x95" + eight(3) + b"}.", "ends too early"),
    "bytes of a petabyte": (b"\x80\x05\x96" + eight(2**50) + b"abcd.", "bytearray8"),
    "bytes beyond all sizes": (b"\x80\x05\x96" + eight(2**64 - 1) + b"a.", "bytearray8"),
    "a key of bytes that change": (b"\x80\x05}\x96" + eight(4) + b"abcdNs.", "a key of the type bytearray"),
    "a buffer from outside": (b"\x80\x05\x97.", "the instruction NEXT_BUFFER"),
    "a buffer made read-only": (b"\x80\x05N\x98.", "the instruction READONLY_BUFFER"),
    "protocol 6": (b"\x80\x06}.", "protocol 6 of pickles"),
    "protocol 255": (b"\x80\xff}.", "protocol 255 of pickles"),
    "memo at 2^31": (b"]r" + struct.pack("<I", 2**31) + b"j" + struct.pack("<I", 2**31 + 1) + b".", "KeyError"),
    "memo below zero": (b"]p-1\n.", "kept in no place"),
    "memo of 5000 digits": (b"]p" + b"9" * 5000 + b"\n.", "damaged pickle"),
    "text that is no UTF-8": (b"X\x02\x00\x00\x00\xff\xfe.", "UnicodeDecodeError"),
    "a name of half a letter": (b"\x80\x04" + text(b"\xed\xa0\x80") + text("b") + b"\x93.", "steers a terminal"),
    "a torn escape": (b"V\\u12\n.", "damaged pickle"),
    "text without quotes": (b"Sabc\n.", "damaged pickle"),
    "a key that is no number": (b"}Fnan\nNs.", "a key of the type float"),
    "a set of lists": (b"\x80\x04\x8f(]\x90.", "a key of the type list"),
    "pairs of one": (b"ccollections\nOrderedDict\n](K\x01tae\x85R.", "damaged pickle"),
    "a name of megabytes again and again": (
        b"\x80\x04" + text("x" * 5_000_000) + b"\x94" + b"h\x00h\x00\x930" * 90_000 + b"N.", "10,000,000 letters",
    ),
    "deep tuples as a state": (b"}" + text("G_ema") + NET + b"N" + b"\x85" * 350_000 + b"bs.", "in the place of a net"),
    "deep tuples as a reference": (b"N" + b"\x85" * 350_000 + b"Q.", "a reference to outside"),
    "calls of calls": (b"}" + text("G_ema") + b"ca\nb\n" + b")R" * 180_000 + b"s.", "in the place of a network"),
    "modules of themselves": (
        b"}" + text("G_ema") + NET + b"q\x01}" + text("_modules") + b"}" + text("a") + b"h\x01ssbs.", "without end",
    ),
}  # fmt: skip


def stored(kind: bytes = b"FloatStorage") -> bytes:
    """A storage of four numbers in a pickle, of the named type."""
    file, numbers = io.BytesIO(), torch.zeros(4).untyped_storage()
    torch.save(torch.storage.TypedStorage(wrap_storage=numbers, dtype=torch.float32, _internal=True), file,
               _use_new_zipfile_serialization=False)  # fmt: skip
    content = file.getvalue().replace(b"FloatStorage", kind)
    return b"ctorch.storage\n_load_from_bytes\n(B" + struct.pack("<I", len(content)) + content + b"tR"


def tensor(
    offset: bytes = b"K\x00", size: bytes = row(4), stride: bytes = row(1), storage: bytes | None = None
) -> bytes:
    return b"}" + text("a") + REBUILD + b"(" + (storage or stored()) + offset + size + stride + b"\x89}tRs."


def numpy_type(code: str, state: bytes = b"") -> bytes:
    return b"cnumpy\ndtype\n(" + text(code) + b"tR" + state


def array(dtype: bytes, size: bytes = row(1), content: bytes = b"C\x04abcd") -> bytes:
    made = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tC\x01btR"
    return b"}" + text("a") + made + b"(K\x01" + size + dtype + b"\x89" + content + b"tbs."


def of_state(order: bytes, inner: bytes = b"N", fields: bytes = b"NN") -> bytes:
    return b"(K\x03" + order + inner + fields + b"J\xff\xff\xff\x7fK\x01K\x00tb"


TENSORS = {
    "an offset of 2^62": (tensor(b"I%d\n" % 2**62), "where there are 4"),
    "an offset that is a truth value": (tensor(b"\x88", row(1)), "the shape of a tensor"),
    "no offset": (tensor(b"N", row(1)), "the shape of a tensor"),
    "a stride of 2^39": (tensor(size=row(2), stride=row(2**39)), "where there are 4"),
    "a stride below zero": (tensor(size=row(2), stride=row(-1)), "the shape of a tensor"),
    "sides without end of which one is zero": (tensor(size=row(0, 2**39, 2**39), stride=row(1, 1, 1)), "other form"),
    "more strides than sides": (tensor(stride=row(1, 1)), "the shape of a tensor"),
    "sides in sides": (tensor(size=b"(" + row(4) + b"t"), "the shape of a tensor"),
    "one number beyond": (tensor(b"K\x04", b")", b")"), "where there are 4"),
    "a tensor in the place of its numbers": (tensor(storage=tensor()[7:-2]), "a tensor without numbers"),
    "bytes in the place of its numbers": (tensor(storage=b"C\x04abcd"), "a tensor without numbers"),
    "a storage that lies": (tensor(storage=stored().replace(b"K\x04", b"K\x7f")), "another length than it declares"),
    "a type that is none": (tensor(storage=stored(b"EvilStorage")), "numbers of the type torch.EvilStorage"),
    "quantised numbers": (tensor(storage=stored(b"QUInt8Storage")), "numbers of the type torch.QUInt8Storage"),
    "a parameter of nothing": (b"}" + text("a") + b"ctorch._utils\n_rebuild_parameter\n(NtRs.", "place of a tensor"),
    "an array of objects": (array(numpy_type("O8")), "something else than numbers"),
    "an array of objects that call": (
        array(numpy_type("O8"), content=b"](cos\nsystem\n(" + text("true") + b"tRe"), "would call os.system",
    ),
    "an order that is a list": (array(numpy_type("f4", of_state(b"]"))), "something else than numbers"),
    "an order that is a word": (array(numpy_type("f4", of_state(text("evil")))), "something else than numbers"),
    "a type of arrays": (
        array(numpy_type("f4", of_state(text("<"), b"(" + numpy_type("f4") + row(10**6) + b"t"))), "else than numbers",
    ),
    "a type of fields": (
        array(numpy_type("f4", of_state(text("<"), fields=b"(" + text("x") + b"t}"))), "something else than numbers",
    ),
    "a state that is a dict": (array(numpy_type("f4", b"}" + text("x") + b"Nsb")), "something else than numbers"),
    "a type by its name": (array(b"cnumpy\nfloat32\n"), "something else than numbers"),
    "numbers that no kind has": (array(numpy_type("f1")), "something else than numbers"),
    "an array that lies": (array(numpy_type("f4"), row(2**39)), "549,755,813,888 numbers"),
    "bytes by their number": (
        array(numpy_type("f4"), content=b"cbuiltins\nbytearray\n(I4000000000\ntR"), "in the place of bytes",
    ),
    "a buffer of nothing": (b"}" + text("a") + b"cnumpy.core.numeric\n_frombuffer\n(tRs.", "another form"),
}  # fmt: skip


ZERO = text("0")


def zipped(value: bytes | None = None, data: str = "archive/data/0", root: str = "archive/", key=ZERO, more=()):
    """What torch writes for a tensor of four numbers."""
    reference = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + key + text("cpu") + b"K\x04tQ"
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(f"{root}data.pkl", b"\x80\x02" + tensor(storage=reference) if value is None else value)
        for name in (data, *more):
            archive.writestr(name, b"\0" * 16)
    return file.getvalue()


def patched(place: int, content: bytes, mark: bytes = b"PK\x01\x02") -> bytes:
    """A zip with other bytes behind the last such mark."""
    whole = bytearray(zipped())
    start = whole.rfind(mark) + place
    whole[start : start + len(content)] = content
    return bytes(whole)


def four(number: int) -> bytes:
    return struct.pack("<I", number)


ZIPS = {
    "a root above": (zipped(data="../data/0", root="../"), "outside of its folder"),
    "a root of the machine": (zipped(data="/etc/data/0", root="/etc/"), "outside of its folder"),
    "a member above": (zipped(data="archive/data/../../x", key=text("../../x")), "outside of its folder"),
    "a key above": (zipped(key=text("../../../etc/passwd")), "another length than it declares"),
    "a key that is a list": (zipped(key=b"]"), "a storage without a name"),
    "two data.pkl": (zipped(more=["b/data.pkl"]), "no file of torch"),
    "a zip for a pickle": (zipped(zipped()), "damaged pickle"),
    "encrypted": (patched(8, b"\x01\x00"), "damaged zip"),
    "sizes of gigabytes": (patched(20, four(2**31) + four(2**31)), "larger than the file"),
    "a member beyond the file": (patched(42, four(2**31)), "damaged zip"),
    "a member that is another": (patched(42, four(0)), "damaged zip"),
    "a list beyond the file": (patched(16, four(2**31), b"PK\x05\x06"), "damaged zip"),
    "a way to pack that is none": (patched(10, b"\x63\x00"), "compressed members"),
    "very many members": (zipped(more=[f"archive/{i}" for i in range(60_000)]), "more than 50,000 members"),
}


@contextlib.contextmanager
def bounded(seconds: float = 5):
    """Within five seconds and 500 MB."""
    began, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert time.process_time() - began < seconds
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # KB


@pytest.mark.parametrize(
    ("content", "told"),
    [pytest.param(*case, id=name) for cases in (INSTRUCTIONS, TENSORS, ZIPS) for name, case in cases.items()],
)
def test_each_route_is_refused(tmp_path, monkeypatch, content, told):
    """With one plain line that names the file; listing ends well or with the same error."""
    monkeypatch.setattr(os, "system", lambda _: pytest.fail("executed"))
    path = tmp_path / "g.pkl"
    path.write_bytes(content)
    for use in (read, organza.load):
        with bounded(), pytest.raises(DamagedError, match=r"g\.pkl") as caught:
            use(path)
        assert told in str(caught.value)
        assert len(str(caught.value)) < 1_000
        assert "\n" not in str(caught.value)
    with bounded(), contextlib.suppress(DamagedError):
        assert sum(map(len, (words for _, words in listing(path)))) < 100_000


def test_the_same_forms_without_a_lie_are_read(tmp_path):
    """What stands beside the refused: a tensor, an array, a zip, a frame of the right length, a high place."""
    from organza.hub.contents import opened

    path, little = tmp_path / "g.pkl", b"(K\x03" + text("<") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    for content, shape in (
        (tensor(), (4,)), (tensor(b"K\x01", row(3, 1), row(1, 9)), (3, 1)), (zipped(), (4,)),
        (array(numpy_type("f4")), (1,)), (array(numpy_type("f4", little)), (1,)),
        (b"\x80\x05" + tensor(), (4,)), (b"\x80\x04\x95" + eight(len(tensor())) + tensor(), (4,)),
        (b"]r" + struct.pack("<I", 2**32 - 1) + b"0" + tensor(), (4,)),
    ):  # fmt: skip
        path.write_bytes(content)
        contents = opened(path)
        assert tensor_of(contents.value["a"], contents.budget).shape == shape


def nested(kind: type, depth: int = 60):
    """A few bytes, and as text without end."""
    value = kind()
    for _ in range(depth):
        value = kind((value, value))
    return value


@pytest.mark.parametrize("kind", [list, tuple])
@pytest.mark.parametrize("name", ["path", "conv_clamp", "mbstd_group_size", "num_layers", "cur_nimg"])
def test_arguments_that_are_text_without_end(tmp_path, kind, name):
    """In files that are honest but for one argument, of either generation."""
    value = nested(kind)
    data, more = ({**files.DATA, name: value}, {}) if name == "path" else (files.DATA, {})
    more = {"progress": {name: value}} if name == "cur_nimg" else more
    told = {} if name in ("path", "cur_nimg") else {name: value}
    two = files.generator2(res=8, base=16, most=4, z=3, w=3, layers=1)
    judge = files.discriminator2(res=8, base=16, most=4)
    three, _ = files.generator3(base=16, most=4)
    for generator in (two, three):
        path = files.snapshot(
            tmp_path / "g.pkl", ("Generator", generator, told), ("Discriminator", judge, told), data=data, **more
        )
        with bounded():
            if name == "conv_clamp" or (name == "num_layers" and generator is three):
                with pytest.raises(DamagedError, match=r"g\.pkl") as caught:
                    read(path)
                assert len(str(caught.value)) < 1_000
            else:
                assert read(path).generator is not None
        with bounded():
            assert sum(len(words) for _, words in listing(path)) < 100_000


def test_the_corpus_is_not_empty(tmp_path, monkeypatch):
    """Opened by pickle itself, one of them calls what it names."""
    called: list[str] = []
    monkeypatch.setattr(os, "system", lambda command="": called.append(command) or 0)
    content = b"cos\nsystem\n(" + text("true") + b"tR."
    pickle.loads(content)
    assert called == ["true"]
    path = tmp_path / "g.pkl"
    path.write_bytes(content)
    with pytest.raises(DamagedError, match=r"would call os\.system"):
        read(path)
    assert called == ["true"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\n<!DOCTYPE html><html><body>404</body></html>", "a web page and no weights"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "git lfs pull"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "a picture and no weights"),
        (b"", "it is empty"),
        (b"some words", "damaged pickle"),
    ],
)
def test_what_people_take_for_weights_is_called_by_its_name(tmp_path, content, told):
    (tmp_path / "network.pkl").write_bytes(content)
    with pytest.raises(DamagedError, match=told):
        organza.load(tmp_path / "network.pkl")
