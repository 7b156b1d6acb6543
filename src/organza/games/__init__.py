"""The catalogue of games: which players there are, and what each computes in its turn."""

from __future__ import annotations

from organza.games.latent import LatentGame

GAMES = {"latent": LatentGame}
