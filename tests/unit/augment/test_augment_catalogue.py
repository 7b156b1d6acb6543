import pytest
import torch
from augment_helpers import EVERYTHING, WORDS, draws, images

from organza.augment import AUGMENTATIONS, GROUPS, augmentation
from organza.config import ConfigError


@pytest.mark.parametrize("shape", [(6, 1, 28, 28), (3, 2, 9, 20), (4, 3, 16, 16), (3, 4, 24, 17), (2, 5, 3, 2)])
@pytest.mark.parametrize("word", WORDS)
def test_any_channels_and_sizes(shape, word):
    x, run = images(*shape), augmentation((word,))
    torch.testing.assert_close(run(x, draws(shape[0]), 0.0), x, atol=2e-5, rtol=0)
    y = run(x, draws(shape[0]), 1.0)
    assert (y.shape, y.dtype) == (x.shape, x.dtype)
    assert y.isfinite().all()
    assert (y - x).abs().max() > 0.1


@pytest.mark.parametrize("word", ["blit", "color-ada", "noise", "cutout", "diffaugment"])
def test_nothing_happens_at_zero_to_the_bit(word):
    x = images(5, 3, 12, 10)
    assert torch.equal(augmentation((word,))(x, draws(5), 0.0), x)


@pytest.mark.parametrize("word", [*WORDS, "bgc"])
def test_a_sample_does_not_see_its_batch(word):
    x, run = images(8, 3, 16, 16), augmentation((word,))
    whole, part = run(x, draws(8), 0.7), run(x[2:5], draws(8).within(slice(2, 5)), 0.7)
    torch.testing.assert_close(whole[2:5], part, atol=1e-5, rtol=0)
    other = augmentation((word,))(x, draws(8, seed=1), 0.7)
    assert (whole - other).abs().max() > 0.1


