"""The catalogue of games: who plays with what. Each is played by the rules of `organza.games.latent`."""

from __future__ import annotations

from dataclasses import dataclass

from organza.games.latent import LatentGame as LatentGame


@dataclass(frozen=True)
class Kind:
    """What the players of a game are given."""

    about: str
    translates: bool = False  # G starts from images
    paired: bool = False  # each with its counterpart among the targets
    beside: bool = False  # D sees what was translated beside the result
    both_ways: bool = False  # two pairs of players at once: A to B and B to A, side by side on the channels
    domains: bool = False  # from any class of one set to any other


GAMES = {
    "latent": Kind("noise -> samples (arXiv:1406.2661)"),
    "paired": Kind("image -> its counterpart, which D sees side by side (arXiv:1611.07004)", True, True, beside=True),
    "restore": Kind("image -> its counterpart, of which D sees only the result (arXiv:1609.04802)", True, True),
    "unpaired": Kind("image of A -> an image of B (arXiv:2007.15651)", True),
    "cycle": Kind("A -> B and B -> A at once (arXiv:1703.10593)", True, both_ways=True),
    "domains": Kind("image of one class -> the same in another class (arXiv:1711.09020)", True, domains=True),
}
