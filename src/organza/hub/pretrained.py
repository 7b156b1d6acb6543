"""GANs and translators in the layout of the Hugging Face hub: a folder to publish, the way back, and the hub itself.

    README.md            the card, complete: nothing that a published model must state is left out
    config.json          the network and what it was trained on
    model.safetensors    the averaged generator
    discriminator/       config.json and model.safetensors of the other player, for training on, where one was given
    metrics/*.json       receipts of `organza evaluate`
    samples/grid.png     samples of the seeds 0 to 63, of a GAN that starts from noise

Weights are safetensors with the names and shapes of the network that config.json names, or they are refused; no code
comes with a model, and no pickle is opened. The hub needs the extra `hub`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import organza
from organza.config import ConfigError
from organza.hub.card import model_card
from organza.hub.folder import FILES
from organza.hub.gan import GAN, save
from organza.hub.judge import PLACE, judge_of, save_judge
from organza.hub.translator import Translator
from organza.hub.translator import save as save_translator
from organza.report.grid import picture, save_png
from organza.report.provenance import name_of, provenance

if TYPE_CHECKING:
    from organza.evaluation.receipt import Receipt

Found = TypeVar("Found", GAN, Translator)
GRID = 64  # samples of samples/grid.png, seeds from 0
PARTS = ("README.md", *FILES, "metrics/*.json")  # what is fetched of a repository
WITH_JUDGE = (*PARTS, *(f"{PLACE}/{name}" for name in FILES))  # to train on from it
PREFIX = "hf:"


def save_pretrained(
    gan: GAN | Translator, folder: str | Path, *, licence: str, facts: Mapping[str, Any] | None = None,
    receipts: Sequence[Receipt] = (), repository: str = "", discriminator: str | Path | None = None,
) -> Path:  # fmt: skip
    """Write a GAN or translator to publish into `folder`, and return it.

    `licence` is that of the weights; the card also tells that of the file that they come from, where it is another, and
    what that file is. `facts` complete or replace what the card says (`organza.hub.card`), such as
    `{"data": {"source": "my camera", "people": "none"}}`, which data that Organza does not know must have.
    `discriminator` is the run, model folder or foreign file whose discriminator is published as well, so that others
    can train on with `--start`. Raises ValueError for what a published card still lacks, for a discriminator that is
    not there or is another's, and for a folder with parts of another model that would stay, before anything is written,
    and OSError.
    """
    folder, has_grid = Path(folder), isinstance(gan, GAN) and (len(gan.shape) == 1 or gan.shape[0] <= 4)
    about = _stated(gan, licence, facts or {}, receipts)
    here = {"recipe": gan.recipe, "organza": organza.__version__, "conditional": bool(gan.classes)}
    card = model_card(about | here | {"repository": repository, "grid": has_grid})
    judge = judge_of(discriminator, gan) if discriminator is not None else None
    _must_leave_nothing(folder, gan, {"metrics": bool(receipts), PLACE: judge is not None, "samples": has_grid})
    published = dataclasses.replace(gan, training=about, licence=licence if gan.licence else "")
    if isinstance(published, Translator):
        save_translator(published, folder, card)
    else:
        save(published, folder, card)
    if judge is not None:
        save_judge(folder, judge[0] | {"licence": licence}, judge[1])
    for number, receipt in enumerate(receipts):
        (folder / "metrics").mkdir(exist_ok=True)
        receipt.save(folder / "metrics" / f"evaluation{f'-{number + 1}' if number else ''}.json")
    if has_grid and isinstance(gan, GAN):
        _save_grid(gan, folder)
    return folder


def from_pretrained(
    name: str | Path, load: Callable[[str | Path, str], Found], *, revision: str | None = None, device: str = "cpu"
) -> Found:
    """What a folder holds, or a repository `org/name` of the hub at a `revision` (a commit, tag or branch).

    `load` is `organza.hub.load_gan` or `load_translator`. Raises FileNotFoundError for what is not there or cannot be
    reached, ConfigError without the extra `hub` and for a revision of a folder, and else as `load` does.
    """
    if Path(name).exists():
        if revision is not None:
            raise ConfigError(f"{name} is a folder, which has no revisions; leave revision out")
        return load(name, device)
    return load(fetched(str(name).removeprefix(PREFIX), revision), device)


def fetched(name: str, revision: str | None = None, parts: Sequence[str] = PARTS) -> Path:
    """The folder of a repository in the hub's cache, brought up to date where the hub can be reached.

    `name` may end in `@REVISION`; a whole commit that is in the cache is taken from there, but for other `parts` of a
    repository than what `load` needs. Raises as `from_pretrained`.
    """
    name, _, pinned = name.partition("@")
    revision = revision or pinned or None
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise ConfigError(f'hf:{name} needs the extra hub; type: pip install "organza[hub]"') from None
    if re.fullmatch(r"[0-9a-f]{40}", revision or "") and parts == PARTS:
        try:
            return Path(snapshot_download(name, revision=revision, allow_patterns=[*parts], local_files_only=True))
        except OSError:
            pass  # not there yet
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=[*parts]))
    except ValueError as problem:  # of the name
        raise ConfigError(f"'{name}' is no name on the hub ({_line(problem)}); type hf:ORG/NAME") from None
    except OSError as problem:  # not there, not allowed, not reached
        at = f" at {revision}" if revision else ""
        raise FileNotFoundError(
            f"hf:{name}{at} is not in the hub's cache and could not be fetched ({_line(problem)}); check the name, the "
            "connection and HF_HUB_OFFLINE, or copy the repository here and give its folder"
        ) from None


def push_to_hub(
    gan: GAN | Translator, name: str, *, licence: str, facts: Mapping[str, Any] | None = None,
    receipts: Sequence[Receipt] = (), private: bool = True, revision: str | None = None,
    discriminator: str | Path | None = None,
) -> str:  # fmt: skip
    """Publish as `org/name` on the hub, `private` unless you say otherwise; the address of the commit.

    You must be logged in (`hf auth login`). Raises as `save_pretrained`, ConfigError without the extra `hub`, and
    OSError where the hub refuses or is not reached.
    """
    try:
        from huggingface_hub import HfApi
    except ImportError:
        raise ConfigError('the hub needs the extra hub; type: pip install "organza[hub]"') from None
    with tempfile.TemporaryDirectory() as folder:
        save_pretrained(
            gan, folder, licence=licence, facts=facts, receipts=receipts, repository=name, discriminator=discriminator
        )
        kind = "GAN" if isinstance(gan, GAN) else "translator"
        api = HfApi(library_name="organza", library_version=organza.__version__)
        try:
            api.create_repo(name, private=private, exist_ok=True)
            done = api.upload_folder(
                repo_id=name, folder_path=folder, revision=revision, commit_message=f"{gan.recipe} {kind}"
            )
        except OSError as problem:
            raise OSError(f"hf:{name} was not published: {_line(problem)}") from None
        except ValueError as problem:
            raise ConfigError(f"'{name}' cannot be published: {_line(problem)}; type ORG/NAME") from None
    return str(done.commit_url)


def _stated(
    gan: GAN | Translator, licence: str, facts: Mapping[str, Any], receipts: Sequence[Receipt]
) -> dict[str, Any]:
    """What config.json and the card state: what the GAN knows, what is added, and the scores of the receipts."""
    known = {"source_licence": gan.licence} if gan.licence else {}  # of weights that come from elsewhere
    own = {"parameters": {"generator": sum(p.numel() for p in gan.generator.parameters())}, **known, **gan.training}
    if isinstance(gan, Translator):
        own = {"scale": gan.scale, "use": gan.use, **own}
    made = {"shape": list(gan.shape), "classes": list(gan.classes)} if isinstance(gan, GAN) else {}
    data = {**made, **(own.get("data") or {}), **(facts.get("data") or {})}
    if not str(data.get("name", "")).startswith(PREFIX):
        data["name"] = re.split(r"[/\\]", str(data.get("name") or ""))[-1]  # no path of a machine
    scores = {**(own.get("scores") or {}), **(facts.get("scores") or {})}
    for receipt in receipts:
        scores |= receipt.for_card()
    return own | dict(facts) | {"data": data, "scores": scores, "licence": licence}


def _must_leave_nothing(folder: Path, gan: GAN | Translator, renewed: Mapping[str, bool]) -> None:
    """Raise ConfigError where parts of another model would stay beside this one."""
    left = [part for part, is_renewed in renewed.items() if not is_renewed and (folder / part).exists()]
    if left and (folder / FILES[0]).is_file() and _digest(folder) != gan.sha256:
        raise ConfigError(f"{folder} has {', '.join(left)} of another model, which would be published as this one's; "
                          "choose another folder, or take them away")  # fmt: skip


def _digest(folder: Path) -> str:
    return hashlib.sha256((folder / FILES[0]).read_bytes()).hexdigest()


def _save_grid(gan: GAN, folder: Path) -> None:
    (folder / "samples").mkdir(exist_ok=True)
    mark = provenance(name_of(gan), _digest(folder), 0)
    save_png(picture(gan.sample(GRID)), folder / "samples" / "grid.png", mark)


def _line(problem: BaseException) -> str:
    """The first line of what a library says."""
    return (str(problem).strip().splitlines() or [type(problem).__name__])[0].strip().rstrip(".")[:200]
