"""The pictures of the report: each shows what was planted in a real run, and each drops out alone."""

import math
import shutil

import numpy as np
import pytest
import torch
from engine_helpers import write_data
from picture_helpers import OF_IMAGES, PLANE, case_of, drawn, missing, trained
from PIL import Image

import organza
from organza.config import ConfigError
from organza.health.evidence import high_frequencies
from organza.metrics import realism
from organza.report import pictures, players
from organza.report.drawn import Drawn
from organza.report.folder import read_folder
from organza.report.pictures import PICTURES, look_alikes, make_pictures
from organza.report.provenance import read_provenance

# What is there


def test_a_run_on_images_has_all_but_the_plane(digits):
    assert drawn(digits).keys() == PICTURES.keys()
    assert missing(digits) == PLANE
    about = read_folder(digits).pictures
    assert about["images"] == 64
    assert 0 < sum(entry["seconds"] for entry in about["pictures"]) <= about["seconds"]
    for name, entry in drawn(digits).items():
        if name not in PLANE:
            assert entry["told"].endswith(".")
            assert entry["protocol"]
            assert bool(entry["parts"]) != ("chart" in entry)
    assert "features of the network digits" in drawn(digits)["holes"]["protocol"]
    assert not list(digits.glob("pictures.*"))


def test_a_run_on_points_has_the_plane(ring):
    assert missing(ring) == OF_IMAGES
    for name in PLANE:
        for part in drawn(ring)[name]["parts"]:
            with Image.open(ring / "pictures" / part["file"]) as image:
                assert image.size == (448, 448)
                assert len(image.convert("RGB").getcolors(1 << 20) or []) > 20


def test_pictures_repeat_bit_by_bit(digits, ring, copy):
    for run in (digits, ring):
        again = copy(run)
        shutil.rmtree(again / "pictures")
        make_pictures(again)
        files = sorted(path.name for path in (run / "pictures").iterdir())
        assert files == sorted(path.name for path in (again / "pictures").iterdir())
        for name in files:
            if name.endswith(".png"):
                assert (run / "pictures" / name).read_bytes() == (again / "pictures" / name).read_bytes()
        shutil.rmtree(again)


def test_drawing_leaves_the_callers_random_numbers_alone(ring, copy):
    run = copy(ring)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    make_pictures(run)
    assert torch.equal(before, torch.get_rng_state())


def test_samples_are_marked_as_made_by_a_model_and_reals_are_not(digits, ring):
    sha256 = organza.load(digits).sha256
    for name in ("neighbours", "realism-1", "realism-2", "strip"):
        mark = read_provenance(digits / f"pictures/{name}.png")
        assert mark is not None
        assert (mark["model"], mark["sha256"], mark["seed"]) == ("cgan", sha256, 1_000_000)
    assert read_provenance(digits / "pictures/holes.png") is None
    assert read_provenance(ring / "pictures/manifold-1.png") is not None


# What they show


def test_a_memorised_sample_is_its_own_nearest_neighbour(digits):
    """Wherever in the data its original lies; and other digits of the test split are no copies."""
    images = organza.open_dataset("mnist").images
    fake = organza.open_dataset("mnist", split="test").images[:200].clone()
    rows = torch.tensor([12_345, 59_998, 7])
    fake[[3, 50, 199]] = images[rows]
    found = look_alikes(fake, images)
    assert found[[3, 50, 199]].tolist() == rows.tolist()
    assert not any(torch.equal(fake[i], images[found[i]]) for i in (0, 1, 2, 60))
    picture = pictures._neighbours(case_of(digits, fake)).parts[0].image.convert("L")
    pixels, side, gap = np.asarray(picture), 56, 14
    pairs = [(pixels[top : top + side, :side], pixels[top : top + side, side + gap : 2 * side + gap])
             for top in range(0, 8 * (side + 2), side + 2)]  # fmt: skip
    assert [bool((sample == real).all()) for sample, real in pairs] == [True] * 3 + [False] * 5


