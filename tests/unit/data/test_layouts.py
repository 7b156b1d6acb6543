"""Label maps: read as numbers, refused with the file and the number, shown to networks as planes."""

import io

import numpy as np
import pytest
import torch
from engine_helpers import CPU
from PIL import Image

from organza.config import ConfigError, Data
from organza.data.degrade import degradation
from organza.data.layouts import planes, read_layout
from organza.data.pairs import open_pairs
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
    (streets / "trainA" / "05.png").write_bytes(b"no image")
    with pytest.raises(ConfigError, match="cannot be read"):
        open_pairs(data(streets), True)
    with pytest.raises(ConfigError, match="takes 2 to 254"):
        open_pairs(Data(source=str(streets), layout_classes=300), True)
    with pytest.raises(ConfigError, match="a folder of their own"):
        open_pairs(Data(source="emoji", layout_classes=3), True)


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
