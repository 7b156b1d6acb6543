"""Regularisers of a player's turn: what it has at hand -> one value per sample [B], in float32.

The engine adds `weight * every * mean` to the loss of every `every`-th turn, in the same backward pass.

| name | of | when and why | usual weight |
|---|---|---|---|
| r1, r2 | D | the safe choice for logistic losses: the game converges; r2 for relativistic ones too | gamma / 2 |
| gradient-norm | D | WGAN-GP: keeps a critic near slope 1 everywhere between data and samples | 10 |
| dragan | D | the same around the data only; goes with non-saturating losses | 10 |
| drift | D | keeps a critic's level, which its loss leaves open | 0.001 |
| lecam | D | few images: holds D's answers to those of the recent past | 0.3 |
| cr, bcr, zcr | D (zcr: G too) | D should not care for shifts and flips of reals, of both, for steps in z | 10, 10, 5 |
| orthogonal | both | BigGAN: keeps truncated noise usable | 0.0001 |
| feature-matching | G | a calmer aim for G than D's last word | 1 |
| classification | both | AC-GAN: the class must be legible | 1 |
| classification-of-reals | D | the same from reals alone: for classes of G that settle in wrong places | 1 |
| mutual-information | both | InfoGAN: the codes must be legible | 1 |
| path-length | G | StyleGAN2: equal steps in w move the picture equally far; smoother, easier to project | 2 |
| reconstruction | D | FastGAN: D must know enough of a real image to draw it | 1 |
| pixel | G, paired | pix2pix: results near their counterparts; alone it blurs | 100 |
| perceptual | G, paired | the same as a trained network sees it (`eyes.py`): sharper than pixel | 1 to 10 |
| pixel-sharpened, perceptual-sharpened | G, paired | Real-ESRGAN: the same to the sharpened counterpart | 10 |
| known, both-stages | G, holes | LaMa: L1 outside the hole; DeepFill: L1 of both its drawings | 1 |
| judged-alike | G, paired | pix2pixHD: the same in D's own layers; calmer than its last word | 10 |
| cycle | G, both ways, classes | CycleGAN: a result must lead back to its source | 10 |
| identity | G, unpaired | colours stay: what is of the target kind is left alone | 5 |
| patches, patches-of-targets | G, one way | CUT: what is at a place stays recognisable there | 1 |
| image | G of MUNIT, UNIT | what is encoded and drawn again in its own domain stays as it is | 10 |
| style | G of MUNIT, StarGAN v2 | the style must be legible in the result: it cannot be ignored | 1 |
| content | G of MUNIT | the content must be legible in the result | 1 |
| codes, codes-of-results | G of UNIT; of SPADE, codes | codes stay near a standard normal, to be drawn from | 0.01 |
| diversity | G of StarGAN v2 | two styles make two images; its weight falls to 0 | 1 |
| references | both, of StarGAN v2 | styles read from images count like styles drawn from noise | 1 |
| drawing-content, drawing-colour | G of AnimeGAN | the drawing shows what the photograph shows | - |
| drawing-style, drawing-variation | G of AnimeGAN | the brush of the drawings; flat areas | - |
| drawing-grey, drawing-blurred | D of AnimeGAN | drawings without colours, or without lines, are fakes | 1 |
| smooth | G | less noise in results | 0.0001 to 1 |
"""

from __future__ import annotations

from organza.penalties import domains, drawings
from organza.penalties.evidence import Evidence as Evidence
from organza.penalties.evidence import Rule
from organza.penalties.features import (
    classification,
    classification_of_reals,
    consistency,
    feature_matching,
    latent_consistency,
    mutual_information,
    orthogonal,
    reconstruction,
)
from organza.penalties.gradients import dragan, drift, gradient_norm, lecam, path_length, squared_gradient
from organza.penalties.pictures import (
    cycle,
    identity,
    judged_alike,
    patches,
    patches_of_targets,
    perceptual,
    pixel,
    smooth,
)
from organza.penalties.restoration import both_stages, known, perceptual_sharpened, pixel_sharpened

BOTH, MAKER = ("discriminator", "generator"), ("generator",)
PENALTIES = {
    "r1": Rule(lambda seen: squared_gradient(seen.real, seen.real_logits), real_gradient=True),
    "r2": Rule(lambda seen: squared_gradient(seen.fake, seen.fake_logits), fake_gradient=True),
    "gradient-norm": Rule(lambda seen: gradient_norm(seen.judge, seen.real, seen.fake, seen.mix)),
    "dragan": Rule(dragan),
    "drift": Rule(lambda seen: drift(seen.real_logits)),
    "lecam": Rule(lecam),
    "cr": Rule(lambda seen: consistency(seen, with_fakes=False), images_only=True),
    "bcr": Rule(lambda seen: consistency(seen, with_fakes=True), images_only=True),
    "zcr": Rule(latent_consistency, players=BOTH),
    "orthogonal": Rule(lambda seen: orthogonal(seen.player), players=BOTH),
    "feature-matching": Rule(feature_matching, players=("generator",), real_features=True),
    "classification": Rule(classification, players=BOTH, head="classes"),
    "classification-of-reals": Rule(classification_of_reals, head="classes"),
    "mutual-information": Rule(mutual_information, players=BOTH, head="codes"),
    "path-length": Rule(path_length, players=("generator",), styles=True),
    "reconstruction": Rule(reconstruction, images_only=True),
    "pixel": Rule(pixel, players=MAKER, of="pairs"),
    "perceptual": Rule(perceptual, players=MAKER, of="pairs", looks=True),
    "pixel-sharpened": Rule(pixel_sharpened, players=MAKER, of="pairs"),
    "perceptual-sharpened": Rule(perceptual_sharpened, players=MAKER, of="pairs", looks=True),
    "known": Rule(known, players=MAKER, of="pairs"),
    "both-stages": Rule(both_stages, players=MAKER, of="pairs"),
    "judged-alike": Rule(judged_alike, players=MAKER, real_features=True, of="pairs"),
    "cycle": Rule(cycle, players=MAKER, of="translation"),
    "identity": Rule(identity, players=MAKER, of="translation"),
    "patches": Rule(patches, players=MAKER, of="translation", head_of_maker="patches"),
    "patches-of-targets": Rule(patches_of_targets, players=MAKER, of="translation", head_of_maker="patches"),
    "smooth": Rule(smooth, players=MAKER, images_only=True),
    "image": Rule(domains.image, players=MAKER, of="translation", makers=("munit", "unit")),
    "style": Rule(domains.style, players=MAKER, of="translation", makers=("munit", "stargan-v2")),
    "content": Rule(domains.content, players=MAKER, of="translation", makers=("munit",)),
    "codes": Rule(domains.codes, players=MAKER, of="translation", makers=("unit", "spade")),
    "codes-of-results": Rule(domains.codes_of_results, players=MAKER, of="translation", makers=("unit",)),
    "diversity": Rule(domains.diversity, players=MAKER, of="translation", makers=("stargan-v2",)),
    "references": Rule(domains.references, players=BOTH, of="translation", makers=("stargan-v2",), asks=True),
    "drawing-content": Rule(drawings.content, players=MAKER, of="translation", coloured=True, looks=True),
    "drawing-style": Rule(drawings.style, players=MAKER, of="translation", coloured=True, looks=True),
    "drawing-colour": Rule(drawings.colour, players=MAKER, of="translation", coloured=True),
    "drawing-variation": Rule(drawings.variation, players=MAKER, of="translation"),
    "drawing-grey": Rule(drawings.grey, of="translation", coloured=True),
    "drawing-blurred": Rule(drawings.blurred, of="translation", coloured=True),
}
