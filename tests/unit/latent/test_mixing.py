import pytest
import torch
from latent_helpers import distance, tiny

from organza.hub import GAN
from organza.latent.mixing import layers_of, mix


@pytest.fixture(scope="module")
def styled() -> GAN:
    return tiny("stylegan2", shape=(3, 32, 32))  # 8 layers


def test_sources_are_samples_and_no_layers_or_all_make_one_of_them(styled):
    found = mix(styled, [0, 1], [5, 6, 7], "0-7", truncation=0.8)
    assert found.mixed.shape == (2, 3, 3, 32, 32)
    assert distance(found.rows, styled.sample(seeds=[0, 1], truncation=0.8)) <= 1
    assert distance(found.columns, styled.sample(seeds=[5, 6, 7], truncation=0.8)) <= 1
    for row in range(2):
        assert distance(found.mixed[row], found.columns) <= 1
    none = mix(styled, [0, 1], [5, 6, 7], [], truncation=0.8)
    for column in range(3):
        assert distance(none.mixed[:, column], none.rows) <= 1


def test_a_mixed_picture_has_the_codes_of_both(styled):
    network = styled.generator
    found = mix(styled, [0], [5], "2-3,6")
    ws = network.broadcast(network.mapping(torch.from_numpy(noise(0)))).clone()
    ws[:, [2, 3, 6]] = network.mapping(torch.from_numpy(noise(5)))[:, None]
    by_hand = network.synthesis(ws).mul(127.5).add(128).clamp(0, 255).to(torch.uint8)
    assert found.layers == (2, 3, 6)
    assert distance(found.mixed[0], by_hand) <= 1
    assert min(distance(found.mixed[0], found.rows), distance(found.mixed[0], found.columns)) > 5


def noise(seed):
    import numpy as np

    return np.random.RandomState(seed).randn(1, 8).astype(np.float32)


def test_the_figure_has_its_sources_on_top_and_on_the_left(styled, listener):
    found = mix(styled, [0, 1], [5, 6, 7], "coarse", noise="random", batch=4, progress=listener)
    cells = found.cells().view(3, 4, 3, 32, 32)
    assert (cells[0, 0] == 255).all()
    assert torch.equal(cells[0, 1:], found.columns)
    assert torch.equal(cells[1:, 0], found.rows)
    assert torch.equal(cells[1:, 1:], found.mixed)
    assert listener.steps[-1] == ("mixing", 11, 11)


def test_names_of_layers(styled):
    drawing = styled.drawing()
    assert layers_of("coarse", drawing) == (0, 1, 2, 3)
    assert layers_of("middle, 1", drawing) == (1, 4, 5, 6, 7)
    assert layers_of([3, 3, 0], drawing) == (0, 3)
    assert layers_of("fine", tiny("stylegan2", shape=(3, 64, 64)).drawing()) == (8, 9)
    for wrong in ("fine", "8", "6-8", "3-1", "x", "", "-1", "0-7,9"):
        with pytest.raises(ValueError, match=r"layers 0-7.*coarse \(0-3\), middle \(4-7\)$"):
            layers_of(wrong, drawing)


def test_bigGAN_mixes_the_parts_of_its_noise():
    gan = tiny("biggan", classes=3, z_dim=9)  # 3 parts
    found = mix(gan, [0, 1], [5, 6], "0", labels=2)
    assert distance(found.rows, gan.sample(seeds=[0, 1], labels=2)) <= 1
    z = torch.from_numpy(wide(0))
    z[:, :3] = torch.from_numpy(wide(5))[:, :3]
    by_hand = gan.generator(z, torch.tensor([2])).mul(127.5).add(128).clamp(0, 255).to(torch.uint8)
    assert distance(found.mixed[0, :1], by_hand) <= 1
    apart = mix(gan, [0], [5], "0-2", labels=[1, 2])  # the class is the row's
    assert distance(apart.mixed[0], gan.sample(seeds=[5], labels=1)) <= 1
    with pytest.raises(ValueError, match=r"parts of different sizes \(4, 3, 3\)"):
        mix(tiny("biggan", z_dim=10), [0], [1], "0")


def wide(seed):
    import numpy as np

    return np.random.RandomState(seed).randn(1, 9).astype(np.float32)


def test_what_cannot_be_mixed(styled):
    with pytest.raises(ValueError, match="from one code; organza interpolate goes"):
        mix(tiny("dcgan"), [0], [1])
    with pytest.raises(ValueError, match="one seed of a row and one of a column"):
        mix(styled, [], [1], "coarse")
    with pytest.raises(ValueError, match="2 labels for 3 samples"):
        mix(tiny("stylegan2", classes=2), [0], [1, 2], "0", labels=[0, 1])