def test_look_alikes_of_few_and_of_large_images():
    real = torch.randint(0, 256, (5, 3, 40, 24), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert look_alikes(real.flip(0), real).tolist() == [4, 3, 2, 1, 0]


def test_only_a_part_of_large_data_is_searched(monkeypatch):
    real = torch.arange(100, dtype=torch.uint8).view(100, 1, 1, 1).expand(-1, 1, 4, 4).contiguous()
    monkeypatch.setattr(pictures, "SEARCHED", 16 * 10)
    assert set(look_alikes(real, real).tolist()) == {0, 11, 22, 33, 44, 55, 66, 77, 88, 99}


def test_the_best_lie_among_the_reals_and_the_worst_far_away(digits):
    fake = organza.open_dataset("mnist", split="test").images[:200].clone()
    fake[:8] = fake[0]
    fake[8:16] = fake[1]
    fake[-16:] = 255
    case = case_of(digits, fake)
    real, features = case.features
    features[:8] = real[realism(real=real, fake=real).argmax()]
    features[8:16] = real.mean(0)
    features[-16:] = 1e3
    found = pictures._worst_and_best(case)
    best, worst = (np.asarray(part.image) for part in found.parts)
    assert [part.label for part in found.parts] == ["best", "worst"]
    assert (best[:56:2, :56:2] == fake[0, 0].numpy()).all()
    assert (worst[:56] != 0).all()


def test_a_dropped_mode_shows_as_holes(ring):
    """Fakes that are reals of all modes but one: the holes are that one, and the class is named."""
    store = organza.open_dataset("ring")
    others = store.images[store.labels != 3][:2000]
    found = pictures._holes(case := case_of(ring, others))
    lost = int((store.labels[case.rows] == 3).sum())
    assert found.told.startswith(f"{lost} of 200 reals ")
    assert "hardest hit is the class '3' (100% of its reals)" in found.told
    assert len(found.parts) == 1
    orange = (np.asarray(found.parts[0].image).astype(int) - pictures.ORANGE).__abs__().sum(2) < 60
    y, x = (axis.mean() for axis in orange.nonzero())
    angle = math.atan2(224 - y, x - 224)
    assert angle == pytest.approx(2 * math.pi * 3 / 8, abs=0.1)
    everything = pictures._holes(case_of(ring, store.images[:50_000]))
    assert everything.told.startswith("0 of 200")
    assert everything.parts == ()


def test_holes_of_images_come_most_lonely_first(digits):
    store = organza.open_dataset("mnist")
    fake = store.images[store.labels != 4][30_000:34_000]
    case = case_of(digits, fake)
    found = pictures._holes(case)
    assert "hardest hit is the class '4'" in found.told
    first = np.asarray(found.parts[0].image)[:56:2, :56:2]
    labels = [int(store.labels[row]) for row in case.rows if (store.images[row, 0].numpy() == first).all()]
    assert labels == [4]


def test_precision_and_recall_of_half_of_the_modes(ring):
    store = organza.open_dataset("ring")
    chart = pictures._precision_recall(case_of(ring, store.images[store.labels < 4][:200])).chart
    assert chart is not None
    highest = {name: (max(x for x, _ in p), max(y for _, y in p)) for name, p in chart.series.items()}
    assert highest["samples"][0] == pytest.approx(0.5, abs=0.1)  # recall: half of the modes
    assert highest["samples"][1] > 0.9
    assert min(highest["reals against reals"]) > 0.9


def test_the_spectrum_agrees_with_the_doctor(digits):
    board = torch.tensor([[0, 60], [60, 0]], dtype=torch.uint8).repeat(14, 14)
    plain = organza.open_dataset("mnist", split="test").images[:200] // 2
    for fake, border in ((plain, (0.5, 2)), (plain + board, (20, 1e6))):
        case = case_of(digits, fake)
        found = pictures._spectrum(case)
        assert found.chart is not None
        ends = {name: points[-1] for name, points in found.chart.series.items()}
        assert ends["samples"][0] == pytest.approx(math.sqrt(0.5), abs=0.02)
        ratio = high_frequencies(case.fake) / high_frequencies(case.real)
        assert f"{ratio:.2g} times" in found.told
        assert border[0] < ratio < border[1]
        assert (ends["samples"][1] > 10 * ends["reals"][1]) == (border[0] > 10)


def test_the_strip_begins_and_ends_at_samples_of_its_class(digits):
    gan = organza.load(digits)
    strip = np.asarray(Image.open(digits / "pictures/strip.png"))[::2, ::2]
    ends = gan.sample(seeds=range(1_000_000, 1_000_010), labels=[row for row in range(5) for _ in range(2)])
    for row in range(5):
        for at, column in ((0, 0), (1, 9)):
            cell = strip[29 * row : 29 * row + 28, 29 * column : 29 * column + 28]
            assert (cell == ends[2 * row + at, 0].numpy()).all()


def test_scores_are_those_of_the_checkpoint(digits):
    chart = drawn(digits)["scores"]["chart"]
    assert list(chart["series"]) == ["samples", "training reals", "held-out reals"]
    assert chart["border"] == 0
    for points in chart["series"].values():
        assert sum(y for _, y in points[1:-1:2]) == pytest.approx(1, abs=1e-3)
    case = case_of(digits)
    labels = case.store.labels[case.rows]
    one, two = (players.answers(case, case.real, labels) for _ in range(2))
    assert torch.equal(one, two)
    assert len(one) == 200
    with torch.no_grad():
        case.game.discriminator.head.bias.add_(3.0)
    assert players.answers(case, case.real, labels) - one == pytest.approx(3.0, abs=1e-4)


def test_histograms_sum_to_one_and_keep_what_lies_outside():
    points = players.histogram(torch.tensor([-5.0, 0.1, 0.2, 9.0]), 0.0, 1.0)
    heights = [y for _, y in points[1:-1:2]]
    assert sum(heights) == pytest.approx(1)
    assert (heights[0], heights[-1]) == (0.25, 0.25)
    assert [y for _, y in players.histogram(torch.ones(3), 1.0, 1.0)][1] == 1.0


# The plane


def test_the_manifold_of_two_numbers_is_the_noise_itself(ring):
    case = case_of(ring)
    nodes = players.warped(case, 5)
    assert nodes.shape == (5, 5, 2)
    with torch.no_grad():
        middle = case.gan.generator(torch.zeros(1, case.gan.z_dim))
    assert nodes[2, 2] == pytest.approx(middle[0], abs=1e-5)


class Straight(torch.nn.Module):
    """A generator that gives its noise back, and remembers it."""

    def __init__(self, z_dim):
        super().__init__()
        self.z_dim, self.weight, self.seen = z_dim, torch.nn.Parameter(torch.zeros(1)), []

    def forward(self, z, labels=None):
        self.seen.append(z)
        return z[:, :2]


@pytest.mark.parametrize("dims", [1, 2, 3, 64])
def test_a_slice_of_the_noise_is_as_long_as_noise(ring, dims):
    case = case_of(ring)
    case.gan.__dict__["generator"] = Straight(dims)
    players.warped(case, 41)
    seen = torch.cat(case.gan.generator.seen)
    assert seen.shape == (41 * 41, dims)
    assert float(seen.square().sum(1).mean()) == pytest.approx(dims, rel=0.1)
    assert seen[41 * 20 + 20] == pytest.approx(torch.zeros(dims), abs=1e-5)


def test_the_heat_map_is_green_where_d_says_real(ring):
    case = case_of(ring)
    game = case.game

    class Right(torch.nn.Module):
        """Real is what lies to the right."""

        def features(self, x, labels=None):
            return x

        def logits(self, features, labels=None):
            return features[:, 0]

    game.__dict__["discriminator"] = Right()
    image = np.asarray(players.heat(case).parts[0].image).astype(int)
    right, left = image[10, 430], image[10, 20]
    assert right[1] > right[0]
    assert right[1] > right[2]
    assert left[0] > left[1]
    assert left[2] > left[1]
    ways = players.downhill(case, case.fake[:50], case.real[:50])
    assert (ways[:, 0] > 0).all()
    assert ways[:, 1] == pytest.approx(torch.zeros(50))


@pytest.mark.parametrize(
    ("changes", "border"),
    [
        ({"loss": "wasserstein", "discriminator.spectral_norm": True}, False),
        ({"loss": "relativistic-average"}, False), ({"loss": "least-squares"}, True),
        ({"loss": "relativistic", "conditional": True}, False),
    ],
)  # fmt: skip
def test_every_kind_of_score_is_drawn(tmp_path, changes, border):
    run = trained(tmp_path / "run", "gan", "ring", changes)
    make_pictures(run)
    assert missing(run) == OF_IMAGES
    scores = drawn(run)["scores"]
    assert (scores["chart"]["border"] is not None) == border
    assert ("no zero" in scores["told"]) != border
    assert ("the class '0'" in drawn(run)["heat"]["protocol"]) == ("conditional" in changes)


# What is missing drops out alone


def test_a_discriminator_of_whole_batches_has_no_map(tmp_path):
    run = trained(tmp_path / "run", "gan", "ring", {"discriminator.model.minibatch": "stddev"})
    make_pictures(run)
    assert missing(run) == OF_IMAGES | {"heat"}
    assert "together with its batch" in drawn(run)["heat"]["missing"]


def test_without_a_checkpoint_only_the_discriminator_is_missing(digits, ring, copy):
    run = copy(ring)
    shutil.rmtree(run / "checkpoints")
    make_pictures(run)
    assert missing(run) == OF_IMAGES | {"heat", "scores"}
    assert drawn(run)["scores"]["missing"] == "there is no whole checkpoint"
    shutil.rmtree(run)
    run = copy(digits)
    for file in (run / "checkpoints").iterdir():
        file.write_bytes(file.read_bytes()[:-50])
    make_pictures(run)
    assert missing(run) == PLANE | {"scores"}


def test_without_a_model_only_the_scores_are_there(digits, copy):
    run = copy(digits)
    shutil.rmtree(run / "model")
    shutil.rmtree(run / "pictures")
    make_pictures(run)
    assert missing(run) == PICTURES.keys() - {"scores"}
    assert "no samples were looked at" in drawn(run)["neighbours"]["missing"]


def test_without_the_data_older_pictures_stay(tmp_path):
    data = write_data(tmp_path, (1, 16, 16), rows=80)
    run = trained(tmp_path / "run", "gan", data)
    make_pictures(run)
    before = sorted(path.name for path in (run / "pictures").iterdir())
    assert missing(run) == PLANE
    (tmp_path / "small.npz").unlink()
    with pytest.raises(ConfigError, match="the pictures stay as they were: the data were not looked at"):
        make_pictures(run)
    assert sorted(path.name for path in (run / "pictures").iterdir()) == before
    shutil.rmtree(run / "pictures")
    make_pictures(run)
    assert missing(run) == PICTURES.keys() - {"strip"}
    assert "the data were not looked at" in drawn(run)["spectrum"]["missing"]


@pytest.mark.parametrize("channels", [2, 5])
def test_images_that_no_network_knows(tmp_path, channels):
    data = write_data(tmp_path, (channels, 16, 16))
    run = trained(tmp_path / "run", "gan", data)
    make_pictures(run)
    assert missing(run) == PLANE | {"neighbours", "realism", "holes", "precision-recall"}
    assert f"({channels}, 16, 16)" in drawn(run)["holes"]["missing"]


def test_a_defect_in_one_picture_costs_no_other(ring, copy, monkeypatch):
    def broken(case) -> Drawn:
        raise KeyError("x\nsecond line")

    run = copy(ring)
    monkeypatch.setitem(pictures.PICTURES, "holes", ("Holes", broken))
    make_pictures(run)
    assert missing(run) == OF_IMAGES | {"holes"}
    assert "second line" not in drawn(run)["holes"]["missing"].split("\n")[-1][20:]
    assert drawn(run)["holes"]["missing"].startswith("KeyError")


def test_blank_samples_are_said_to_be_blank(digits):
    case = case_of(digits, torch.zeros(200, 1, 28, 28, dtype=torch.uint8))
    told = pictures._drawn(case, pictures._holes)
    assert isinstance(told, str)
    assert "constant" in told


def test_no_run_no_pictures(tmp_path):
    with pytest.raises(ConfigError, match="no run"):
        make_pictures(tmp_path)
