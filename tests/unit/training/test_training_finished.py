"""What taking up a run does that has nothing left to do, or that died between a checkpoint and its second name."""

import json

import organza
from organza.training import checkpoint

SMALL = {
    "generator.model.width": 8, "discriminator.model.width": 8, "batch": 64, "output.log": 256,
    "output.samples": 512, "output.checkpoint": 256,
}  # fmt: skip


def scores(run) -> list[dict]:
    lines = [json.loads(line) for line in (run.path / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if "score/high-quality" in line]


def test_a_finished_run_is_not_scored_again(tmp_path):
    run = organza.train("gan", data="ring", out=tmp_path / "run", images=512, changes=SMALL, device="cpu")
    before = scores(run)
    assert [line["images"] for line in before] == [256, 512]
    again = organza.train(out=run.path, resume=True, device="cpu")
    assert scores(again) == before
    assert json.loads((run.path / "summary.json").read_text())["status"] == "finished"


def test_the_best_has_its_second_name_after_a_kill_before_it(tmp_path):
    run = organza.train("gan", data="ring", out=tmp_path / "run", images=256, changes=SMALL, device="cpu")
    best, newest = run.path / "checkpoints" / "best.safetensors", run.checkpoints()[-1]
    assert checkpoint.load(best)["counters"]["images"] == 256
    best.unlink()
    organza.train(out=run.path, resume=True, images=256, device="cpu")
    assert best.read_bytes()
    assert checkpoint.load(best)["counters"] == checkpoint.load(newest)["counters"]
