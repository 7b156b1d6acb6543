"""Label maps: read as numbers, refused with the file and the number, shown to networks as planes."""

import io

import numpy as np
import pytest
import torch
from engine_helpers import CPU, reduced
from PIL import Image

import organza
from organza.cli.translate import main as translate
from organza.config import ConfigError, Data
from organza.data.degrade import degradation
from organza.data.layouts import in_colours, open_layouts, planes, read_layout, read_map
from organza.data.listing import list_folder
from organza.data.pairs import open_pairs
from organza.data.prepare import Preparation
from organza.data.progress import SILENT
from organza.draws import Draws
from organza.hub.translator import Translator
from organza.models import translator
from organza.report.grid import before_after
from organza.training.batches import Batches

SIDE = 32


@pytest.fixture
def streets(tmp_path):
    """12 pairs: palette maps of the classes 0 to 3 with some 255, and pictures."""
    random = np.random.RandomState(0)
    for i in range(12):
        numbers = random.randint(0, 4, (SIDE, SIDE)).astype(np.uint8)
        numbers[0, 0] = 255
        save(numbers, tmp_path / "trainA" / f"{i:02}.png", palette=i % 2 == 0)
        (tmp_path / "trainB").mkdir(exist_ok=True)
        Image.fromarray(random.randint(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)).save(tmp_path / f"trainB/{i:02}.png")
    return tmp_path


def save(numbers, path, palette=True):
    path.parent.mkdir(exist_ok=True)
    image = Image.fromarray(numbers)
    if palette:
        image = image.convert("P")
        image.putdata(numbers.flatten().tolist())
        image.putpalette([7 * k % 256 for k in range(768)])
    image.save(path)


def data(path, **more):
    return Data(source=str(path), layout_classes=4, **more)


def test_planes_are_one_at_their_number_and_nowhere_for_255():
    maps = torch.tensor([[[[0, 2], [255, 1]]]], dtype=torch.uint8)
    found = planes(maps, 3)
    assert found.dtype == torch.float32
    assert found[0].tolist() == [[[1, 0], [0, 0]], [[0, 0], [0, 1]], [[0, 1], [0, 0]]]


def test_palettes_and_greys_are_numbers_and_pairs_stay_together(streets):
    store = open_pairs(data(streets), True)
    whole = torch.cat([store.sources, store.test.sources]) if store.test else store.sources
    assert whole.dtype == torch.uint8
    assert whole.shape == (12, 1, SIDE, SIDE)
    assert store.images.shape[1:] == (3, SIDE, SIDE)
    assert store.paired
    random = np.random.RandomState(0)
    for row in whole:
        numbers = random.randint(0, 4, (SIDE, SIDE))
        random.randint(0, 256, (SIDE, SIDE, 3))
        numbers[0, 0] = 255
        assert torch.equal(row[0].long(), torch.from_numpy(numbers).long())


def test_maps_are_resized_to_the_nearest_pixel(streets):
    store = open_pairs(data(streets, resolution=(16, 16)), True)
    assert store.sources.shape[2:] == store.images.shape[2:] == (16, 16)
    assert set(store.sources.unique().tolist()) <= {0, 1, 2, 3, 255}


def test_the_other_direction_and_batches(streets):
    for folder, other in (("trainA", "x"), ("trainB", "trainA"), ("x", "trainB")):
        (streets / folder).rename(streets / other)
    store = open_pairs(data(streets, direction="BtoA"), True)
    assert store.sources.shape == (12, 1, SIDE, SIDE)
    batches = Batches(store, 4, 0, CPU, seed=0, data=data(streets, flip=True, direction="BtoA"), game="paired")
    batch = batches.next()
    assert batch.source.shape == (4, 4, SIDE, SIDE)
    assert set(batch.source.unique().tolist()) == {0.0, 1.0}
    assert (batch.source.sum(1) == 0).sum() == 4  # one unknown pixel each
    assert batch.real.min() >= -1


@pytest.mark.parametrize("number", [4, 254])
def test_a_number_beyond_the_classes_is_refused_with_its_file(streets, number):
    save(np.full((SIDE, SIDE), number, np.uint8), streets / "trainA" / "03.png")
    with pytest.raises(ConfigError, match=rf"trainA/03\.png has class {number}.*--data\.layout_classes {number + 1}"):
        open_pairs(data(streets), True)


def test_what_is_no_label_map(streets, tmp_path):
    Image.new("RGB", (SIDE, SIDE)).save(streets / "trainA" / "05.png")
    with pytest.raises(ConfigError, match=r"trainA/05\.png has colours \(RGB\)"):
        open_pairs(data(streets), True)
    save(np.zeros((8, 8), np.uint8), streets / "trainA" / "05.png")
    with pytest.raises(ConfigError, match=r"05\.png is 8x8"):
        open_pairs(data(streets), True)
    with pytest.raises(ConfigError, match="takes 2 to 254"):
        open_pairs(Data(source=str(streets), layout_classes=300), True)
    with pytest.raises(ConfigError, match="a folder of their own"):
        open_pairs(Data(source="emoji", layout_classes=3), True)


