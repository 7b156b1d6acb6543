"""The catalogue of recipes: one function per published GAN, `recipe(shape, size) -> Config`.

`shape` is that of one sample, (C, H, W) or (D,); `size` is `laptop` (trains on a CPU) or `paper` (as published).
"""

from __future__ import annotations

from collections.abc import Callable

from organza.config import Config, Shape, Size
from organza.recipes.acgan import acgan
from organza.recipes.animegan import animegan
from organza.recipes.biggan import biggan, biggan_deep
from organza.recipes.cgan import cgan
from organza.recipes.colorize import colorize, colorize_nogan
from organza.recipes.cut import cut, fastcut
from organza.recipes.cyclegan import cyclegan
from organza.recipes.dcgan import dcgan
from organza.recipes.dragan import dragan
from organza.recipes.esrgan import esrgan
from organza.recipes.fastgan import fastgan
from organza.recipes.gan import gan
from organza.recipes.infogan import infogan
from organza.recipes.inpaint import inpaint
from organza.recipes.lama import lama
from organza.recipes.lsgan import lsgan
from organza.recipes.munit import munit
from organza.recipes.pix2pix import pix2pix
from organza.recipes.pix2pixhd import pix2pixhd
from organza.recipes.progan import progan
from organza.recipes.projected_gan import projected_gan
from organza.recipes.r3gan import r3gan
from organza.recipes.real_esrgan import real_esrgan
from organza.recipes.sagan import sagan
from organza.recipes.sngan import sngan
from organza.recipes.spade import spade
from organza.recipes.stargan import stargan
from organza.recipes.stargan_v2 import stargan_v2
from organza.recipes.stylegan import stylegan
from organza.recipes.stylegan2 import stylegan2, stylegan2_ada
from organza.recipes.stylegan3 import stylegan3_r, stylegan3_t
from organza.recipes.unit import unit
from organza.recipes.wgan import wgan
from organza.recipes.wgan_gp import wgan_gp

Recipe = Callable[[Shape, Size], Config]

RECIPES: dict[str, Recipe] = {
    "gan": gan,
    "dcgan": dcgan,
    "cgan": cgan,
    "acgan": acgan,
    "infogan": infogan,
    "lsgan": lsgan,
    "dragan": dragan,
    "wgan": wgan,
    "wgan-gp": wgan_gp,
    "r3gan": r3gan,
    "progan": progan,
    "fastgan": fastgan,
    "projected-gan": projected_gan,
    "sngan": sngan,
    "sagan": sagan,
    "biggan": biggan,
    "biggan-deep": biggan_deep,
    "stylegan": stylegan,
    "stylegan2": stylegan2,
    "stylegan2-ada": stylegan2_ada,
    "stylegan3-t": stylegan3_t,
    "stylegan3-r": stylegan3_r,
    "pix2pix": pix2pix,
    "cyclegan": cyclegan,
    "cut": cut,
    "fastcut": fastcut,
    "pix2pixhd": pix2pixhd,
    "spade": spade,
    "unit": unit,
    "munit": munit,
    "stargan": stargan,
    "stargan-v2": stargan_v2,
    "animegan": animegan,
    "esrgan": esrgan,
    "real-esrgan": real_esrgan,
    "inpaint": inpaint,
    "lama": lama,
    "colorize": colorize,
    "colorize-nogan": colorize_nogan,
}

MEASURED: dict[str, str] = {
    "gan": "ring: 8 of 8 modes, 90 % within 3 sigma",
    "dcgan": "mnist: FD 10.5, digits, 10k",
    "cgan": "mnist: FD 2.4, digits, 10k",
    "wgan-gp": "mnist: FD 78.4, digits, 10k",
    "infogan": "mnist: FD 8.2, digits, 10k",
    "r3gan": "mnist: FD 15.1, digits, 10k",
    "acgan": "mnist: FD 4.0, digits, 10k, 5 minutes",
    "lsgan": "mnist: FD 11.3, digits, 10k, 5 minutes",
    "dragan": "mnist: FD 31.2, digits, 10k, 5 minutes",
    "wgan": "mnist: FD 127.6, digits, 10k, 5 minutes",
    "progan": "mnist: FD 123.3, digits, 10k, 5 minutes",
    "fastgan": "mnist: FD 126.1, digits, 10k, 5 minutes",
    "projected-gan": "mnist: FD 173.9, digits, 10k, 5 minutes",
    "sngan": "mnist: FD 18.5, digits, 10k, 5 minutes",
    "sagan": "mnist: FD 30.7, digits, 10k, 5 minutes",
    "biggan": "mnist: FD 19.0, digits, 10k, 5 minutes",
    "biggan-deep": "mnist: FD 33.2, digits, 10k, 5 minutes",
    "stylegan": "emoji 32: FD 1144.2, efficientnet, 10k, 20 minutes",
    "stylegan2": "emoji 32: FD 942.4, efficientnet, 10k, 20 minutes",
    "stylegan3-t": "emoji 32: FD 1631.4, efficientnet, 10k, 20 minutes",
    "stylegan3-r": "emoji 32: FD 1570.2, efficientnet, 10k, 20 minutes",
    "stylegan2-ada": "emoji 64: FD 4.1, general, 1k, 46 minutes",
}
"""What the default of a recipe reached, with its protocol, as in benchmarks/results; `organza recipes` shows it."""
