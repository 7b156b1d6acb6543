"""The cheap score during training: it changes nothing, knows the best, and is as exact in resume as all else."""

import dataclasses
import json
import shutil

import pytest
import torch
from engine_helpers import shrunk, small_config, small_store, write_data
from safetensors.torch import load_file

import organza
from organza.config import ConfigError, from_dict, to_dict
from organza.data import open_dataset
from organza.data.synthetic import ring_modes
from organza.evaluation import Receipt
from organza.metrics.networks import open_network
from organza.metrics.quick import GeneralScore, ModeScore, TranslationScore, quick_score
from organza.reporter import Silent
from organza.training.checkpoint import load as load_checkpoint
from organza.training.checkpoint import save as save_checkpoint
from organza.training.run import Run
from organza.training.scoring import FULL, LONG, full_evaluation, told

IMAGES = 160
POINTS_SMALL = {
    "generator.model.width": 8, "discriminator.model.width": 8, "batch": 64, "output.log": 256,
    "output.samples": 512, "output.checkpoint": 256,
}  # fmt: skip


def trained(tmp_path, name="run", images=IMAGES, **changes):
    data = write_data(tmp_path)
    asked = shrunk("dcgan") | {"output.score": 32, "output.checkpoint": 48} | changes
    return organza.train("dcgan", data=data, images=images, out=tmp_path / name, changes=asked, device="cpu")


def logged(run, key="score/fd-general-1k"):
    lines = [json.loads(line) for line in (run.path / "log.jsonl").read_text().splitlines()]
    return {line["images"]: line[key] for line in lines if key in line}


def networks(run):
    state = load_checkpoint(run.checkpoints()[-1])
    return {name: state[name] for name in ("networks", "average", "optimizers", "batches", "random")}


def flat(tree, path=""):
    for key, value in tree.items():
        yield from flat(value, f"{path}/{key}") if isinstance(value, dict) else [(f"{path}/{key}", value)]


def assert_same(one, two):
    one, two = dict(flat(one)), dict(flat(two))
    assert one.keys() == two.keys()
    for key, value in one.items():
        assert torch.equal(value, two[key]) if isinstance(value, torch.Tensor) else value == two[key], key


def test_the_protocol_tells_the_weights_of_its_network(tmp_path):
    about = trained(tmp_path, images=48).summary["scores"]["fd-general-1k"]
    assert f"Organza's general network ({open_network('general').sha256[:12]})" in about["protocol"]
    digits = quick_score(open_dataset("mnist", split="test"))
    assert digits is not None
    assert f"Organza's digit classifier ({open_network('digits').sha256[:12]})" in digits.protocol


@pytest.mark.parametrize("known", [False, True])
def test_the_protocol_of_a_translation_names_what_was_measured(known):
    images = torch.zeros(2, 3, 8, 8, dtype=torch.uint8)
    score = TranslationScore(images, known, paired=False, kept=False)
    assert ("psnr" in score.of(images)) == ("psnr" in score.protocol) == known


def test_a_run_that_was_scored_without_that_goes_on(tmp_path):
    run = trained(tmp_path, images=48)
    state = load_checkpoint(run.checkpoints()[-1])
    summary = json.loads(state["summary"])
    for entry in (*summary["scores"].values(), summary["best_model"]):
        entry["protocol"] = "1,000 samples of the EMA against 37 reals, features of Organza's general network"
    save_checkpoint(run.checkpoints()[-1], state | {"summary": json.dumps(summary)})
    organza.train(out=run.path, resume=True, images=96, device="cpu")
    assert run.summary["status"] == "finished"
    assert max(logged(run)) == 96