def test_broken_maps_are_left_out_with_their_pictures_and_told(streets, listener):
    whole = (streets / "trainA" / "05.png").read_bytes()
    (streets / "trainA" / "05.png").write_bytes(whole[: len(whole) // 2])
    (streets / "trainA" / "07.png").write_bytes(b"no image")
    store = open_pairs(data(streets), True, listener)
    assert (len(store), len(store.sources)) == (10, 10)
    maps, pictures = listener.notes
    assert maps.startswith("2 of 12 images are left out (trainA/05.png: ")
    assert "2 images of" in pictures
    assert "(05, 07)" in pictures
    sixth = np.array(Image.open(streets / "trainB" / "06.png"))
    assert np.array_equal(store.images[5].permute(1, 2, 0), sixth), "the others stay together"
    for file in (streets / "trainA").iterdir():
        file.write_bytes(b"no image")
    with pytest.raises(ConfigError, match=r"12 of 12 images are left out.*fetch them again"):
        open_pairs(data(streets), True)


def test_a_grey_file_is_read_as_it_is():
    file = io.BytesIO()
    Image.fromarray(np.arange(6, dtype=np.uint8).reshape(2, 3)).save(file, "PNG")
    assert read_layout(file).tolist() == [[0, 1, 2], [3, 4, 5]]


def test_a_translator_takes_maps_and_their_planes():
    from organza.config import Model

    model = Model(name="pix2pixhd", options={"width": 4, "downs": 2, "blocks": 1})
    torch.manual_seed(0)
    network = translator(model, (4, 16, 16), (3, 16, 16)).eval()
    found = Translator(network, model, (4, 16, 16), (3, 16, 16), layout_classes=4)
    maps = torch.randint(0, 4, (2, 1, 16, 16), dtype=torch.uint8)
    made = found.translate(maps)
    assert made.shape == (2, 3, 16, 16)
    assert made.dtype == torch.uint8
    images = found.translate(planes(maps, 4))
    assert (made.float() - images.mul(127.5).add(128).floor().clamp(0, 255)).abs().max() <= 1
    with pytest.raises(ConfigError, match="takes images"):
        found.translate(torch.zeros(1, 3, 16, 16, dtype=torch.uint8))


SEEN = [(10, 0, 0), (0, 200, 0), (0, 0, 250), (90, 90, 90)]  # the colours of the classes, and that of 255
NUMBERS = np.array([[0, 1, 2], [2, 1, 255]], np.uint8)


def painted(numbers, path, colours=SEEN, mode="P"):
    """A map as a palette, as RGB or as RGBA."""
    image = Image.fromarray(numbers).convert("P")
    image.putdata(numbers.flatten().tolist())
    colours = [*colours[:-1], *[(0, 0, 0)] * (256 - len(colours)), colours[-1]]
    image.putpalette([value for colour in colours for value in colour])
    path.parent.mkdir(parents=True, exist_ok=True)
    (image if mode == "P" else image.convert(mode)).save(path)
    return path


def test_files_are_read_as_in_training_and_in_the_colours_of_its_palette(tmp_path):
    listing = list_folder(painted(NUMBERS, tmp_path / "maps" / "a.png").parent, "train")
    found = open_layouts(listing, 3, Preparation(), SILENT)
    assert found.palette == tuple(SEEN)
    assert np.array_equal(found.maps[0, 0], NUMBERS)
    kinds = {
        "palette": painted(NUMBERS, tmp_path / "p.png"), "rgb": painted(NUMBERS, tmp_path / "c.png", mode="RGB"),
        "rgba": painted(NUMBERS, tmp_path / "t.png", mode="RGBA"), "grey": tmp_path / "g.png",
        "another palette": painted(NUMBERS, tmp_path / "o.png", SEEN[::-1]),
    }  # fmt: skip
    Image.fromarray(NUMBERS).save(kinds["grey"])
    for kind, path in kinds.items():
        assert np.array_equal(read_map(path, 3, found.palette), NUMBERS), kind
    one = Image.fromarray(np.array([[0, 255]], np.uint8)).convert("1")
    one.save(tmp_path / "one.png")
    assert read_map(tmp_path / "one.png", 2).tolist() == [[0, 1]]


def test_palettes_that_do_not_agree_are_none(tmp_path):
    def palette(*colours, classes=3):
        folder = tmp_path / "all"
        folder.mkdir(exist_ok=True)
        for file in folder.iterdir():
            file.unlink()
        for i, own in enumerate(colours):
            painted(NUMBERS, folder / f"{i}.png", own)
        return open_layouts(list_folder(folder, "train"), classes, Preparation(), SILENT).palette

    assert palette(SEEN, SEEN) == tuple(SEEN)
    assert palette(SEEN, SEEN[::-1]) == ()
    assert palette([(1, 1, 1), (1, 1, 1), (2, 2, 2), (3, 3, 3)]) == ()
    Image.fromarray(NUMBERS).save(tmp_path / "all" / "0.png")
    assert open_layouts(list_folder(tmp_path / "all", "train"), 3, Preparation(), SILENT).palette == ()


def test_a_file_that_is_none_is_refused_by_name(tmp_path):
    other = painted(NUMBERS, tmp_path / "other.png", [*SEEN[:2], (7, 8, 9), SEEN[3]], "RGB")
    with pytest.raises(ValueError, match=r"other\.png: the colour #070809 is none of the training's palette"):
        read_map(other, 3, tuple(SEEN))
    with pytest.raises(ValueError, match=r"other\.png has colours \(RGB\); .* numbers of classes; save it as such$"):
        read_map(other, 3)
    with pytest.raises(ValueError, match=r"p\.png has class 2, and this network knows 0 to 1"):
        read_map(painted(NUMBERS, tmp_path / "p.png"), 2, tuple(SEEN))
    (tmp_path / "broken.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"broken\.png: cannot identify"):
        read_map(tmp_path / "broken.png", 3, tuple(SEEN))


def test_a_run_translates_the_kinds_of_files_that_it_learned_from(tmp_path, capsys):
    random, data = np.random.RandomState(0), tmp_path / "data"
    for i in range(4):
        painted(random.randint(0, 3, (16, 16)).astype(np.uint8), data / "trainA" / f"{i}.png")
        (data / "trainB").mkdir(exist_ok=True)
        Image.fromarray(random.randint(0, 256, (16, 16, 3)).astype(np.uint8)).save(data / "trainB" / f"{i}.png")
    small = reduced("pix2pixhd") | {"data.layout_classes": 3, "images": 2, "batch": 2, "output.score": False}
    run = organza.train("pix2pixhd", data=str(data), out=tmp_path / "run", changes=small, device="cpu")
    found = organza.load(run.path)
    assert found.palette == tuple(SEEN[:3])
    numbers = random.randint(0, 3, (20, 24)).astype(np.uint8)
    maps = tmp_path / "maps"
    painted(numbers, maps / "a-palette.png")
    painted(numbers, maps / "b-colours.png", mode="RGB")
    Image.fromarray(numbers).save(maps / "c-grey.png")
    Image.fromarray(numbers + 1).save(maps / "d-beyond.png")
    Image.fromarray(random.randint(0, 256, (8, 8, 3)).astype(np.uint8)).save(maps / "e-photo.png")
    (maps / "f-film.mp4").write_bytes(b"a film")
    painted(numbers, maps / "g-palette.png", SEEN[::-1])
    with pytest.raises(SystemExit) as left:
        translate([str(maps), "--model", str(run.path), "--out", str(tmp_path / "made")])
    assert left.value.code == 1
    told = capsys.readouterr()
    for words in ("d-beyond.png has class 3", "e-photo.png: the colour", "f-film.mp4 is a film"):
        assert words in told.err + told.out
    made = {file.name[0]: np.array(Image.open(file)) for file in sorted((tmp_path / "made").glob("*.png"))}
    assert sorted(made) == ["a", "b", "c", "g"]
    direct = found.translate(torch.from_numpy(numbers)[None, None])[0].permute(1, 2, 0).numpy()
    assert all(np.array_equal(pixels, direct) for pixels in made.values())
    page = np.array(Image.open(tmp_path / "made" / "before-after" / "1-before.jpg")).astype(int)
    seen = np.array(SEEN)[numbers]  # a JPEG keeps no single pixels
    assert np.abs(page.mean((0, 1)) - seen.mean((0, 1))).max() < 25, "the page shows the colours of the files"
    with pytest.raises(ConfigError, match="class 3; it takes 0 to 2, or 255"):
        found.translate(torch.from_numpy(numbers + 1)[None, None])


def test_regions_are_the_nearest_corners_of_the_cube():
    images = torch.full((1, 3, 8, 8), -1.0)
    images[:, 0, :, 4:] = 1.0  # red on the right: corner 1
    images[:, 2, 4:] = 0.5  # blue below: corners 4 and 5
    regions = degradation("regions")
    found = regions.make(images, Draws(torch.zeros(1, dtype=torch.long)))
    assert tuple(found.shape[1:]) == regions.shape((3, 8, 8)) == (8, 8, 8)
    assert (found.sum(1) == 1).all()
    corner = found.argmax(1)[0]
    assert [int(corner[y, x]) for y, x in ((0, 0), (0, 7), (7, 0), (7, 7))] == [0, 1, 4, 5]


def test_maps_are_shown_in_colours():
    maps = planes(torch.arange(6, dtype=torch.uint8).view(1, 1, 1, 6).expand(1, 1, 6, 6), 6)
    shown = np.array(before_after(maps, torch.zeros(1, 3, 6, 6), None, 3))
    assert len({tuple(pixel) for pixel in shown.reshape(-1, 3)}) >= 6
    numbers = np.array([[0, 3, 255]], np.uint8)
    assert in_colours(numbers, 6, ())[:, 0].T.tolist() == [[255, 64, 64], [0, 191, 191], [0, 0, 0]]
    assert in_colours(numbers, 4, tuple(SEEN))[:, 0].T.tolist() == [[10, 0, 0], [90, 90, 90], [0, 0, 0]]
