import pytest
import torch
from latent_helpers import distance, tiny

from organza.hub import GAN
from organza.latent.drawing import at_once, transform
from organza.latent.sampling import latents


@pytest.fixture(scope="module")
def styled() -> GAN:
    return tiny("stylegan2")


@pytest.fixture(scope="module")
def moving() -> GAN:
    return tiny("stylegan3", shape=(3, 32, 32), width=16, max_width=16)


@pytest.fixture(scope="module")
def plain() -> GAN:
    return tiny("dcgan")


def test_psi_goes_from_the_mean_sample_to_the_sample_and_beyond(styled):
    whole, mean = styled.sample(4), styled.sample(4, truncation=0.0)
    assert distance(styled.sample(4, truncation=1.0), whole) <= 1
    assert all(distance(image, mean[0]) <= 1 for image in mean)
    w_avg = styled.generator.mapping.w_avg
    by_hand = styled.generator.synthesis(w_avg[None]).mul(127.5).add(128).clamp(0, 255).to(torch.uint8)
    assert distance(mean[:1], by_hand) <= 1
    apart = [float((styled.sample(4, truncation=t).float() - mean.float()).abs().mean()) for t in (0.3, 0.7, 1, 1.5)]
    assert apart[0] > 1
    assert apart == sorted(apart)
    assert distance(styled.sample(4, truncation=-1), whole) > 20


def test_psi_is_the_share_of_the_way_from_the_mean_w(styled):
    network = styled.generator
    w = network.mapping(latents([3], 8))
    ws = network.broadcast(network.mapping.w_avg + 0.6 * (w - network.mapping.w_avg)).clone()
    by_hand = network.synthesis(ws).mul(127.5).add(128).clamp(0, 255).to(torch.uint8)
    assert distance(styled.sample(seeds=[3], truncation=0.6), by_hand) <= 1
    ws[:, 2:] = w[:, None]
    cut = network.synthesis(ws).mul(127.5).add(128).clamp(0, 255).to(torch.uint8)
    assert distance(styled.sample(seeds=[3], truncation=0.6, cutoff=2), cut) <= 1
    assert distance(cut, by_hand) > 5
    assert distance(styled.sample(3, truncation=0.6, cutoff=6), styled.sample(3, truncation=0.6)) <= 1


def test_noise_of_the_pixels(styled):
    const, none, random = (styled.sample(6, noise=noise) for noise in ("const", "none", "random"))
    assert torch.equal(const, styled.sample(6))
    assert min(distance(const, none), distance(const, random), distance(none, random)) > 5
    assert torch.equal(styled.sample(6, noise="random"), random)
    assert distance(styled.sample(6, noise="random", batch=2), random) <= 1  # a sample's own, in whatever batch
    assert distance(styled.sample(seeds=[4], noise="random"), random[4:5]) <= 1
    w = styled.generator.broadcast(styled.generator.mapping(latents([1], 8)))
    two = [styled.drawing(noise="random").draw(w, keys=torch.tensor([key])) for key in (1, 2)]
    assert distance(*two) > 5  # decided by the keys alone


@pytest.mark.parametrize("name", ["stylegan", "stylegan2"])
def test_every_setting_at_once_is_decided_by_the_seed(name):
    gan = tiny(name, classes=3)
    asked = {"labels": [0, 2, 1], "truncation": 0.5, "cutoff": 3, "noise": "random"}
    one = gan.sample(3, seed=7, **asked)
    torch.manual_seed(99)
    assert torch.equal(gan.sample(3, seed=7, **asked), one)
    assert distance(gan.sample(seeds=[8], **(asked | {"labels": 2}))[0], one[1]) <= 1