def test_the_interval_of_a_quick_score_is_that_of_the_bootstrap(tmp_path):
    run = trained(tmp_path, images=48)
    for about in (run.summary["scores"]["fd-general-1k"], run.summary["best_model"]):
        assert 0 < about["low"] < about["value"] < about["high"] < 2 * about["value"]
    assert set(run.summary["scores"]["variety"]) == {"value", "n", "protocol"}
    about = json.loads((run.path / "best" / "config.json").read_text())["training"]["scores"]["fd-general-1k"]
    assert {"low", "high"} <= about.keys()
    score = quick_score(open_dataset("ring"))
    found = score.of(torch.from_numpy(ring_modes()).float().repeat(100, 1) + torch.arange(800)[:, None].gt(599) * 3.0)
    assert found["high-quality"].value == 0.75
    bounds = told(found["high-quality"])
    assert bounds["low"] == pytest.approx(0.75 - 1.96 * (0.75 * 0.25 / 800) ** 0.5, abs=0.004)
    assert bounds["high"] == pytest.approx(0.75 + 1.96 * (0.75 * 0.25 / 800) ** 0.5, abs=0.004)


def test_a_run_is_the_same_with_and_without(tmp_path):
    with_scores, without = trained(tmp_path), trained(tmp_path, "without", **{"output.score": False})
    assert_same(networks(with_scores), networks(without))
    assert not logged(without)
    assert not (without.path / "best").exists()
    known = {"seconds", "images_per_second", "memory"}
    lines = [
        [{k: v for k, v in json.loads(line).items() if k not in known} for line in file.read_text().splitlines()]
        for file in (with_scores.path / "log.jsonl", without.path / "log.jsonl")
    ]
    assert [line for line in lines[0] if "score/fd-general-1k" not in line] == lines[1]


def test_the_best_has_the_least_value_and_its_model_gives_it(tmp_path):
    run = trained(tmp_path)
    values, best = logged(run), run.summary["best_model"]
    assert list(values) == [32, 64, 96, 128, 160]
    assert values[best["images"]] == min(values.values()) == best["value"]
    gan = organza.load(run.path / "best")
    assert gan.training["images"] == best["images"]
    store = open_dataset(run.config.data.source)
    found = GeneralScore(store).of(gan.sample(1000, seed=1_000_000, batch=8))["fd-general-1k"]
    assert found.value == pytest.approx(best["value"], rel=1e-3)
    assert {file.name for file in (run.path / "best").iterdir()} == {"model.safetensors", "config.json", "README.md"}
    assert "fd-general-1k" in (run.path / "report.html").read_text()


def test_a_resumed_run_has_the_same_best(tmp_path):
    whole, cut = trained(tmp_path), trained(tmp_path, "cut", images=112)
    shutil.copytree(cut.path, tmp_path / "torn")
    organza.train(out=cut.path, resume=True, images=IMAGES, device="cpu")
    assert logged(cut).items() >= logged(whole).items()
    torn = Run(tmp_path / "torn")  # killed after scores at 64: their checkpoint is that of 48
    for file in torn.checkpoints()[1:]:
        file.unlink()
    first = load_checkpoint(torn.checkpoints()[0])
    assert first["counters"]["images"] in (48, 96)
    organza.train(out=torn.path, resume=True, images=IMAGES, device="cpu")
    torn = Run(torn.path)
    assert logged(torn) == logged(whole)
    mine, theirs = torn.summary["best_model"], whole.summary["best_model"]
    assert mine | {"seconds": 0} == theirs | {"seconds": 0}
    assert_same(*(load_file(run.path / "best" / "model.safetensors") for run in (torn, whole)))
    assert_same(networks(torn), networks(whole))


def test_a_best_of_a_lost_future_is_taken_back(tmp_path):
    run = trained(tmp_path, images=48)
    before = json.loads((run.path / "best" / "config.json").read_text())["training"]["images"]
    about = json.loads((run.path / "best" / "config.json").read_text())
    about["training"]["images"] = 10**6  # written after the last checkpoint of a run that was then killed
    (run.path / "best" / "config.json").write_text(json.dumps(about))
    (run.path / "best" / "model.safetensors").write_bytes(b"of the future")
    organza.train(out=run.path, resume=True, images=48, device="cpu")
    assert organza.load(run.path / "best").training["images"] == before


def test_runs_of_older_versions_go_on(tmp_path):
    run = trained(tmp_path, images=48, **{"output.score": True})
    config = json.loads((run.path / "config.json").read_text())
    assert config["output"]["score"] is True
    organza.train(out=run.path, resume=True, images=96, device="cpu")
    assert list(logged(run)) == [48, 96]
    assert from_dict(to_dict(run.config)) == run.config
    del config["output"]["score"]
    assert from_dict(config).output.score is True


