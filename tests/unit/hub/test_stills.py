"""Pictures with transparency through networks: what is hidden stays hidden, and those of four channels see it all."""

import numpy as np
import pytest
import torch

from organza.cli import translate
from organza.config import ConfigError, Model
from organza.data.pixels import recolour
from organza.data.still import Still, read_still, save_still
from organza.hub.stills import translate_still
from organza.hub.translator import Translator, save
from organza.models import translator


def made(name="pix2pix", source=3, shape=3, degrade="none", **options):
    torch.manual_seed(0)
    options = options or {"width": 4, "downs": 3, "dropout": 0.0}
    model = Model(name=name, options=options)
    network = translator(model, (source, 32, 32), (shape, 32, 32)).eval()
    return Translator(network, model, (source, 32, 32), (shape, 32, 32), recipe=name, degrade=degrade)


class Same(torch.nn.Module):
    """Gives what it takes."""

    multiple, z_dim = 1, 0

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def forward(self, x, z=None, labels=None):
        return x * self.weight


class Twice(Same):
    """Twice as tall and wide; of three channels each is darker than the one before."""

    def __init__(self, channels):
        super().__init__()
        self.share = torch.linspace(0, 1, channels + 1)[:-1].view(-1, 1, 1)

    def forward(self, x, z=None, labels=None):
        grey = x.mean(1, keepdim=True).repeat_interleave(2, 2).repeat_interleave(2, 3)
        return grey - self.share * (grey + 1)


def veiled(under=0, dtype=np.uint8, side=16):
    """Half opaque, a quarter half transparent, and a quarter transparent over a hidden colour."""
    most = np.iinfo(dtype).max
    pixels = np.random.default_rng(0).integers(0, most + 1, (3, side, side), dtype)
    alpha = np.full((1, side, side), most, dtype)
    alpha[:, :, side // 2 :], alpha[:, :, 3 * side // 4 :] = most // 2, 0
    return Still(np.where(alpha > 0, pixels, dtype(under)), alpha)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_colours_under_what_is_transparent_do_not_matter(dtype):
    found, most = made(), np.iinfo(dtype).max
    black, white = (translate_still(found, veiled(under, dtype)) for under in (0, most))
    assert np.array_equal(black.pixels, white.pixels)
    assert np.array_equal(black.alpha, veiled(dtype=dtype).alpha)


def test_over_white_the_result_is_what_the_network_made():
    same, still = Translator(Same().eval(), Model(name="same"), (3, 8, 8), (3, 8, 8)), veiled()
    found, seen = translate_still(same, still), still.alpha[0] > 0
    assert np.array_equal(found.alpha, still.alpha)
    assert np.abs(found.pixels.astype(int) - still.pixels)[:, seen].max() <= 1


@pytest.mark.parametrize(("source", "shape"), [(4, 4), (4, 3), (3, 4), (1, 4)])
@pytest.mark.parametrize("still", [veiled(), Still(veiled().pixels), Still(veiled().pixels[:1])])
def test_networks_of_four_channels_see_and_give_transparency(source, shape, still):
    found = translate_still(made(source=source, shape=shape), still)
    assert (found.pixels.shape, found.alpha is not None) == ((3, 16, 16), shape == 4)
    if (source, shape) == (4, 4) and still.alpha is not None:
        planes = torch.from_numpy(still.planes)[None]
        assert np.array_equal(found.planes, made(source=4, shape=4).translate(planes)[0].numpy())


@pytest.mark.parametrize(("source", "shape", "grey"), [(1, 3, False), (3, 1, False), (1, 3, True), (3, 3, True)])
def test_transparency_through_a_network_of_any_channels_is_one_plane(tmp_path, source, shape, grey):
    """And the luma of what the network makes of it as a grey picture."""
    network = Twice(shape).eval()
    found, still = Translator(network, Model(name="twice"), (source, 8, 8), (shape, 16, 16)), veiled()
    enlarged = translate_still(found, Still(still.pixels[:1] if grey else still.pixels, still.alpha), "network")
    save_still(enlarged, tmp_path / "a.png")
    written = read_still(tmp_path / "a.png")
    assert (enlarged.alpha.shape, written.alpha.shape) == ((1, 32, 32), (1, 32, 32))
    seen = torch.from_numpy(still.alpha.repeat(source, 0))[None]
    expected = recolour(found.translate(seen)[0].permute(1, 2, 0).numpy(), 1)[..., 0]
    assert np.array_equal(written.alpha[0], expected)
    assert (expected.min(), expected.max()) == (0, 255 if shape == 1 else 186)


def test_a_hole_is_no_transparency():
    for found in (made("lama", 4, width=4, blocks=1), made(source=4, degrade="hole")):
        with pytest.raises(ConfigError, match="pictures of 4 channels"):
            translate_still(found, veiled())


def test_a_run_of_four_channels_is_written_and_shown(tmp_path, capsys):
    (tmp_path / "model").mkdir()
    save(made(source=4, shape=4), tmp_path / "model", "---\n---\n")
    save_still(veiled(), tmp_path / "a.png")
    translate.main([str(tmp_path / "a.png"), "--model", str(tmp_path / "model"), "--out", str(tmp_path / "out")])
    assert "failed" not in capsys.readouterr().out
    assert read_still(tmp_path / "out" / "a-b.png").alpha is not None
    assert (tmp_path / "out" / "before-after" / "1-after.jpg").is_file()