def test_translation_moves_what_stylegan3_draws_and_rotation_turns_it(moving):
    whole = moving.sample(3).float()
    assert torch.equal(moving.sample(3, translate=(0, 0)).float(), whole)
    inside = slice(8, 24)
    for (x, y), (dx, dy) in {(0.125, 0): (4, 0), (0, 0.125): (0, 4), (-0.125, 0.0625): (-4, 2)}.items():
        moved = moving.sample(3, translate=(x, y)).float()
        shifted = torch.roll(whole, (dy, dx), (2, 3))
        right = (moved - shifted)[:, :, inside, inside].abs().mean()
        wrong = (moved - torch.roll(whole, (-dy, -dx), (2, 3)))[:, :, inside, inside].abs().mean()
        assert right < 0.25 * wrong, (x, y, right, wrong)
    radial = tiny("stylegan3", shape=(3, 32, 32), width=16, max_width=16, kernel=1, radial=True)
    whole = radial.sample(3).float()
    for degrees, turns in ((90, 1), (-90, -1), (180, 2)):
        turned = radial.sample(3, rotate=degrees).float()
        right = (turned - torch.rot90(whole, turns, (2, 3)))[:, :, inside, inside].abs().mean()
        wrong = (turned - whole)[:, :, inside, inside].abs().mean()
        assert right < 0.25 * wrong, (degrees, right, wrong)
    asked = {"rotate": 30, "translate": (0.1, 0)}
    assert distance(radial.sample(2, truncation=0.0, **asked)[0], radial.sample(2, truncation=0.0)[0]) > 5


def test_the_transform_is_the_inverse_of_the_motion():
    square = transform((3, 64, 64), (0.25, -0.5), 90)[0]
    moved = torch.linalg.inv(square) @ torch.tensor([0.1, 0.0, 1.0])
    torch.testing.assert_close(moved, torch.tensor([0.25, -0.6, 1.0]), atol=1e-6, rtol=0)  # right turns up, y is down
    narrow = torch.linalg.inv(transform((3, 64, 32), (1.0, 0.0)))[0]
    assert narrow[0, 2] == pytest.approx(0.5)  # a picture width is half the square that the waves fill


def test_large_pictures_are_drawn_in_small_batches():
    assert [at_once((3, side, side)) for side in (16, 256, 512, 1024, 4096)] == [64, 64, 16, 4, 1]
    assert at_once((2,), 256) == 256


def test_truncation_without_w_is_that_of_the_noise(plain):
    assert torch.equal(plain.sample(3, truncation=0.5), plain.sample(3, truncation=0.5, batch=1))
    made = plain.generator(latents(range(3), 8, 0.5)).mul(127.5).add(128).clamp(0, 255).to(torch.uint8)
    assert distance(plain.sample(3, truncation=0.5), made) <= 1


@pytest.mark.parametrize(
    ("name", "asked", "message"),
    [
        ("stylegan2", {"truncation": 2.5}, "share of the way from the mean w: it takes -1 to 2"),
        ("stylegan2", {"truncation": float("nan")}, "it takes -1 to 2"),
        ("stylegan2", {"cutoff": 3}, "no effect without truncation"),
        ("stylegan2", {"truncation": 0.5, "cutoff": 7}, "has 6 layers, it takes 1 to 6"),
        ("stylegan2", {"truncation": 0.5, "cutoff": 0}, "it takes 1 to 6"),
        ("stylegan2", {"noise": "constant"}, "did you mean 'const'"),
        ("stylegan2", {"rotate": 10}, "is no StyleGAN3"),
        ("stylegan2", {"labels": 0}, "unconditional"),
        ("stylegan3", {"noise": "none"}, "this generator has none"),
        ("stylegan3", {"translate": (float("inf"), 0)}, "finite"),
        ("dcgan", {"truncation": 0}, "above 0"),
        ("dcgan", {"truncation": 0.5, "cutoff": 2}, "has no w"),
        ("dcgan", {"noise": "const"}, "this generator has none"),
        ("dcgan", {"translate": (0.1, 0)}, "is no StyleGAN3"),
    ],
)
def test_a_setting_without_effect_is_refused(name, asked, message, styled, moving, plain):
    gan = {"stylegan2": styled, "stylegan3": moving, "dcgan": plain}[name]
    with pytest.raises(ValueError, match=message):
        gan.sample(2, **asked)
