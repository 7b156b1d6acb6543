import numpy as np
import pytest
from PIL import Image

from organza.cli.data import main
from organza.config import ConfigError
from organza.data import preview


@pytest.fixture
def array(tmp_path):
    np.save(tmp_path / "toy.npy", np.random.RandomState(0).randint(0, 256, (6, 3, 50, 60), dtype=np.uint8))
    return tmp_path / "toy.npy"


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).copy()


def test_preview_augments_as_training_does(array, tmp_path):
    plain = preview(array, tmp_path / "plain.png", 4)
    never = preview(array, tmp_path / "never.png", 4, augment=["bgc"], probability=0.0)
    assert np.abs(pixels(plain).astype(int) - pixels(never)).max() <= 1
    always = preview(array, tmp_path / "always.png", 4, augment=["flip", "bgc", "noise:0.5"])
    assert np.abs(pixels(plain).astype(int) - pixels(always)).mean() > 20
    assert pixels(preview(array, tmp_path / "again.png", 4, augment=["flip", "bgc", "noise:0.5"])).tobytes() == (
        pixels(always).tobytes()
    )


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_preview_augments_other_types(dtype, tmp_path):
    values = np.random.RandomState(0).rand(3, 1, 50, 50)
    np.save(tmp_path / "toy.npy", (values * (65535 if dtype == np.uint16 else 1)).astype(dtype))
    path = preview(tmp_path / "toy.npy", tmp_path / "p.png", 3, augment=["cutout"])
    assert len(np.unique(pixels(path))) > 100


def test_the_command_takes_words_with_spaces_or_commas(array, tmp_path, capsys):
    common = ["preview", str(array), "-n", "3", "--probability", "0.5", "--augment"]
    main([*common, "flip", "geom", "hue:0.5", "--out", str(tmp_path / "a.png")])
    main([*common, "flip,geom,hue:0.5", "--out", str(tmp_path / "b.png")])
    assert capsys.readouterr().out.split() == [str(tmp_path / "a.png"), str(tmp_path / "b.png")]
    assert pixels(tmp_path / "a.png").tobytes() == pixels(tmp_path / "b.png").tobytes()


@pytest.mark.parametrize(
    ("augment", "probability", "message"),
    [
        (["bgd"], 1.0, "augment is 'bgd'; did you mean 'bg'"),
        (["flip:0.5"], 1.0, "augment is 'flip:0.5'"),
        (["hue", "hue"], 1.0, "'hue' twice"),
        (["bgc"], 1.5, "probability is 1.5; it takes 0 to 1"),
        (["flip"], 0.5, "probability is 0.5, but nothing reads it"),
    ],
)
def test_preview_refuses_nonsense(array, tmp_path, augment, probability, message):
    with pytest.raises(ConfigError, match=message):
        preview(array, tmp_path / "p.png", augment=augment, probability=probability)
    assert not (tmp_path / "p.png").exists()


def test_points_cannot_be_moved(tmp_path):
    with pytest.raises(ConfigError, match="cannot be mirrored or moved"):
        preview("ring", tmp_path / "p.png", augment=["bgc"], split="test")
    assert not (tmp_path / "p.png").exists()
