"""Initialisation schemes that a user can put in the place of a paper's own."""

from __future__ import annotations

from torch import nn

from organza.config import ConfigError
from organza.layers.spectral import weighted_layers

SCHEMES = {
    "normal": lambda weight: nn.init.normal_(weight, 0.0, 0.02),  # arXiv:1511.06434, section 4
    "xavier": nn.init.xavier_uniform_,  # Glorot & Bengio, 2010: linear and tanh layers; SNGAN and SAGAN use it
    "he": lambda weight: nn.init.kaiming_normal_(weight, a=0.2, nonlinearity="leaky_relu"),  # arXiv:1502.01852
    "orthogonal": nn.init.orthogonal_,  # arXiv:1312.6120, as in BigGAN
}


def initialise(network: nn.Module, scheme: str) -> nn.Module:
    """Draw every weight anew by a scheme of `SCHEMES` and set its bias to zero; `own` leaves the network as it is.

    Raises ConfigError for a network that has no such weights, as those with an equalised learning rate.
    """
    if scheme == "own":
        return network
    layers = weighted_layers(network)
    if not layers:
        raise ConfigError(
            f"init '{scheme}' finds no plain convolution or linear layer in this network; leave it at own"
        )
    for layer in layers:
        SCHEMES[scheme](layer.weight)
        bias = getattr(layer, "bias", None)
        if bias is not None:
            nn.init.zeros_(bias)
    return network


def normal_layers(module: nn.Module) -> None:
    """For `apply`: weights N(0, 0.02), biases 0, gains of batch norm N(1, 0.02), as translation networks start."""
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d) and module.affine:
        nn.init.normal_(module.weight, 1.0, 0.02)
    _without_bias(module)


def xavier_layers(module: nn.Module) -> None:
    """For `apply`: weights by Glorot & Bengio (2010) with a gain of 0.02, biases 0, as CUT and SPADE start."""
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
        nn.init.xavier_normal_(module.weight, 0.02)
    elif isinstance(module, nn.BatchNorm2d) and module.affine:
        nn.init.normal_(module.weight, 1.0, 0.02)
    _without_bias(module)


def _without_bias(module: nn.Module) -> None:
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)) and module.bias is not None:
        nn.init.zeros_(module.bias)
