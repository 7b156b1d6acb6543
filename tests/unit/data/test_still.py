"""Pictures of every kind that users have, read and written with what makes them what they are."""

import io
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms, features

from organza.data import png16
from organza.data.still import Still, read_still, save_still


def colours(height=6, width=9, channels=3):
    values = np.random.default_rng(0).integers(0, 256, (height, width, channels), np.uint8)
    return Image.fromarray(values[..., 0] if channels == 1 else values)


def ramp(kind, most):
    return Image.fromarray(np.linspace(0, most, 54).astype(kind).reshape(6, 9))


def written(path, image, **how):
    image.save(path, **how)
    return path


def test_a_plain_picture_is_its_pixels(tmp_path):
    found = read_still(written(tmp_path / "a.png", colours()))
    assert np.array_equal(found.pixels, np.asarray(colours()).transpose(2, 0, 1))
    assert (found.alpha, found.notes, found.size) == (None, (), (6, 9))


@pytest.mark.parametrize(("name", "make", "shape", "kind", "veiled"), [
    ("grey.png", lambda: colours(channels=1), (1, 6, 9), np.uint8, False),
    ("palette.png", lambda: colours().quantize(8), (3, 6, 9), np.uint8, False),
    ("rgba.png", lambda: colours(channels=4), (3, 6, 9), np.uint8, True),
    ("la.png", lambda: colours().convert("LA"), (3, 6, 9), np.uint8, True),
    ("cmyk.jpg", lambda: colours().convert("CMYK"), (3, 6, 9), np.uint8, False),
    ("deep.png", lambda: ramp(np.uint16, 60_000), (1, 6, 9), np.uint16, False),
    ("float.tif", lambda: ramp(np.float32, 1), (1, 6, 9), np.uint16, False),
    ("one.png", lambda: colours(1, 1), (3, 1, 1), np.uint8, False),
    ("bits.png", lambda: colours(channels=1).convert("1"), (1, 6, 9), np.uint8, False),
])  # fmt: skip
def test_every_kind_is_read(tmp_path, name, make, shape, kind, veiled):
    found = read_still(written(tmp_path / name, make()))
    assert found.pixels.shape == shape
    assert found.pixels.dtype == kind
    assert (found.alpha is not None) == bool(veiled)
    save_still(found, tmp_path / "again.png")
    again = read_still(tmp_path / "again.png")
    assert np.array_equal(again.pixels, found.pixels)
    assert again.pixels.dtype == kind
    assert not list(tmp_path.glob(".*"))


def test_a_palette_with_a_transparent_colour_is_transparent(tmp_path):
    image = Image.new("P", (2, 1), 0)
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((1, 0), 1)
    found = read_still(written(tmp_path / "a.png", image, transparency=1))
    assert found.alpha is not None
    assert found.alpha[0, 0].tolist() == [255, 0]


@pytest.mark.parametrize("turn", range(1, 9))
def test_it_stands_upright(tmp_path, turn):
    exif = Image.Exif()
    exif[274] = turn
    found = read_still(written(tmp_path / "a.png", colours(), exif=exif))
    x = np.asarray(colours())
    expected = {1: x, 2: x[:, ::-1], 3: x[::-1, ::-1], 4: x[::-1], 5: x.transpose(1, 0, 2),
                6: np.rot90(x, -1), 7: x[::-1, ::-1].transpose(1, 0, 2), 8: np.rot90(x)}[turn]  # fmt: skip
    assert np.array_equal(found.pixels, expected.transpose(2, 0, 1))


def test_of_a_film_the_first_frame_is_taken_and_told(tmp_path):
    one, two = Image.new("RGB", (8, 8), "red"), Image.new("RGB", (8, 8), "blue")
    found = read_still(written(tmp_path / "a.gif", one, save_all=True, append_images=[two]))
    assert found.pixels[:, 0, 0].tolist() == [255, 0, 0]
    assert found.notes == ("a.gif: only the first of its 2 frames is taken",)


