"""Files of other projects in their documented layout, made of random tensors; the classes they name exist while they
are written, and not when they are read."""

import argparse
import contextlib
import pickle
import sys
import types
from collections import OrderedDict
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from foreign_formulas import filters3, plan3

from organza.hub.foreign import read
from organza.models import build

TAPS = torch.outer(torch.tensor([1.0, 3, 3, 1]), torch.tensor([1.0, 3, 3, 1])) / 64
BUFFERS = ("w_avg", "resample_filter", "noise_const", "up_filter", "down_filter", "magnitude_ema", "transform",
           "freqs", "phases")  # fmt: skip


class Random:
    """Tensors by name, each of numbers of its own."""

    def __init__(self, seed=0):
        self.source, self.made = torch.Generator().manual_seed(seed), {}

    def __call__(self, name, *shape, scale=1.0, start=0.0):
        self.made[name] = torch.randn(shape, generator=self.source) * scale + start

    def linear(self, name, inputs, outputs, start=0.0, rate=1.0):
        self(f"{name}.weight", outputs, inputs, scale=1 / rate)
        self(f"{name}.bias", outputs, scale=0.3 / rate, start=start / rate)


# tensors under the official names


def mapping(r, z, c, w, layers, rate=0.01, average=True):
    if c:
        r.linear("mapping.embed", c, w)
    for i in range(layers):
        r.linear(f"mapping.fc{i}", z + (w if c else 0) if i == 0 else w, w, rate=rate)
    if average:
        r("mapping.w_avg", w)