def test_points_have_their_own_score_and_others_none(tmp_path):
    changes = POINTS_SMALL | {"output.score": 256}
    run = organza.train("gan", data="ring", out=tmp_path / "run", images=512, changes=changes, device="cpu")
    found = logged(run, "score/high-quality")
    assert list(found) == [256, 512]
    assert found[run.summary["best_at"]] == max(found.values())
    assert organza.load(run.path / "best").sample(4).shape == (4, 2)
    shares = [logged(run, f"mode/{number}") for number in range(8)]
    assert [sum(mode[images] for mode in shares) for images in found] == pytest.approx(list(found.values()), abs=1e-5)
    assert set(run.summary["scores"]) == {"modes", "high-quality"}
    assert isinstance(quick_score(open_dataset("ring")), ModeScore)
    assert quick_score(small_store((2,))) is None
    assert quick_score(small_store((2, 16, 16))) is None


def test_the_full_evaluation_comes_at_the_end_and_once(tmp_path):
    changes = POINTS_SMALL | {"output.evaluate": 300, "output.score": False, "output.pictures": False}
    run = organza.train("gan", data="ring", out=tmp_path / "run", images=256, changes=changes, device="cpu")
    receipt = Receipt.load(run.path / "evaluation.json")
    assert [score.name for score in receipt.scores] == ["modes", "high-quality"]
    assert receipt.scores[0].n_fake == 300
    assert receipt.fake["images_seen"] == run.summary["images"]
    assert "<h2>Evaluation</h2>" in (run.path / "report.html").read_text()
    assert "| high-quality |" in (run.path / "model" / "README.md").read_text()
    before = (run.path / "evaluation.json").stat().st_mtime_ns
    organza.train(out=run.path, resume=True, images=256, device="cpu")
    assert (run.path / "evaluation.json").stat().st_mtime_ns == before
    organza.train(out=run.path, resume=True, images=320, device="cpu")
    assert Receipt.load(run.path / "evaluation.json").fake["images_seen"] == 320


def test_which_runs_are_evaluated_in_full():
    ring, config = open_dataset("ring"), small_config("gan", {"output.evaluate": True}, (2,))
    assert [full_evaluation(config, ring, images) for images in (LONG - 1, LONG)] == [0, FULL]
    assert full_evaluation(config, small_store((2,)), LONG) == 0  # that nothing judges
    for asked, expected in ((500, 500), (False, 0)):
        output = dataclasses.replace(config.output, evaluate=asked)
        assert full_evaluation(dataclasses.replace(config, output=output), ring, 64) == expected


def test_what_cannot_be_scored_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"output.score is -1; it takes 0 or more images"):
        trained(tmp_path, **{"output.score": -1})
    with pytest.raises(ConfigError, match=r"output.evaluate is -5; it takes a number of samples such as 10000"):
        trained(tmp_path, **{"output.evaluate": -5})
    with pytest.raises(ConfigError, match=r"nothing embedded judges 'spiral'.*--output.score false"):
        organza.train("gan", data="spiral", out=tmp_path / "spiral", changes={"output.score": 100}, device="cpu")
    assert trained(tmp_path, "off", images=32, **{"output.score": "0"}).config.output.score == 0


def test_collapsed_samples_have_a_score():
    grey = torch.full((1000, 1, 16, 16), 128, dtype=torch.uint8)
    assert GeneralScore(small_store()).of(grey)["fd-general-1k"].value > 0


class Told(Silent):
    """Keeps the plan."""

    lines: tuple = ()

    def plan(self, lines):
        self.lines = lines


def test_the_plan_tells_it(tmp_path):
    told = Told()
    organza.train("dcgan", data=write_data(tmp_path), out=tmp_path / "run", dry_run=True, reporter=told, device="cpu",
                  changes=shrunk("dcgan") | {"output.score": 32})  # fmt: skip
    (line,) = [line for line in told.lines if line.startswith("score")]
    assert line.startswith("score     fd-general-1k every 0.032 kimg, about ")
    assert line.endswith("% of the time; the best model goes to best/")
