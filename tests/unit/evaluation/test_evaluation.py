"""Evaluation: sides, names, floors, refusals, receipts, and going on after an interruption."""

import json
import shutil
import zipfile
from dataclasses import asdict
from functools import partial
from pathlib import Path

import foreign_files as files
import numpy as np
import pytest
import torch
import yaml
from engine_helpers import shrunk, small_store
from PIL import Image

import organza
from organza.config import ConfigError
from organza.data import SILENT, ImageStore, open_dataset
from organza.evaluation import ALIASES, METRICS, Receipt, end_of_training, is_better, must_compare
from organza.evaluation.catalogue import WITH_COUNTERPARTS, mean_influence
from organza.evaluation.evidence import Features
from organza.evaluation.subjects import lossy
from organza.hub.convert import convert
from organza.metrics import density_coverage, frechet_distance, kernel_distance, precision_recall
from organza.metrics.influence import Influence
from organza.metrics.networks import NETWORKS, open_network


@pytest.fixture(scope="module")
def digits():
    return open_dataset("mnist").images[:1200]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A tiny run on digits."""
    folder = tmp_path_factory.mktemp("runs") / "one"
    organza.train("cgan", data="mnist", images=64, out=folder, changes=shrunk("cgan", (1, 28, 28)), device="cpu")
    return folder


def blurred(images):
    return torch.nn.functional.avg_pool2d(images.float(), 3, 1, 1).to(torch.uint8)


def test_scores_are_those_of_the_mathematics(digits):
    real, fake = digits[:600], blurred(digits[600:])
    found = organza.evaluate(fake, real, network="digits")
    network = open_network("digits")
    a, b = network.features(real), network.features(fake)
    assert found["fd"].value == pytest.approx(frechet_distance(real=a, fake=b), rel=1e-7)
    assert found["kd"].value == pytest.approx(kernel_distance(real=a, fake=b), rel=1e-6)
    assert found["precision"].value == precision_recall(real=a, fake=b).precision
    assert found["coverage-digits"].value == density_coverage(real=a, fake=b).coverage
    assert json.loads(json.dumps(asdict(found)))["seed"] == 0
    for score in found.scores:
        assert score.n_fake == score.n_real == 600
        assert score.low <= score.value <= score.high
        assert "digits" in score.name
        assert "digits" in score.protocol
    assert found["fd"].floor < found["fd"].value / 2
    assert found["fd"].floor_n == 300


def test_worse_samples_score_worse_and_the_paired_test_knows(digits):
    real, good, bad = digits[:500], digits[500:900], blurred(digits[500:900])
    scores = [organza.evaluate(side, real, ("fd", "precision-recall"), network="digits") for side in (good, bad)]
    assert scores[0]["fd"].high < scores[1]["fd"].low
    assert scores[0]["recall"].value > scores[1]["recall"].value
    better = is_better(good, bad, real)
    assert better.decided
    assert better.difference < 0
    assert better.p < 0.05
    same = is_better(good, digits[400:800], real)
    assert not same.decided or abs(same.difference) < abs(better.difference) / 5


def test_a_run_knows_its_data_and_the_receipt_is_beside_it(run):
    out = run / "evaluation.json"
    found = organza.evaluate(run, metrics="fd,labels", samples=200, real_samples=500, out=out)
    assert found.real["name"] == "mnist"
    assert found.fake["kind"] == "gan"
    assert found.fake["first_seed"] == 1_000_000
    assert not Path(f"{out}.parts").exists()
    again = Receipt.load(out)
    assert again["fd"].value == found["fd"].value
    assert again.networks["digits"]["sha256"] == found.networks["digits"]["sha256"]
    assert set(again.for_card()["fd-digits"]) == {"value", "n", "protocol", "real", "low", "high"}
    must_compare(found["fd"], again["fd"])
    other = organza.evaluate(run, metrics="fd", samples=100, real_samples=500)
    with pytest.raises(ConfigError, match="do not compare"):
        must_compare(found["fd"], other["fd"])
    assert str(run) not in out.read_text()


def test_per_class_needs_enough_of_each(run):
    found = organza.evaluate(run, metrics="fd-per-class", samples=400, real_samples=4000)
    details = found["fd-per-class"].details
    assert list(details) == [str(i) for i in range(10)]
    score = found["fd-per-class"]
    assert score.value == pytest.approx(sum(details.values()) / 10)
    assert score.low < score.value < score.high
    assert 0 < score.floor < score.value
    assert score.floor_n == 400
    with pytest.raises(ConfigError, match="at least 20 of each: --samples 200"):
        organza.evaluate(run, metrics="fd-per-class", samples=50, real_samples=4000)


def test_classes_are_compared_by_their_names(digits):
    two, many, labels = ("cat", "dog"), ("ant", "dog", "cat"), torch.arange(120) % 2
    fake = ImageStore("fake", digits[:120], labels, two)
    same = ImageStore("same", digits[:120], 2 - labels, many)
    assert organza.evaluate(fake, same, "fd-per-class@general").scores[0].value == pytest.approx(0, abs=1e-6)
    unnamed = ImageStore("unnamed", digits[:120], labels, ("0", "1"))
    assert organza.evaluate(fake, unnamed, "fd-per-class@general").scores[0].value == pytest.approx(0, abs=1e-6)
    other = ImageStore("other", digits[:120], labels, ("cat", "cow"))
    with pytest.raises(ConfigError, match="fakes have 'cat', 'dog', and reals have 'cat', 'cow'"):
        organza.evaluate(fake, other, "fd-per-class@general")


@pytest.mark.parametrize(
    ("metric", "told"),
    [
        ("is@general", "is@general needs a network with classes, and general has none; type is@digits"),
        ("labels@general", "or leave labels@general out"),
        ("ms-ssim", "ms-ssim needs sides of at least 11 and has 10x10"),
        ("ssim", "ssim needs sides of at least 11"),
    ],
)
def test_what_a_metric_cannot_judge_is_told_before_anything_is_drawn(digits, monkeypatch, metric, told):
    images = digits[..., :10, :10] if "ssim" in metric else digits
    monkeypatch.setattr("organza.evaluation.draw", lambda *_: pytest.fail("sampled first"))
    with pytest.raises(ConfigError, match=told):
        organza.evaluate(images, images, ["fd@general", metric])


def test_points_are_judged_by_their_modes():
    points = open_dataset("grid", split="test").images
    found = organza.evaluate(points.numpy(), "grid", samples=2500)
    assert found["modes"].value == 25
    assert found["modes"].details["of"] == 25
    assert 0.98 < found["high-quality"].value < 1
    with pytest.raises(ConfigError, match="modes are counted on"):
        organza.evaluate(points.numpy(), "spiral", samples=100)


@pytest.mark.parametrize("name", sorted(METRICS))
def test_every_metric_tells_equal_sets_from_noise(digits, name):
    if name in ("modes", "fd-per-class", "lpips", "lpips-of-pairs", "ppl", "eq-t", "eq-t-frac", "eq-r"):
        return pytest.skip("has its own test")
    real, noise = digits, torch.randint(0, 256, digits.shape, dtype=torch.uint8)
    through = "digits" if name in ("is", "labels") else "general"
    equal, unlike = (organza.evaluate(side, real, name, network=through) for side in (digits, noise))
    for one, two in zip(equal.scores, unlike.scores, strict=True):
        assert np.isfinite([one.value, two.value]).all()
        gap = (two.value - one.value) * one.better
        assert gap > 0 or one.better == 0 or name in ("precision-recall", "density-coverage", "is", "authenticity"), (
            one,
            two,
        )
        assert one.value != two.value
        for score in (one, two):
            assert score.low <= score.value <= score.high
            all_alike = score.value in (0, 1, 100, score.details.get("of"))  # no draw differs
            assert score.low < score.high or all_alike
        if name in WITH_COUNTERPARTS:
            assert (one.floor, two.floor) == (None, None)
            continue
        if name != "kd-subsets":  # halves of the reals are too few for it here
            assert 100 <= one.floor_n <= 1200
            assert one.floor == two.floor
        if one.better and name not in ("is", "authenticity", "kd", "kd-subsets"):
            assert (two.value - one.floor) * one.better > 0 or one.better == -1


def test_published_subsets_are_those_of_one_pass(digits):
    real, fake = digits[:1100], blurred(digits[100:1200])
    found = organza.evaluate(fake, real, ("kd", "kd-subsets"), network="digits")
    network = open_network("digits")
    a, b = network.features(real), network.features(fake)
    alone = kernel_distance(real=a, fake=b, subsets=100)
    assert found["kd-subsets"].value == pytest.approx(alone.mean, rel=1e-6)
    assert found["kd-subsets"].details["std_over_subsets"] == pytest.approx(alone.std, rel=1e-5)
    assert found["kd"].value == pytest.approx(kernel_distance(real=a, fake=b), rel=1e-6)


def test_subsets_and_modes_have_intervals_and_floors():
    digits = open_dataset("mnist").images[:3200]
    found = organza.evaluate(digits[:1000], digits[1000:], "kd-subsets@digits")["kd-subsets-digits"]
    assert (found.floor_n, found.n_real) == (1000, 2200)
    assert found.low < found.value < found.high
    assert abs(found.floor) < 1
    points = open_dataset("grid", split="test").images[:2500].numpy()
    half = organza.evaluate(points[np.abs(points[:, 0]).argsort()[:1200]], "grid")
    modes = half["modes"]
    assert 10 <= modes.value < 25
    assert modes.floor == 25
    assert modes.low <= modes.value <= modes.high <= 25
    assert sum(modes.details["shares"]) == pytest.approx(half["high-quality"].value, abs=1e-4)
    assert sum(share > 0 for share in modes.details["shares"]) == modes.value
    assert 0.98 < half["high-quality"].floor < 1
    nearly = organza.evaluate(points[:300], "grid")["modes"]  # some draws lack a mode that the samples have
    assert nearly.low <= nearly.value == nearly.high == 25


def test_the_mean_of_scores_of_classes_moves_as_their_samples_do():
    """Classes of 30 and 90 samples: the standard error is that of the mean of two independent scores."""
    parts = [
        Influence(v, torch.randn(n).double(), torch.randn(m).double()) for v, n, m in ((2.0, 30, 50), (4.0, 90, 20))
    ]
    joint = mean_influence(parts)
    assert joint.value == 3
    assert joint.samples == (120, 70)
    for side in ("real", "fake"):
        values = [getattr(part, side) for part in parts]
        expected = sum(value.square().mean() / len(value) for value in values) / 4
        whole = getattr(joint, side)
        assert float(whole.square().mean() / len(whole)) == pytest.approx(float(expected), rel=1e-9)


def test_names_and_networks(digits):
    with pytest.raises(ConfigError, match="did you mean 'fid'"):
        organza.evaluate(digits, digits, "fidd")
    with pytest.raises(ConfigError, match="ms-ssim looks through nothing that you choose; type ms-ssim, not"):
        organza.evaluate(digits, digits, "ms-ssim@digits")
    with pytest.raises(ConfigError, match="did you mean 'general'"):
        organza.evaluate(digits, digits, "fd@generl")
    with pytest.raises(ConfigError, match="kd-subsets needs at least 1000 samples a side and has 100 generated"):
        organza.evaluate(digits[:100], digits, "kd-subsets")
    found = organza.evaluate(digits[:300], digits[300:600], ("fd", "fd@digits"))
    assert [score.name for score in found.scores] == ["fd-general", "fd-digits"]
    assert set(found.networks) == {"digits", "general"}
    found = organza.evaluate(digits[:300], digits[300:600], ("fd", "fd@general", "fd"))
    assert [score.name for score in found.scores] == ["fd-general"]
    assert all(network in NETWORKS for _, network in ALIASES.values())


def test_weights_that_are_not_here_are_told_before_any_sample_is_drawn(digits, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setattr("organza.evaluation.draw", lambda *_: pytest.fail("sampled first"))
    with pytest.raises(ConfigError, match=r"(?s)pt_inception-2015-12-05.*95,628,359.*6726825d0af5"):
        organza.evaluate(digits, digits, "fid")


def test_sides_that_do_not_compare_are_refused(digits, tmp_path):
    with pytest.raises(ConfigError, match="1x28x28 and emoji is 3x64x64"):
        organza.evaluate(digits, "emoji")
    with pytest.raises(ConfigError, match="only a run knows its data"):
        organza.evaluate(digits)
    flat = tmp_path / "flat.npy"
    np.save(flat, np.zeros((300, 28, 28), np.uint8))
    with pytest.raises(ConfigError, match="flat: all 300 images are constant"):
        organza.evaluate(flat, digits, out=tmp_path / "refused.json")
    assert [path.name for path in tmp_path.iterdir()] == ["flat.npy"]
    with pytest.raises(ConfigError, match="samples is 0"):
        organza.evaluate(digits, digits, samples=0)


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("options", [{}, {"icc_profile": b"x" * 7}, {"save_all": True}])
def test_a_webp_file_tells_whether_it_lost_anything(tmp_path, options, alpha):
    """Plain, with parts before the picture (of an odd length), and animated."""
    noise = np.random.RandomState(0).randint(0, 256, (2, 16, 16, 4 if alpha else 3)).astype(np.uint8)
    frames = [Image.fromarray(image) for image in noise]
    more = options | ({"append_images": frames[1:]} if options.get("save_all") else {})
    for lossless in (True, False):
        folder = tmp_path / f"lossless-{lossless}"
        folder.mkdir()
        frames[0].save(folder / "a.webp", lossless=lossless, **more)
        assert lossy(folder) == (not lossless)
        with zipfile.ZipFile(tmp_path / "all.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(folder / "a.webp")
        assert lossy(tmp_path / "all.zip") == (not lossless)
    (folder / "a.webp").write_bytes(b"RIFF")
    assert not lossy(folder)


def test_jpeg_is_worth_a_warning(tmp_path, digits):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, image in enumerate(digits[:60]):
        Image.fromarray(image[0].numpy()).save(folder / f"{number}.jpg")
    found = organza.evaluate(folder, digits, "kd")
    assert any("JPEG" in note for note in found.notes)
    assert not organza.evaluate(digits[:60], digits, "kd").notes
    changes = shrunk("gan", (1, 28, 28))
    run = organza.train("gan", data=str(folder), images=16, out=tmp_path / "run", changes=changes, device="cpu").path
    for real in (None, open_dataset(folder)):  # a run brings its data, and at the end of a training they are here
        assert any("real images are JPEG" in note for note in organza.evaluate(run, real, "kd", samples=20).notes)


def test_a_generator_that_makes_one_picture_is_told(digits):
    same = digits[:1].expand(200, -1, -1, -1)
    (note,) = organza.evaluate(same, digits[:200], "sliced").notes
    assert note.startswith("of 200 generated samples that were looked at only 1 differ: the generator has collapsed")
    assert "most are copies" in organza.evaluate(digits[:200], same, "sliced").notes[0]
    many = digits[:30].repeat(5, 1, 1, 1)  # a fifth differ
    assert not organza.evaluate(many, digits[:200], "sliced").notes


def test_an_interrupted_evaluation_goes_on(run, tmp_path, monkeypatch):
    """The features of whole blocks are there after a kill, and are not computed again."""
    monkeypatch.setattr("organza.evaluation.evidence.BLOCK", 64)
    asked = {"metrics": "fd", "samples": 200, "real_samples": 300, "out": tmp_path / "r.json"}
    whole = organza.evaluate(run, **asked)
    computed = []
    make = Features._block

    def interrupted(self, network, key, images, start):
        if len(computed) == 5:
            raise KeyboardInterrupt
        computed.append(start)
        return make(self, network, key, images, start)

    monkeypatch.setattr(Features, "_block", interrupted)
    with pytest.raises(KeyboardInterrupt):
        organza.evaluate(run, **asked)
    parts = sorted((tmp_path / "r.json.parts").iterdir())
    assert len(parts) == 5
    parts[0].write_bytes(parts[0].read_bytes()[:100])  # torn
    monkeypatch.setattr(Features, "_block", make)
    network = NETWORKS["digits"].open(None, False, None)  # type: ignore[arg-type]
    seen = []
    both = type(network).both
    monkeypatch.setattr(
        type(network), "both", lambda self, part, *rest: seen.append(len(part)) or both(self, part, *rest)
    )
    again = organza.evaluate(run, **asked)
    assert again["fd"].value == whole["fd"].value
    assert len(seen) == 9 - 4  # 4 blocks of fakes and 5 of reals, of which 4 were whole
    assert not (tmp_path / "r.json.parts").exists()


def test_a_receipt_of_something_else_is_refused(tmp_path):
    file = tmp_path / "other.json"
    for content in ("{}", "[]", "no json", json.dumps({"scores": [{"x": 1}], "notes": []})):
        file.write_text(content)
        with pytest.raises(ConfigError, match="no receipt"):
            Receipt.load(file)


def test_labels_of_small_stores_are_kept():
    store = small_store((1, 28, 28), 60)
    found = organza.evaluate(store.images, store, "kd@general")
    assert found.real["samples"] == 60


def test_report_card_and_model_tell_the_scores_and_an_edited_card_is_kept(run):
    found = organza.evaluate(run, metrics="fd", samples=150, real_samples=300, out=run / "evaluation.json")
    page, card = (run / "report.html").read_text(), (run / "model" / "README.md").read_text()
    assert "<h2>Evaluation</h2>" in page
    assert "fd-digits ↓" in page
    assert found["fd"].protocol.split(";")[0] in page
    assert f"| fd-digits | {found['fd'].value:.4g} |" in card
    assert organza.load(run).training["scores"]["fd-digits"]["value"] == found["fd"].value
    assert f"{found['fd'].protocol}; against mnist train |" in card
    assert "; against mnist train</td>" in page
    cut = {"truncation": 0.5, "split": "test", "out": run / "evaluation.json"}
    organza.evaluate(run, "mnist", "kd", samples=50, real_samples=60, **cut)
    page, card = (run / "report.html").read_text(), (run / "model" / "README.md").read_text()
    assert "60 real; against mnist test; truncation 0.5 |" in card
    assert "60 real; against mnist test; truncation 0.5</td>" in page
    about = yaml.safe_load(card.split("---")[1])["model-index"][0]["results"]
    scored = {result["dataset"]["name"]: [metric["type"] for metric in result["metrics"]] for result in about}
    assert scored["mnist test"] == ["kd-digits"]
    assert "fd-digits" in scored["mnist train"]
    assert "kd-digits" not in scored["mnist train"]
    assert {result["dataset"]["type"] for result in about} == {"mnist"}
    (run / "model" / "README.md").write_text(card + "mine")
    noted = organza.evaluate(run, metrics="kd", samples=150, real_samples=300, out=run / "evaluation.json")
    assert (run / "model" / "README.md").read_text() == card + "mine"
    assert "kd-digits" in organza.load(run).training["scores"]
    assert noted["kd"].value != found["fd"].value


def test_a_receipt_with_other_scores_is_kept_beside_the_new_one(run, tmp_path, listener):
    out, few = tmp_path / "evaluation.json", {"samples": 50, "real_samples": 60}
    both = organza.evaluate(run, metrics="fd,kd", out=out, progress=listener, **few)
    organza.evaluate(run, metrics="fd,kd", seed=7, out=out, progress=listener, **few)
    assert not (tmp_path / "evaluation-1.json").exists()  # the same, measured anew
    organza.evaluate(run, metrics="kd", out=out, progress=listener, **few)
    assert [score.name for score in Receipt.load(tmp_path / "evaluation-1.json").scores] == ["fd-digits", "kd-digits"]
    assert "evaluation.json was there, with other scores: it is evaluation-1.json now" in listener.notes
    organza.evaluate(run, metrics="kd", samples=70, real_samples=60, out=out)
    assert Receipt.load(tmp_path / "evaluation-2.json")["kd"].value == both["kd"].value
    out.write_text("{}")
    organza.evaluate(run, metrics="kd", out=out, **few)
    assert Receipt.load(out)["kd"].value == both["kd"].value


def test_the_end_of_a_training_judges_in_full_what_was_judged_in_part(run):
    out, store = run / "evaluation.json", organza.open_dataset("mnist")
    ask = partial(end_of_training, run, store, 60, torch.device("cpu"), SILENT)
    organza.evaluate(run, metrics="kd", samples=60, out=out)
    whole = ask()
    assert {score.asked for score in whole.scores} >= {"fd", "kd", "precision", "coverage"}
    assert ask() is None


def test_a_model_folder_says_who_tells_its_scores(run, tmp_path, listener):
    asked = {"metrics": "fd", "samples": 60, "real_samples": 60, "progress": listener}
    organza.evaluate(run / "model", "mnist", out=tmp_path / "a.json", **asked)
    assert f"type: organza evaluate {run}" in listener.notes[-1]
    shutil.copytree(run / "model", tmp_path / "shipped")
    organza.evaluate(tmp_path / "shipped" / "model.safetensors", "mnist", out=tmp_path / "b.json", **asked)
    assert f"the card of {tmp_path / 'shipped'} is left as it is" in listener.notes[-1]


def test_gans_in_memory_are_not_taken_for_each_other(run, digits):
    """Neither has a file of weights to be told apart by, and both are asked for samples of the same seeds."""
    one, two = organza.load(run), organza.load(run)
    with torch.no_grad():
        for parameter in two.generator.parameters():
            parameter.mul_(1.5)
    same, other = (is_better(one, side, digits, samples=200) for side in (organza.load(run), two))
    assert same.difference == 0
    assert other.difference != 0


def test_sizes_that_differ_are_not_compared(digits):
    with pytest.raises(ConfigError, match="A makes samples of 1x28x28 and B of 1x14x14"):
        is_better(digits[:300], digits[:300, :, ::2, ::2], digits)


def test_the_pictures_of_a_run_are_no_images_to_judge(run, tmp_path, digits):
    with pytest.raises(ConfigError, match="is a run, and its pictures are no data"):
        organza.evaluate(digits, run)
    young = tmp_path / "young"
    shutil.copytree(run, young)
    shutil.rmtree(young / "model")
    with pytest.raises(FileNotFoundError, match="no model/ yet"):
        organza.evaluate(young)


@pytest.mark.parametrize(("metric", "fakes", "reals"), [("kd", 2, 2), ("kd", 300, 8), ("precision-recall", 4, 10)])
def test_the_least_n_of_a_metric_is_enough(digits, metric, fakes, reals):
    """Precision has k = 3, and density, which the same pass tells, k = 5."""
    real, fake = digits[:reals], blurred(digits[600 : 600 + fakes])
    found = organza.evaluate(fake, real, metric, network="digits")
    network = open_network("digits")
    a, b = network.features(real), network.features(fake)
    if metric == "kd":
        assert found["kd"].value == pytest.approx(kernel_distance(real=a, fake=b), rel=1e-6)
        assert (found["kd"].floor is None) == (reals < 4)
    else:
        assert found["precision"].value == precision_recall(real=a, fake=b).precision
        assert 0 <= found["recall"].floor <= 1


@pytest.mark.parametrize("metric", ["fd", "sliced", "ms-ssim", "lpips"])
def test_points_are_told_their_metric(metric):
    with pytest.raises(ConfigError, match="looks at images; points take --metrics modes"):
        organza.evaluate(torch.rand(30, 2), "ring", metric)


def test_odd_numbers_of_samples_are_refused_plainly(digits):
    with pytest.raises(ConfigError, match="real_samples is -3; it takes 1 or more"):
        organza.evaluate(digits, digits, real_samples=-3)
    with pytest.raises(ConfigError, match="samples is '20'; it takes 1 or more"):
        organza.evaluate(digits, digits, samples="20")  # type: ignore[arg-type]


def test_a_foreign_file_is_judged_as_the_folder_made_of_it(tmp_path):
    generator = ("Generator", files.generator2(), {})
    pickled = files.snapshot(tmp_path / "network.pkl", generator)
    other = files.rosinality(tmp_path / "network.pt", files.generator2(rate=1), files.discriminator2(), 16)
    folder = tmp_path / "made"
    convert(pickled, folder)
    real = torch.randint(256, (64, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    values = {
        path: organza.evaluate(path, real, "fd", samples=16, network="general")["fd"].value
        for path in (str(pickled), folder, other)
    }
    assert values[str(pickled)] == values[folder]
    assert values[other] != values[folder]
    with pytest.raises(ConfigError, match="only a run knows its data; say what to compare with"):
        organza.evaluate(pickled, metrics="fd")


def test_a_file_that_is_neither_data_nor_weights_keeps_the_words_of_data(tmp_path):
    torch.save({"nothing": torch.zeros(3)}, tmp_path / "a.pt")
    with pytest.raises(ConfigError, match=r"a\.pt has the shape \[3\]"):
        organza.evaluate(tmp_path / "a.pt", torch.zeros(8, 3, 8, 8, dtype=torch.uint8))
    (tmp_path / "b.pkl").write_bytes(b"\x80\x04.")
    with pytest.raises(ValueError, match=r"b\.pkl cannot be read"):
        organza.evaluate(tmp_path / "b.pkl", torch.zeros(8, 3, 8, 8, dtype=torch.uint8))
