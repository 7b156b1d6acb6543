import re

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from organza.report.grid import save_png
from organza.report.provenance import SOURCE_TYPE, provenance, read_provenance

HASH = "0123456789abcdef" * 4


def marked(path, *args):
    save_png(Image.new("L", (4, 4)), path, provenance(*args))
    return read_provenance(path)


def test_the_mark_comes_back(tmp_path):
    mark = marked(tmp_path / "a.png", "my <gan> & co", HASH, 2**40)
    assert mark["source_type"] == SOURCE_TYPE
    assert mark["model"] == "my <gan> & co"
    assert mark["sha256"] == HASH
    assert mark["seed"] == 2**40
    assert re.fullmatch(r"organza \d+\.\d+\.\d+", mark["tool"])
    assert marked(tmp_path / "b.png", "dcgan", HASH, None)["seed"] is None


def test_the_picture_holds_the_iptc_word_and_no_path(tmp_path):
    marked(tmp_path / "a.png", "dcgan", HASH, 1)
    content = (tmp_path / "a.png").read_bytes()
    assert b"iTXtXML:com.adobe.xmp" in content
    assert SOURCE_TYPE.encode() in content
    assert str(tmp_path).encode() not in content


@pytest.mark.parametrize("name", ["/home/ann/runs/a", "ann/model", "C:\\runs", "~ann", "ann@host", " "])
def test_a_name_that_tells_a_place_or_a_person_is_refused(name):
    with pytest.raises(ValueError, match="never a path"):
        provenance(name, HASH, 0)


@pytest.mark.parametrize("digest", ["", "xyz", HASH + "0", "../../etc"])
def test_a_hash_is_hexadecimal(digest):
    with pytest.raises(ValueError, match="hexadecimal"):
        provenance("dcgan", digest, 0)


HOSTILE = ['<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "<a><b></a>", "", "not xml", "<a/>"]


@pytest.mark.parametrize("packet", HOSTILE)
def test_other_and_hostile_metadata_is_no_mark(tmp_path, packet):
    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", packet)
    save_png(Image.new("L", (4, 4)), tmp_path / "a.png", info)
    assert read_provenance(tmp_path / "a.png") is None


def test_a_mark_of_another_program_is_read(tmp_path):
    info = PngInfo()
    space = 'xmlns:i="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'
    info.add_itxt("XML:com.adobe.xmp", f'<x><d {space} i:DigitalSourceType="{SOURCE_TYPE}"/></x>')
    save_png(Image.new("L", (4, 4)), tmp_path / "a.png", info)
    mark = read_provenance(tmp_path / "a.png")
    assert mark == {"source_type": SOURCE_TYPE, "tool": None, "model": None, "sha256": None, "seed": None}
