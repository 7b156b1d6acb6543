import numpy as np
import pytest
import torch

from organza.config import Model
from organza.hub import GAN
from organza.models import build, complete

CLASSES = ("cat", "dog", "7")


def gan(classes=CLASSES, **options) -> GAN:
    torch.manual_seed(0)
    model = complete(Model(name="dcgan", options={"width": 8, "z_dim": 6, **options}), "generator")
    network = build(model, "generator", (1, 16, 16), len(classes)).eval().requires_grad_(False)
    for parameter in network.parameters():
        parameter.mul_(4)  # an untrained network makes grey images that all look the same
    return GAN(network, model, (1, 16, 16), classes, "test")


@pytest.fixture(scope="module")
def conditional() -> GAN:
    return gan()


@pytest.fixture(scope="module")
def plain() -> GAN:
    return gan(())


def test_sample_i_comes_from_its_seed_alone(plain):
    many = plain.sample(7, seed=10)
    assert many.dtype == torch.uint8
    assert many.shape == (7, 1, 16, 16)
    assert torch.equal(plain.sample(7, seed=10, batch=2), many)
    assert torch.equal(plain.sample(7, seed=10, batch=1), many)
    assert torch.equal(plain.sample(1, seed=13)[0], many[3])
    assert torch.equal(plain.sample(seeds=[13, 10, 13]), many[[3, 0, 3]])
    assert len({image.numpy().tobytes() for image in many}) == 7
    assert len(plain.sample()) == 64


def test_samples_are_those_of_the_contract(plain):
    z = torch.from_numpy(np.random.RandomState(5).randn(1, 6)).float()
    with torch.no_grad():
        image = plain.generator(z)
    expected = (image * 127.5 + 128).clamp(0, 255).to(torch.uint8)
    assert torch.equal(plain.sample(1, seed=5), expected)


def test_the_global_random_state_is_neither_used_nor_changed(plain):
    torch.manual_seed(1)
    np.random.seed(1)
    before, one = torch.get_rng_state(), plain.sample(3)
    assert torch.equal(torch.get_rng_state(), before)
    assert np.random.rand() == np.random.RandomState(1).rand()
    torch.manual_seed(2)
    assert torch.equal(plain.sample(3), one)


def test_labels(conditional):
    cats = conditional.sample(3, labels="cat")
    assert torch.equal(conditional.sample(3, labels=0), cats)
    assert torch.equal(conditional.sample(3, labels=[0, "cat", 0]), cats)
    assert torch.equal(conditional.sample(3, labels=torch.zeros(3, dtype=torch.long)), cats)
    assert not torch.equal(conditional.sample(3, labels="dog"), cats)
    assert torch.equal(conditional.sample(5), conditional.sample(5, labels=[0, 1, 2, 0, 1]))
    assert conditional.label_numbers("7", 2).tolist() == [2, 2]  # a class named 7 wins over the number
    assert conditional.label_numbers("1", 1).tolist() == [1]


@pytest.mark.parametrize("labels", ["cow", 3, -1, [0, 1], ["cat", "dog", "cow"], "-1", "", 1.5, [0.5, 1, 2]])
def test_wrong_labels(conditional, labels):
    with pytest.raises(ValueError):
        conditional.sample(3, labels=labels)


def test_labels_of_an_unconditional_gan(plain):
    with pytest.raises(ValueError, match="unconditional"):
        plain.sample(2, labels=0)


@pytest.mark.parametrize(
    "asked", [{"n": 0}, {"n": -1}, {"seeds": []}, {"n": 1, "seed": -1}, {"n": 2, "seed": 2**32 - 1}]
)
def test_no_or_impossible_seeds(plain, asked):
    with pytest.raises(ValueError, match="seed"):
        plain.sample(**asked)


def test_truncation_narrows_samples(plain):
    wide, narrow = (plain.sample(32, truncation=t).float() for t in (None, 0.1))
    assert narrow.std(0).mean() < 0.7 * wide.std(0).mean()
    with pytest.raises(ValueError, match="truncation"):
        plain.sample(2, truncation=0.0)


def test_sampling_leaves_a_training_generator_in_training():
    one = gan(())
    one.generator.train()
    buffers = {name: tensor.clone() for name, tensor in one.generator.named_buffers()}
    one.sample(4)
    assert one.generator.training
    assert all(torch.equal(tensor, buffers[name]) for name, tensor in one.generator.named_buffers())
