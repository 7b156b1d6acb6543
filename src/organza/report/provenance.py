"""The mark of a generated PNG or GIF: XMP metadata that says "made by a trained model", which one, from which seed.

Metadata is lost in screenshots and most uploads; it informs the honest reader and stops nobody.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from PIL import Image
from PIL.PngImagePlugin import PngInfo

import organza

if TYPE_CHECKING:
    from organza.hub.gan import GAN

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
"""The IPTC's word for media that a trained model made."""
CHANGED_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
"""Its word for media that a trained model changed, such as an enlarged photograph."""

_IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_XMP = "http://ns.adobe.com/xap/1.0/"
_OWN = "urn:organza:provenance:1"
_PACKET = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="" xmlns:Iptc4xmpExt="{iptc}" xmlns:xmp="{xmp}" xmlns:organza="{own}">
   <Iptc4xmpExt:DigitalSourceType>{source}</Iptc4xmpExt:DigitalSourceType>
   <xmp:CreatorTool>organza {version}</xmp:CreatorTool>
   <organza:model>{model}</organza:model>
   <organza:sha256>{sha256}</organza:sha256>
   <organza:seed>{seed}</organza:seed>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>"""


def provenance(model: str, sha256: str, seed: int | None, source_type: str = SOURCE_TYPE) -> PngInfo:
    """The chunk for `Image.save(..., pnginfo=...)`: the generator's name (its recipe), its weights' hash, the seed.

    `source_type` is `SOURCE_TYPE` or `CHANGED_TYPE`. Raises ValueError for a name that could be a path (of a machine or
    a user) and for a hash that is not hexadecimal.
    """
    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", packet(model, sha256, seed, source_type))
    return info


def mark_of(gan: GAN, seed: int | None, *, marked: bool = True) -> PngInfo | None:
    """The chunk for a picture of a GAN; None where no mark is wanted."""
    return provenance(name_of(gan), gan.sha256, seed) if marked else None


def name_of(gan: GAN) -> str:
    """How a mark calls a GAN: by its recipe, in which nothing can be a path."""
    return re.sub(r"[/\\~@]", "-", gan.recipe).strip() or gan.model.name


def packet(model: str, sha256: str, seed: int | None, source_type: str = SOURCE_TYPE) -> str:
    """The mark itself, XMP. Raises as `provenance` does."""
    if not model.strip() or re.search(r"[/\\~@]", model):
        raise ValueError(f"the model's name in a picture is '{model}'; it takes the recipe's name, never a path")
    if not re.fullmatch(r"[0-9a-f]{8,64}", sha256):
        raise ValueError(f"the model's hash in a picture is '{sha256}'; it takes 8 to 64 hexadecimal digits")
    return _PACKET.format(
        iptc=_IPTC,
        xmp=_XMP,
        own=_OWN,
        source=source_type,
        version=escape(organza.__version__),
        model=escape(model),
        sha256=sha256,
        seed="" if seed is None else int(seed),
    )


def sentence(mark: str) -> str:
    """A mark in plain words, for formats without XMP: the comment of an MP4."""
    found = _known(_properties(mark))
    assert found is not None
    return (f"made by a trained model ({found['source_type']}): {found['tool']}, model {found['model']}, "
            f"sha256 {found['sha256']}, seed {found['seed']}")  # fmt: skip


def into_gif(gif: bytes, mark: str) -> bytes:
    """A GIF with the mark as the application extension that XMP has there, behind its palette and its loop."""
    assert gif[:6] in (b"GIF87a", b"GIF89a")
    at = 13 + (3 * 2 ** ((gif[10] & 7) + 1) if gif[10] & 128 else 0)
    at += 19 if gif[at + 3 : at + 14] == b"NETSCAPE2.0" else 0
    trailer = bytes([1, *range(255, -1, -1), 0])  # wherever a reader of blocks falls into the text, it gets out here
    return b"GIF89a" + gif[6:at] + b"\x21\xff\x0bXMP DataXMP" + mark.encode() + trailer + gif[at:]


def read_provenance(path: Path) -> dict[str, Any] | None:
    """The mark of a PNG or GIF: `source_type`, `tool`, `model`, `sha256` (text or None) and `seed` (int or None).

    None where the picture has no (readable) mark; another program's mark may lack all but `source_type`. Raises
    FileNotFoundError and Pillow's UnidentifiedImageError.
    """
    with Image.open(path) as image:
        packet = image.info.get("XML:com.adobe.xmp") or image.info.get("xmp") or ""
        if image.format == "GIF":
            packet = _in_gif(path)
    text = packet.decode("utf-8", "replace") if isinstance(packet, bytes) else str(packet)
    return _known(_properties(text))


def _in_gif(path: Path) -> bytes:
    with path.open("rb") as file:
        start = file.read(65_536)
    found = re.search(rb"XMP DataXMP(.*?<\?xpacket end=[^>]*>)", start, re.DOTALL)
    return found[1] if found else b""


def _known(found: dict[str, str]) -> dict[str, Any] | None:
    if f"{{{_IPTC}}}DigitalSourceType" not in found:
        return None
    seed = found.get(f"{{{_OWN}}}seed", "")
    return {
        "source_type": found[f"{{{_IPTC}}}DigitalSourceType"],
        "tool": found.get(f"{{{_XMP}}}CreatorTool"),
        "model": found.get(f"{{{_OWN}}}model"),
        "sha256": found.get(f"{{{_OWN}}}sha256"),
        "seed": int(seed) if re.fullmatch(r"-?\d{1,20}", seed) else None,
    }


def _properties(packet: str) -> dict[str, str]:
    """Every element and attribute with a text; none of a packet that declares entities, which can exhaust memory."""
    packet = packet.strip("\x00\ufeff \n")
    if not packet or "<!" in packet:
        return {}
    try:
        root = ElementTree.fromstring(packet)
    except ElementTree.ParseError:
        return {}
    found: dict[str, str] = {}
    for element in root.iter():
        found |= element.attrib
        if element.text and element.text.strip():
            found[element.tag] = element.text.strip()
    return found