@pytest.mark.parametrize("word", ["blit", "geom", "filter", "cutout"])
def test_equal_draws_change_real_and_fake_alike(word):
    real, fake, run = images(4, 3, 12, 12), images(4, 3, 12, 12, seed=1), augmentation((word,))
    both = run(real + fake, draws(4), 1.0)
    torch.testing.assert_close(run(real, draws(4), 1.0) + run(fake, draws(4), 1.0), both, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("word", AUGMENTATIONS)
def test_second_derivatives(word):
    x = images(3, 3, 4, 5, dtype=torch.float64).requires_grad_()
    run = augmentation((word,))
    assert run(x, draws(3), 1.0).dtype == torch.float64

    def bent(x):
        return run(x, draws(3), 1.0).pow(3)

    assert torch.autograd.gradcheck(bent, (x,), fast_mode=True)
    assert torch.autograd.gradgradcheck(bent, (x,), fast_mode=True)


def test_second_derivatives_of_the_whole():
    x = images(2, 2, 3, 4, dtype=torch.float64).requires_grad_()
    run = augmentation(EVERYTHING)
    assert torch.autograd.gradgradcheck(lambda x: run(x, draws(2), 0.8).pow(3), (x,), fast_mode=True)


def test_a_penalty_through_the_augmentation_trains_the_discriminator():
    torch.manual_seed(0)
    judge, x = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Tanh()), images(4, 3, 16, 16).requires_grad_()
    logits = judge(augmentation(("bgc",))(x, draws(4), 0.8)).sum((1, 2, 3))
    (gradient,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
    gradient.square().sum().backward()
    assert all(weight.grad is not None for weight in judge.parameters())
    assert judge[0].weight.grad.abs().min() > 0


def test_the_order_of_words_does_not_matter():
    x = images(6, 3, 16, 16)
    words = ("noise", "saturation", "scale", "cutout", "brightness", "xint", "xflip")
    assert torch.equal(augmentation(words)(x, draws(6), 0.9), augmentation(words[::-1])(x, draws(6), 0.9))


def test_the_sets_of_ada_grow_by_one_part_each():
    parts = [set(GROUPS[name]) for name in ("blit", "geom", "color-ada")] + [{"filter"}, {"noise"}, {"cutout"}]
    for number, name in enumerate(("bg", "bgc", "bgcf", "bgcfn", "bgcfnc"), start=2):
        assert set(GROUPS[name]) == set().union(*parts[:number])
        augmentation((name,))


def test_groups_are_their_operations():
    x = images(6, 3, 16, 16)
    for name, words in GROUPS.items():
        assert torch.equal(augmentation((name,))(x, draws(6), 0.9), augmentation(words)(x, draws(6), 0.9))
    assert augmentation(())(x, draws(6), 1.0) is x


def test_whole_steps_are_one_with_the_geometry():
    """What a step moves out and a later move brings back is still there."""
    x, numbers = images(64, 1, 32, 32), draws(64)
    step = -AUGMENTATIONS["xint"].act(x, numbers, 1.0)[:, 0, 2]
    move = -AUGMENTATIONS["xfrac"].act(x, numbers, 1.0)[:, 0, 2]
    back = (step + move).abs().add(10 * (step.abs() < 2)).argmin()
    together = augmentation(("xint", "xfrac"))(x, numbers, 1.0)[back]
    apart = augmentation(("xfrac",))(augmentation(("xint",))(x, numbers, 1.0), numbers, 1.0)[back]
    assert (together - apart).abs().max() > 0.1
    assert (together - apart)[..., 14:18, 14:18].abs().max() < 0.05


def test_shares_divide_the_probability():
    x = images(4000, 1, 1, 1)

    def changed(word, p):
        return ((augmentation((word,))(x, draws(4000), p) - x).abs() > 1e-5).float().mean().item()

    assert changed("brightness:0.5", 0.6) == pytest.approx(0.3, abs=0.03)
    assert changed("noise:0.5", 0.6) == pytest.approx(0.3, abs=0.03)
    assert changed("color-ada:0.25", 0.4) == pytest.approx(1 - 0.9**2 * 0.95, abs=0.03)  # hue, saturation: not of grey


def test_the_probability_may_be_a_tensor():
    x, run = images(8, 3, 12, 12), augmentation(EVERYTHING)
    assert torch.equal(run(x, draws(8), torch.tensor(0.5)), run(x, draws(8), 0.5))


def test_nothing_waits_for_the_device():
    """Fake tensors have no values: reading one back, `if` and `.item()` included, raises."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    x, numbers, p = images(2, 3, 8, 8), draws(2), torch.tensor(0.5)
    run = augmentation(EVERYTHING)
    run(x, numbers, p)  # the matrices are there
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        numbers = type(numbers)(mode.from_tensor(numbers.keys))
        y = run(mode.from_tensor(x), numbers, mode.from_tensor(p))
    assert y.shape == x.shape


def test_autocast_does_not_blur_the_geometry():
    x, run = images(4, 3, 16, 16), augmentation(EVERYTHING)
    with torch.autocast("cpu", torch.bfloat16):
        y = run(x, draws(4), 0.8)
    assert torch.equal(y, run(x, draws(4), 0.8))


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (("brightnes",), "'brightnes'; did you mean 'brightness'"),
        (("bgd",), "'bgd'; did you mean 'bg'"),
        (("hue", "hue"), "'hue' twice"),
        (("bgc", "scale:0.5"), "'scale' twice: in 'scale:0.5'"),
        (("hue:2",), "'hue:2'; after the colon"),
        (("hue:0",), "'hue:0'; after the colon"),
        (("hue:",), "'hue:'; after the colon"),
        (("hue:nan",), "'hue:nan'; after the colon"),
        (("hue:half",), "'hue:half'; after the colon"),
    ],
)
def test_wrong_words_say_what_to_type(policy, message):
    with pytest.raises(ConfigError, match=message):
        augmentation(policy)


def test_points_are_refused():
    with pytest.raises(ConfigError, match="takes images, not samples of shape \\(2,\\)"):
        augmentation(("bgc",))(torch.zeros(3, 2), draws(3), 0.5)