def generator2(res=16, base=64, most=12, z=8, w=10, c=0, layers=2, channels=3, arch="skip", rate=0.01, seed=0):
    r, level, before = Random(seed), 4, 0
    mapping(r, z, c, w, layers, rate)
    while level <= res:
        b, o = f"synthesis.b{level}", min(base // level, most)
        r.made[f"{b}.resample_filter"] = TAPS.clone()
        if level == 4:
            r(f"{b}.const", o, 4, 4)
        for name, i in [("conv1", o)] if level == 4 else [("conv0", before), ("conv1", o)]:
            r(f"{b}.{name}.weight", o, i, 3, 3)
            r(f"{b}.{name}.noise_strength", scale=0.5)
            r(f"{b}.{name}.noise_const", level, level)
            r(f"{b}.{name}.bias", o, scale=0.3)
            r.made[f"{b}.{name}.resample_filter"] = TAPS.clone()
            r.linear(f"{b}.{name}.affine", w, i, start=1)
        if arch == "skip" or level == res:
            r(f"{b}.torgb.weight", channels, o, 1, 1)
            r(f"{b}.torgb.bias", channels, scale=0.3)
            r.linear(f"{b}.torgb.affine", w, o, start=1)
        if arch == "resnet" and level > 4:
            r(f"{b}.skip.weight", o, before, 1, 1)
            r.made[f"{b}.skip.resample_filter"] = TAPS.clone()
        before, level = o, level * 2
    return r.made


def discriminator2(res=16, base=64, most=12, c=0, layers=2, channels=3, arch="resnet", seed=1):
    r, level = Random(seed), res

    def conv(name, i, o, k, bias=True):
        r(f"{name}.weight", o, i, k, k)
        if bias:
            r(f"{name}.bias", o, scale=0.3)
        r.made[f"{name}.resample_filter"] = TAPS.clone()

    while level > 4:
        b, i, o = f"b{level}", min(base // level, most), min(base * 2 // level, most)
        r.made[f"{b}.resample_filter"] = TAPS.clone()
        if level == res or arch == "skip":
            conv(f"{b}.fromrgb", channels, i, 1)
        conv(f"{b}.conv0", i, i, 3)
        conv(f"{b}.conv1", i, o, 3)
        if arch == "resnet":
            conv(f"{b}.skip", i, o, 1, bias=False)
        level //= 2
    top = min(base // 4, most)
    if arch == "skip":
        conv("b4.fromrgb", channels, top, 1)
    conv("b4.conv", top + 1, top, 3)
    r.linear("b4.fc", top * 16, top)
    r.linear("b4.out", top, top if c else 1)
    if c:
        r.linear("mapping.embed", c, top)
        for i in range(layers):
            r.linear(f"mapping.fc{i}", top, top, rate=0.01)
    return r.made


def generator3(
    res=16, base=64, most=12, z=8, w=10, c=0, kernel=3, radial=False, layers=14, critical=2, margin=10, channels=3,
    seed=2,
):  # fmt: skip
    r, bands = Random(seed), plan3(res, base, most, channels, layers, critical, margin=margin)
    mapping(r, z, c, w, 2)
    cutoff, wide = bands[0][0], bands[0][4]
    r("synthesis.input.weight", wide, wide)
    r.linear("synthesis.input.affine", w, 4)
    r.made["synthesis.input.affine.weight"] *= 0.3
    r.made["synthesis.input.affine.bias"] = torch.tensor([1.0, 0.2, 0.1, -0.2])
    r.made["synthesis.input.transform"] = torch.eye(3)
    r("synthesis.input.freqs", wide, 2, scale=cutoff / 2)
    r("synthesis.input.phases", wide)
    for i, (band, (fu, fd, *_)) in enumerate(zip(bands, filters3(bands, 6, radial, critical), strict=True)):
        name, inputs, last = f"synthesis.L{i}_{band[3]}_{band[4]}", bands[max(i - 1, 0)][4], i == len(bands) - 1
        r(f"{name}.weight", band[4], inputs, *(2 * (1 if last else kernel,)))
        r(f"{name}.bias", band[4], scale=0.3)
        r.made[f"{name}.magnitude_ema"] = torch.tensor(0.5 + 0.1 * i)
        r.linear(f"{name}.affine", w, inputs, start=1)
        for part, f in (("up_filter", fu), ("down_filter", fd)):
            if f is not None:
                r.made[f"{name}.{part}"] = f.float()
    return r.made, bands


def spectral(r, name, *shape, bias=True):
    r(f"{name}.weight", *shape)
    if bias:
        r(f"{name}.bias", shape[0], scale=0.3)
    r(f"{name}.u0", 1, shape[0])
    r(f"{name}.sv0", 1)


def statistics(r, name, channels):
    r(f"{name}.stored_mean", channels)
    r(f"{name}.stored_var", channels)
    r.made[f"{name}.stored_var"] = r.made[f"{name}.stored_var"].square() + 0.5


def class_norm(r, name, channels, size):
    for part in ("gain", "bias"):
        spectral(r, f"{name}.{part}", channels, size, bias=False)
    statistics(r, name, channels)


def attention(r, name, channels):
    for part, o, i in (("theta", channels // 8, channels), ("phi", channels // 8, channels),
                       ("g", channels // 2, channels), ("o", channels, channels // 2)):  # fmt: skip
        spectral(r, f"{name}.{part}", o, i, 1, 1, bias=False)
    r(f"{name}.gamma")


def big_end(r, channels, colours=3):
    r("output_layer.0.gain", channels, start=1)
    r("output_layer.0.bias", channels)
    statistics(r, "output_layer.0", channels)
    spectral(r, "output_layer.2", colours, channels, 3, 3)


def big_generator(widths=(16, 16, 8), chunk=3, embed=5, classes=4, attended=0, seed=3):
    r = Random(seed)
    r("shared.weight", classes, embed)
    spectral(r, "linear", widths[0] * 16, chunk)
    for i, (a, b) in enumerate(pairwise(widths)):
        for name, channels in (("bn1", a), ("bn2", b)):
            class_norm(r, f"blocks.{i}.0.{name}", channels, chunk + embed)
        spectral(r, f"blocks.{i}.0.conv1", b, a, 3, 3)
        spectral(r, f"blocks.{i}.0.conv2", b, b, 3, 3)
        spectral(r, f"blocks.{i}.0.conv_sc", b, a, 1, 1)
        if i == attended:
            attention(r, f"blocks.{i}.1", b)
    big_end(r, widths[-1])
    return r.made


def big_discriminator(widths=(8, 16, 16), downs=2, classes=4, attended=0, seed=4):
    r, before = Random(seed), 3
    for i, width in enumerate(widths):
        spectral(r, f"blocks.{i}.0.conv1", width, before, 3, 3)
        spectral(r, f"blocks.{i}.0.conv2", width, width, 3, 3)
        if i < downs:
            spectral(r, f"blocks.{i}.0.conv_sc", width, before, 1, 1)
        if i == attended:
            attention(r, f"blocks.{i}.1", width)
        before = width
    spectral(r, "linear", 1, widths[-1])
    spectral(r, "embed", classes, widths[-1], bias=False)
    return r.made


def deep_generator(widths=(16, 16, 8), z=6, embed=5, classes=4, attended=1, seed=5):
    r, number = Random(seed), 0
    r("shared.weight", classes, embed)
    spectral(r, "linear", widths[0] * 16, z + embed)
    for a, b in pairwise(widths):
        for o in (a, b):
            name, inner = f"blocks.{number}.0", a // 4
            for bn, channels in (("bn1", a), ("bn2", inner), ("bn3", inner), ("bn4", inner)):
                class_norm(r, f"{name}.{bn}", channels, z + embed)
            for conv, shape in (("conv1", (inner, a, 1, 1)), ("conv2", (inner, inner, 3, 3)),
                                ("conv3", (inner, inner, 3, 3)), ("conv4", (o, inner, 1, 1))):  # fmt: skip
                spectral(r, f"{name}.{conv}", *shape)
            if number == attended:
                attention(r, f"blocks.{number}.1", o)
            number += 1
    big_end(r, widths[-1])
    return r.made


def deep_discriminator(widths=(8, 16, 16), classes=4, attended=1, seed=6):
    r, number = Random(seed), 0
    spectral(r, "input_conv", widths[0], 3, 3, 3)
    for a, b in pairwise(widths):
        for i in (a, b):
            name, inner = f"blocks.{number}.0", b // 4
            for conv, shape in (("conv1", (inner, i, 1, 1)), ("conv2", (inner, inner, 3, 3)),
                                ("conv3", (inner, inner, 3, 3)), ("conv4", (b, inner, 1, 1))):  # fmt: skip
                spectral(r, f"{name}.{conv}", *shape)
            if b > i:
                spectral(r, f"{name}.conv_sc", b - i, i, 1, 1)
            if number == attended:
                attention(r, f"blocks.{number}.1", b)
            number += 1
    spectral(r, "linear", 1, widths[-1])
    spectral(r, "embed", classes, widths[-1], bias=False)
    return r.made


R3_NAMES = {"stages": "MainLayers", "blocks": "Layers", "joint": "TransitionLayer", "basis": "Basis",
            "conv": "LinearLayer{}.Layer.weight", "bias": "NonLinearity{}.Bias", "linear": "LinearLayer.weight",
            "filter": "Resampler.Kernel", "gather": "Basis.weight", "image": "AggregationLayer.Layer.weight",
            "embed": "EmbeddingLayer.weight", "from": "ExtractionLayer.Layer.weight", "model": "Model."}  # fmt: skip
OTHER_NAMES = {"stages": "net.levels", "blocks": "body", "joint": "body.0", "conv": "w{}", "bias": "act{}.b",
               "basis": "start", "linear": "mix.weight", "filter": "f", "gather": "end.weight", "image": "rgb.weight",
               "embed": "table.weight", "from": "in.weight", "model": ""}  # fmt: skip


def r3_block(r, n, place, width, expansion, group):
    inner = width * expansion
    for i, shape in enumerate(((inner, width, 1, 1), (inner, group, 3, 3), (width, inner, 1, 1)), 1):
        r(f"{place}.{n['conv'].format(i)}", *shape, scale=0.3)
    for i in (1, 2):
        r(f"{place}.{n['bias'].format(i)}", inner, scale=0.3)


def r3_generator(widths=(8, 8, 4), z=5, c=0, e=3, blocks=2, expansion=2, group=4, n=R3_NAMES, seed=7):
    r, first = Random(seed), int(n["joint"].startswith(n["blocks"]))
    for i, width in enumerate(widths):
        stage = f"{n['model']}{n['stages']}.{i}"
        if i == 0:
            r(f"{stage}.{n['joint']}.{n['basis']}", width, 4, 4)
            r(f"{stage}.{n['joint']}.{n['linear']}", width, z + (e if c else 0))
        else:
            if widths[i - 1] != width:
                r(f"{stage}.{n['joint']}.{n['conv'].format('')}", width, widths[i - 1], 1, 1)
            r.made[f"{stage}.{n['joint']}.{n['filter']}"] = TAPS[None, None] * 4
        for j in range(blocks):
            r3_block(r, n, f"{stage}.{n['blocks']}.{j + first}", width, expansion, group)
    r(f"{n['model']}{n['image']}", 3, widths[-1], 1, 1)
    if c:
        r(f"{n['model']}{n['embed']}", e, c)
    return r.made


def r3_discriminator(widths=(8, 8, 4), c=0, blocks=2, expansion=2, group=4, n=R3_NAMES, seed=8):
    r, widths = Random(seed), widths[::-1]
    joint = n["joint"].replace("0", str(blocks))
    r(f"{n['model']}{n['from']}", widths[0], 3, 1, 1)
    for i, width in enumerate(widths):
        stage = f"{n['model']}{n['stages']}.{i}"
        for j in range(blocks):
            r3_block(r, n, f"{stage}.{n['blocks']}.{j}", width, expansion, group)
        if i == len(widths) - 1:
            r(f"{stage}.{joint}.{n['gather']}", width, 1, 4, 4)
            r(f"{stage}.{joint}.{n['linear']}", width if c else 1, width)
        else:
            r.made[f"{stage}.{joint}.{n['filter']}"] = TAPS[None, None]
            if widths[i + 1] != width:
                r(f"{stage}.{joint}.{n['conv'].format('')}", widths[i + 1], width, 1, 1)
    if c:
        r(f"{n['model']}{n['embed']}", width, c)
    return r.made


def batch_norm(r, name, channels):
    r(f"{name}.weight", channels, scale=0.2, start=1)
    r(f"{name}.bias", channels, scale=0.3)
    r(f"{name}.running_mean", channels, scale=0.3)
    r.made[f"{name}.running_var"] = torch.rand(channels, generator=r.source) + 0.5
    r.made[f"{name}.num_batches_tracked"] = torch.tensor(7)


def lama_generator(width=4, blocks=2, wide=24, seed=9):
    """LaMa's, of so many global channels behind the third halving; kernels as small as their number of inputs asks."""
    r, inner = Random(seed), (8 * width - wide, wide)

    def conv(name, after, before, kernel):
        r(f"{name}.weight", after, before, kernel, kernel, scale=(before * kernel**2) ** -0.5)

    conv("model.1.ffc.convl2l", width, 4, 7)
    batch_norm(r, "model.1.bn_l", width)
    for i in (2, 3):
        conv(f"model.{i}.ffc.convl2l", width << (i - 1), width << (i - 2), 3)
        batch_norm(r, f"model.{i}.bn_l", width << (i - 1))
    for way, after in zip(("convl2l", "convl2g"), inner, strict=True):
        conv(f"model.4.ffc.{way}", after, 4 * width, 3)
        batch_norm(r, f"model.4.bn_{way[-1]}", after)
    for block in (f"model.{5 + i}.conv{k}" for i in range(blocks) for k in (1, 2)):
        for way, (before, after) in {"l2l": (0, 0), "l2g": (0, 1), "g2l": (1, 0)}.items():
            conv(f"{block}.ffc.conv{way}", inner[after], inner[before], 3)
        conv(f"{block}.ffc.convg2g.conv1.0", wide // 2, wide, 1)
        batch_norm(r, f"{block}.ffc.convg2g.conv1.1", wide // 2)
        conv(f"{block}.ffc.convg2g.fu.conv_layer", wide, wide, 1)
        batch_norm(r, f"{block}.ffc.convg2g.fu.bn", wide)
        conv(f"{block}.ffc.convg2g.conv2", wide, wide // 2, 1)
        for part, channels in zip("lg", inner, strict=True):
            batch_norm(r, f"{block}.bn_{part}", channels)
    for i in range(3):
        before, place = 8 * width >> i, 6 + blocks + 3 * i
        r(f"model.{place}.weight", before, before // 2, 3, 3, scale=(before * 9 / 4) ** -0.5)
        r(f"model.{place}.bias", before // 2, scale=0.3)
        batch_norm(r, f"model.{place + 1}", before // 2)
    conv(f"model.{16 + blocks}", 3, width, 7)
    r(f"model.{16 + blocks}.bias", 3, scale=0.3)
    return r.made


# NVIDIA's PyTorch pickles


class EasyDict(dict):
    __module__ = "dnnlib.util"


def _reconstruct_persistent_obj(meta):
    raise AssertionError("the file was executed")


_reconstruct_persistent_obj.__module__ = "torch_utils.persistence"


class Network:
    """Of TensorFlow."""

    __module__ = "dnnlib.tflib.network"

    def __init__(self, state):
        self.state = state

    def __getstate__(self):
        return self.state


class Embedding:
    __module__ = "torch.nn.modules.sparse"

    def __init__(self, weight):
        self._parameters, self._buffers, self._modules = OrderedDict(weight=torch.nn.Parameter(weight)), {}, {}


class Persistent:
    def __init__(self, name, state, source="raise AssertionError('executed')"):
        self.name, self.state, self.source = name, state, source

    def __reduce__(self):
        meta = EasyDict(type="class", version=6, module_src=self.source, class_name=self.name, state=self.state)
        return _reconstruct_persistent_obj, (meta,)


@contextlib.contextmanager
def foreign_modules():
    """What the files name, for as long as they are written."""
    made = {
        "torch_utils": {}, "torch_utils.persistence": {"_reconstruct_persistent_obj": _reconstruct_persistent_obj},
        "dnnlib": {"EasyDict": EasyDict}, "dnnlib.util": {"EasyDict": EasyDict}, "dnnlib.tflib": {},
        "dnnlib.tflib.network": {"Network": Network}, "torch.nn.modules.sparse": {"Embedding": Embedding},
    }  # fmt: skip
    before = {name: sys.modules.get(name) for name in made}
    for name, parts in made.items():
        sys.modules[name] = types.ModuleType(name)
        vars(sys.modules[name]).update(parts)
    try:
        yield
    finally:
        for name, module in before.items():
            sys.modules.pop(name)
            if module is not None:
                sys.modules[name] = module


def persistent(name, tensors, kwargs, settings=None, frozen=(), prefix=""):
    """A module with the tensors whose names begin with `prefix`, and modules in it for all that have a dot."""
    own = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
    state = {
        "training": False, "_parameters": OrderedDict(), "_buffers": OrderedDict(), "_modules": OrderedDict(),
        "_non_persistent_buffers_set": set(), "_backward_hooks": OrderedDict(),
        "_init_args": (), "_init_kwargs": EasyDict(kwargs), **(settings or {}).get(prefix.rstrip("."), {}),
    }  # fmt: skip
    for part, tensor in own.items():
        if "." not in part:
            is_buffer = part in BUFFERS or prefix + part in frozen
            state["_buffers" if is_buffer else "_parameters"][part] = (
                tensor if is_buffer else torch.nn.Parameter(tensor, requires_grad=False)
            )
    for part in dict.fromkeys(part.split(".")[0] for part in own if "." in part):
        inner = f"{prefix}{part}."
        plain = part == "embed" and own.get("embed_proj.weight") is not None
        state["_modules"][part] = (
            Embedding(own["embed.weight"]) if plain else
            persistent(part.capitalize(), tensors, {}, settings, frozen, inner)
        )  # fmt: skip
    state["_parameters"]["absent"] = None
    return Persistent(name, state)


DATA = {"class_name": "training.dataset.ImageFolderDataset", "path": "/home/mallory/data/cats-16.zip",
        "use_labels": False, "max_size": 100, "xflip": True, "resolution": 16}  # fmt: skip


def snapshot(path, generator, discriminator=None, protocol=4, data=DATA, **more):
    """{G, D, G_ema, …} as it is written beside a training; arguments are (class, tensors, kwargs[, settings])."""
    with foreign_modules():
        entries = {"G": None, "D": discriminator and persistent(*discriminator), "G_ema": persistent(*generator),
                   "augment_pipe": None, "training_set_kwargs": data, **more}  # fmt: skip
        path.write_bytes(pickle.dumps(entries, protocol))
    return path


# other layouts


def tf_generator(tensors, layers=2):
    """The inverse of the documented conversion, as (component, name, array)."""
    a = {name: tensor.numpy() for name, tensor in tensors.items()}
    found = {"": [("dlatent_avg", a["mapping.w_avg"]), ("lod", np.float32(0))], "mapping": [], "synthesis": []}
    if "mapping.embed.weight" in a:
        found["mapping"] += [("LabelEmbed/weight", a["mapping.embed.weight"].T),
                             ("LabelEmbed/bias", a["mapping.embed.bias"])]  # fmt: skip
    for i in range(layers):
        found["mapping"] += [(f"Dense{i}/weight", a[f"mapping.fc{i}.weight"].T),
                             (f"Dense{i}/bias", a[f"mapping.fc{i}.bias"])]  # fmt: skip
    for name, array in a.items():
        kind, _, rest = name.partition(".")
        if kind != "synthesis" or rest.endswith("resample_filter"):
            continue
        block, layer, *parts = rest.split(".")
        side = block[1:]
        level = int(side).bit_length() - 1
        if layer == "const":
            found["synthesis"].append(("4x4/Const/const", array[None]))
            continue
        tf = {"conv0": "Conv0_up", "conv1": "Conv" if side == "4" else "Conv1", "torgb": "ToRGB", "skip": "Skip"}[layer]
        part = {"affine.weight": "mod_weight", "affine.bias": "mod_bias"}.get(".".join(parts), parts[0])
        if part == "noise_const":
            number = 2 * level - 5 if layer == "conv0" else 2 * level - 4
            found["synthesis"].append((f"noise{number}", array[None, None]))
            continue
        if part == "weight":
            array = array.transpose(2, 3, 1, 0)
            array = array[::-1, ::-1] if layer in ("conv0", "skip") else array
        array = array.T if part == "mod_weight" else array - 1 if part == "mod_bias" else array
        found["synthesis"].append((f"{side}x{side}/{tf}/{part}", array.copy()))
    return found


def tf_discriminator(tensors):
    found = []
    for name, tensor in tensors.items():
        if name.endswith("resample_filter"):
            continue
        block, layer, part = name.split(".")
        array, side = tensor.numpy(), block[1:]
        tf = {"fromrgb": "FromRGB", "conv0": "Conv0", "conv1": "Conv1_down", "skip": "Skip", "conv": "Conv",
              "fc": "Dense0", "out": "Output", "embed": "LabelEmbed"}.get(layer, f"Mapping{layer[2:]}")  # fmt: skip
        array = array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T if array.ndim == 2 else array
        place = "" if block == "mapping" or layer == "out" else f"{side}x{side}/"
        found.append((f"{place}{tf}/{part}", np.ascontiguousarray(array)))
    return found


def tf_network(name, variables, components=None, **kwargs):
    return Network({"version": 4, "name": name, "static_kwargs": EasyDict(kwargs), "components": components or {},
                    "build_module_src": "raise AssertionError('executed')", "build_func_name": f"{name}_main",
                    "variables": variables})  # fmt: skip


def tf_pickle(path, g, d, protocol=3, **kwargs):
    with foreign_modules():
        parts = tf_generator(g)
        gs = tf_network("Gs", parts[""], EasyDict(
            mapping=tf_network("G_mapping", parts["mapping"]), synthesis=tf_network("G_synthesis", parts["synthesis"]),
        ), resolution=16, mapping_lrmul=0.01, **kwargs)  # fmt: skip
        path.write_bytes(pickle.dumps((gs, tf_network("D", tf_discriminator(d)), gs), protocol))
    return path


def rosinality_generator(t, res):
    found = {"input.input": t["synthesis.b4.const"][None]}
    for i in range(sum(".fc" in name and name.endswith("weight") for name in t)):
        for part in ("weight", "bias"):
            found[f"style.{i + 1}.{part}"] = t[f"mapping.fc{i}.{part}"]
    level, number = 4, 0
    while level <= res:
        b = f"synthesis.b{level}"
        for layer in ("conv1",) if level == 4 else ("conv0", "conv1"):
            name = "conv1" if level == 4 else f"convs.{number - 1}"
            found[f"{name}.conv.weight"] = t[f"{b}.{layer}.weight"][None]
            found[f"{name}.conv.modulation.weight"] = t[f"{b}.{layer}.affine.weight"]
            found[f"{name}.conv.modulation.bias"] = t[f"{b}.{layer}.affine.bias"]
            found[f"{name}.noise.weight"] = t[f"{b}.{layer}.noise_strength"][None]
            found[f"{name}.activate.bias"] = t[f"{b}.{layer}.bias"]
            found[f"noises.noise_{number}"] = t[f"{b}.{layer}.noise_const"][None, None]
            if layer == "conv0":
                found[f"{name}.conv.blur.kernel"] = TAPS * 4
            number += 1
        name = "to_rgb1" if level == 4 else f"to_rgbs.{level.bit_length() - 4}"
        found[f"{name}.bias"] = t[f"{b}.torgb.bias"].view(1, -1, 1, 1)
        found[f"{name}.conv.weight"] = t[f"{b}.torgb.weight"][None]
        for part in ("weight", "bias"):
            found[f"{name}.conv.modulation.{part}"] = t[f"{b}.torgb.affine.{part}"]
        if level > 4:
            found[f"{name}.upsample.kernel"] = TAPS * 4
        level *= 2
    return found


def rosinality_discriminator(t, res):
    found = {"convs.0.0.weight": t[f"b{res}.fromrgb.weight"], "convs.0.1.bias": t[f"b{res}.fromrgb.bias"]}
    level, i = res, 1
    while level > 4:
        b, c = f"b{level}", f"convs.{i}"
        found[f"{c}.conv1.0.weight"], found[f"{c}.conv1.1.bias"] = t[f"{b}.conv0.weight"], t[f"{b}.conv0.bias"]
        found[f"{c}.conv2.0.kernel"], found[f"{c}.skip.0.kernel"] = TAPS, TAPS
        found[f"{c}.conv2.1.weight"], found[f"{c}.conv2.2.bias"] = t[f"{b}.conv1.weight"], t[f"{b}.conv1.bias"]
        found[f"{c}.skip.1.weight"] = t[f"{b}.skip.weight"]
        level, i = level // 2, i + 1
    found["final_conv.0.weight"], found["final_conv.1.bias"] = t["b4.conv.weight"], t["b4.conv.bias"]
    for i, layer in enumerate(("fc", "out")):
        for part in ("weight", "bias"):
            found[f"final_linear.{i}.{part}"] = t[f"b4.{layer}.{part}"]
    return found


def rosinality(path, g, d, res, average=True, old=False, trained=False):
    entries = {"g_ema": OrderedDict(rosinality_generator(g, res)), "d": rosinality_discriminator(d, res)}
    if average:
        entries["latent_avg"] = g["mapping.w_avg"]
    if trained:
        optimizer = {"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": [{}]}
        args = argparse.Namespace(size=res, n_mlp=2, channel_multiplier=2)
        entries |= {"g": entries["g_ema"], "args": args, "ada_aug_p": 0.3, "g_optim": optimizer}
    torch.save(entries, path, _use_new_zipfile_serialization=not old)
    return path


def state(path: Path, tensors, old=False):
    torch.save(OrderedDict(tensors), path, _use_new_zipfile_serialization=not old)
    return path


def judge(path):
    """The discriminator of a file, to be asked."""
    found = read(path)
    network = build(found.discriminator.model, "discriminator", found.shape, found.classes)
    network.load_state_dict(found.discriminator.tensors)
    return network.eval()
