import pytest
import torch
from latent_helpers import distance, tiny

from organza.hub import GAN
from organza.latent.interpolation import interpolate


def frames(film) -> torch.Tensor:
    return torch.cat(list(film))


@pytest.fixture(scope="module")
def styled() -> GAN:
    return tiny("stylegan2")


@pytest.fixture(scope="module")
def plain() -> GAN:
    return tiny("dcgan")


@pytest.mark.parametrize("way", ["linear", "slerp", "cubic"])
@pytest.mark.parametrize("space", ["z", "w"])
def test_frames_pass_through_the_samples_of_the_seeds(styled, way, space):
    film = interpolate(styled, [5, 9, 2], frames=4, space=space, way=way, truncation=0.7, batch=5)
    made = frames(film)
    assert film.count == len(made) == 12
    assert distance(made[::4], styled.sample(seeds=[5, 9, 2], truncation=0.7)) <= 1
    assert distance(made[1], made[0]) > 1
    again = frames(interpolate(styled, [5, 9, 2], frames=4, space=space, way=way, truncation=0.7, batch=5))
    assert torch.equal(again, made)


@pytest.mark.parametrize("way", ["linear", "slerp", "cubic"])
def test_an_open_film_ends_with_its_last_seed(plain, way):
    made = frames(interpolate(plain, [5, 9, 2], frames=3, way=way, loop=False, truncation=0.9))
    assert len(made) == 7
    assert distance(made[::3], plain.sample(seeds=[5, 9, 2], truncation=0.9)) <= 1


def test_the_ways_differ_between_the_seeds(styled):
    made = [frames(interpolate(styled, [0, 1, 2], frames=2, way=way)) for way in ("linear", "slerp", "cubic")]
    made.append(frames(interpolate(styled, [0, 1, 2], frames=2, way="linear", space="z")))
    assert all(distance(a[1], b[1]) > 1 for i, a in enumerate(made) for b in made[:i])


def test_a_line_in_w_is_one(styled):
    network = styled.generator
    made = frames(interpolate(styled, [3, 4], frames=2, way="linear", loop=False))
    ends = [network.mapping(torch.from_numpy(z)) for z in seeded(3, 4)]
    middle = network.synthesis((ends[0] + ends[1]) / 2).mul(127.5).add(128).clamp(0, 255).to(torch.uint8)
    assert distance(made[1:2], middle) <= 1


def seeded(*seeds):
    import numpy as np

    return [np.random.RandomState(seed).randn(1, 8).astype(np.float32) for seed in seeds]


def test_nested_seeds_are_films_side_by_side(styled):
    film = interpolate(styled, [[0, 1], [2, 3], [4, 5]], frames=3, noise="random", batch=4)
    made = frames(film)
    assert made.shape == (6, 3, 3, 16, 16)
    assert {len(part) for part in film} == {1}
    quiet = frames(interpolate(styled, [[0, 1], [2, 3], [4, 5]], frames=3))
    for track in range(3):
        alone = frames(interpolate(styled, [2 * track, 2 * track + 1], frames=3))
        assert distance(quiet[:, track], alone) <= 1
    assert distance(frames(interpolate(styled, [[0, 1], [2, 3], [4, 5]], frames=3, noise="random")), made) <= 1


def test_classes():
    gan = tiny("dcgan", classes=3)
    made = frames(interpolate(gan, [[0, 1], [2, 3]], frames=2))
    assert distance(made[::2, 0], gan.sample(seeds=[0, 1], labels=0)) <= 1  # track i shows class i
    assert distance(made[::2, 1], gan.sample(seeds=[2, 3], labels=1)) <= 1
    one = frames(interpolate(gan, [[0, 1], [2, 3]], frames=2, labels=[2, "class 0"]))
    assert distance(one[::2, 0], gan.sample(seeds=[0, 1], labels=2)) <= 1
    with pytest.raises(ValueError, match="crossed in w alone"):
        interpolate(gan, [0, 1], labels=[0, 1])
    styled = tiny("stylegan2", classes=3)
    crossed = frames(interpolate(styled, [0, 0], frames=2, labels=[1, 2], loop=False))
    assert distance(crossed[::2], styled.sample(seeds=[0, 0], labels=[1, 2])) <= 1
    assert distance(crossed[0], crossed[2]) > 5
    with pytest.raises(ValueError, match="crossed in w alone"):
        interpolate(styled, [0, 1], labels=[0, 1], space="z")


@pytest.mark.parametrize(
    ("seeds", "asked", "message"),
    [
        ([], {}, "at least one seed"),
        ([0], {}, "2 seeds or more"),
        ([0, -1], {}, "each from 0"),
        ([[0, 1], [2]], {}, "2, 1 seeds; give each as many"),
        ([0, 1], {"frames": 0}, "frames is 0"),
        ([0, 1], {"space": "w"}, "has no w"),
        ([0, 1], {"space": "x"}, "takes z or w"),
        ([0, 1], {"way": "round"}, "allowed: cubic, linear, slerp"),
        ([0, 1], {"labels": 1}, "unconditional"),
        ([0, 1], {"cutoff": 1}, "has no w"),
    ],
)
def test_mistakes_are_told_before_a_frame_is_drawn(plain, seeds, asked, message):
    with pytest.raises(ValueError, match=message):
        interpolate(plain, seeds, **asked)
