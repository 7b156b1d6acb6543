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