@pytest.mark.parametrize(("content", "words"), [
    (lambda whole: whole[: len(whole) // 2], "truncated"), (lambda whole: b"", "no picture"),
    (lambda whole: b"hello", "no picture"), (lambda whole: whole[:40] + b"\0" * 30 + whole[70:], "a.png: "),
])  # fmt: skip
def test_a_broken_file_is_named_with_the_reason(tmp_path, content, words):
    path = written(tmp_path / "a.png", colours(40, 40))
    path.write_bytes(content(path.read_bytes()))
    with pytest.raises(ValueError, match=words):
        read_still(path)


def test_whatever_pillow_raises_is_a_reason(tmp_path):
    """A GIF cut at any length: the first frame as it is, or the file's name with a reason, and nothing else."""
    path = written(tmp_path / "a.gif", colours(20, 30), save_all=True, append_images=[colours(30, 20)])
    whole, first, reasons = path.read_bytes(), read_still(path), []
    for length in range(40, len(whole) - 1):  # at some of them Pillow raises an IndexError
        path.write_bytes(whole[:length])
        try:
            assert read_still(path).pixels.shape == first.pixels.shape
        except ValueError as problem:
            reasons.append(str(problem))
    assert 0 < len(reasons) < len(whole) - 41
    assert all(reason.startswith("a.gif: ") and len(reason) > len("a.gif: ") for reason in reasons)


def test_floats_of_another_range_are_refused(tmp_path):
    image = Image.fromarray(np.full((4, 4), 7.5, np.float32))
    with pytest.raises(ValueError, match=r"7\.5"):
        read_still(written(tmp_path / "a.tif", image))


def test_a_profile_is_kept(tmp_path):
    if not features.check("littlecms2"):
        pytest.skip("Pillow without littlecms")
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    found = read_still(written(tmp_path / "a.png", colours(), icc_profile=profile))
    for pixels in (found.pixels, found.pixels.astype(np.uint16) * 257):
        save_still(Still(pixels, profile=found.profile), tmp_path / "b.png")
        with Image.open(tmp_path / "b.png") as image:
            assert image.info["icc_profile"] == profile


def deep(channels, height=7, width=5):
    return np.random.default_rng(1).integers(0, 65536, (height, width, channels), np.uint16)


def like(seen, channels):
    """Pillow has RGBA for grey with transparency."""
    return seen[..., [0, 3]] if channels == 2 else seen


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_sixteen_bits_go_out_and_come_in(channels):
    pixels = deep(channels)
    content = png16.encode(pixels)
    assert png16.is_deep(content) == (channels > 1)
    with Image.open(io.BytesIO(content)) as image:  # Pillow agrees on the high bytes
        image.load()
        seen = np.array(image)
    if channels == 1:
        assert np.array_equal(seen, pixels[..., 0])
        return
    assert np.array_equal(like(seen, channels), pixels >> 8)
    assert np.array_equal(png16.decode(content), pixels)


def filtered(pixels, kinds):
    """A PNG whose rows have these filters, as the standard describes them."""
    height, _, channels = pixels.shape
    rows, size, raw = pixels.astype(">u2").reshape(height, -1).view(np.uint8), 2 * channels, bytearray()
    for y, kind in enumerate(kinds):
        raw.append(kind)
        for i in range(rows.shape[1]):
            a = int(rows[y, i - size]) if i >= size else 0
            b = int(rows[y - 1, i]) if y else 0
            c = int(rows[y - 1, i - size]) if y and i >= size else 0
            near = min((abs(b - c), 0, a), (abs(a - c), 1, b), (abs(a + b - 2 * c), 2, c))[2]
            raw.append((int(rows[y, i]) - (0, a, b, (a + b) // 2, near)[kind]) & 255)
    content = png16.encode(pixels)
    start = content.index(b"IDAT") - 4
    body = zlib.compress(bytes(raw))
    crc = zlib.crc32(b"IDAT" + body).to_bytes(4, "big")
    return content[:start] + len(body).to_bytes(4, "big") + b"IDAT" + body + crc + content[-12:]


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_every_filter_is_undone(channels):
    pixels = deep(channels, height=8)
    content = filtered(pixels, [4, 3, 2, 1, 0, 4, 3, 1])
    with Image.open(io.BytesIO(content)) as image:
        assert np.array_equal(like(np.array(image), channels), pixels >> 8)
    assert np.array_equal(png16.decode(content), pixels)


@pytest.mark.parametrize(("change", "words"), [
    (lambda c: c[:-30], "truncated"), (lambda c: c[:60] + bytes([c[60] ^ 1]) + c[61:], "checksum"),
    (lambda c: c[:16] + b"\x7f\xff\xff\xff" + c[20:], "too large"),
])  # fmt: skip
def test_a_broken_deep_png_is_refused(tmp_path, change, words):
    (tmp_path / "a.png").write_bytes(change(png16.encode(deep(3, 20, 20))))
    with pytest.raises(ValueError, match=words):
        png16.decode((tmp_path / "a.png").read_bytes())


def test_sixteen_bits_in_colour_are_read_and_written(tmp_path):
    pixels = deep(4)
    (tmp_path / "a.png").write_bytes(png16.encode(pixels))
    found = read_still(tmp_path / "a.png")
    assert np.array_equal(found.pixels, pixels[..., :3].transpose(2, 0, 1))
    assert found.alpha is not None
    assert np.array_equal(found.alpha[0], pixels[..., 3])
    save_still(found, tmp_path / "b.png")
    assert np.array_equal(read_still(tmp_path / "b.png").pixels, found.pixels)


def test_a_picture_of_too_many_pixels_is_told_what_to_do(tmp_path):
    head = b"IHDR" + (20_000).to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    content = b"\x89PNG\r\n\x1a\n"
    for part in (head, b"IDAT"):
        content += (len(part) - 4).to_bytes(4, "big") + part + zlib.crc32(part).to_bytes(4, "big")
    (tmp_path / "a.png").write_bytes(content)
    words = "a.png: it has 400,000,000 pixels, and up to 178,956,970 are read; cut it into parts, or make it smaller"
    with pytest.raises(ValueError, match=words):
        read_still(tmp_path / "a.png")
