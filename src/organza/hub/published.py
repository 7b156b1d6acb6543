"""What a GAN and a translator have in common on the Hugging Face hub: written to a folder, fetched, published."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self


class Published:
    """Methods of a model that can be published; `organza.hub.pretrained` says what each takes and raises."""

    def save_pretrained(self, folder: str | Path, *, licence: str, **more: Any) -> Path:
        """Write a folder to publish: weights, description and a complete card."""
        from organza.hub.pretrained import save_pretrained

        return save_pretrained(self, folder, licence=licence, **more)  # type: ignore[arg-type]

    @classmethod
    def from_pretrained(cls, name: str | Path, *, revision: str | None = None, device: str = "cpu") -> Self:
        """The model in a folder, or in the repository `org/name` of the hub."""
        from organza.hub.loading import LOADERS
        from organza.hub.pretrained import from_pretrained

        return from_pretrained(name, LOADERS[cls], revision=revision, device=device)

    def push_to_hub(self, name: str, *, licence: str, **more: Any) -> str:
        """Publish as `org/name` on the hub, private unless `private=False`; the address of the commit."""
        from organza.hub.pretrained import push_to_hub

        return push_to_hub(self, name, licence=licence, **more)  # type: ignore[arg-type]
