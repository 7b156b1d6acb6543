"""One static page of pictures before and after: a slider over the same part of both, at the size of the result."""

from __future__ import annotations

from html import escape
from pathlib import Path

import numpy as np
from PIL import Image

import organza
from organza.data.pixels import recolour
from organza.data.still import Still

WIDE, TALL = 1200, 900  # pixels of the part that is shown
FOLDER = "before-after"  # beside the page, with the parts
_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src 'self' file:; style-src 'unsafe-inline';
 script-src 'unsafe-inline'">
<title>{title}</title>
<style>
 body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 1240px; margin: 2rem auto; padding: 0 1rem; }}
 figure {{ margin: 2rem 0; }} .pair {{ position: relative; --at: 50%; max-width: max-content; }}
 .pair img {{ display: block; max-width: 100%; }}
 .pair .before {{ position: absolute; inset: 0; clip-path: inset(0 calc(100% - var(--at)) 0 0); }}
 .pair input {{ position: absolute; inset: 0; width: 100%; height: 100%; margin: 0; opacity: 0; cursor: ew-resize; }}
 .pair i {{ position: absolute; top: 0; bottom: 0; left: var(--at); width: 2px; background: #fff;
  box-shadow: 0 0 3px #000; }}
 .pair:focus-within {{ outline: 3px solid #0072b2; }}
</style>
<h1>{title}</h1>
<p>{about} Left of the line is before, right of it after; move the line with the mouse or the arrow keys.</p>
{figures}
<footer>Written by Organza {version}. A trained model made the pictures behind the line; details in them are its
 guesses.</footer></html>
"""
_FIGURE = """<figure><div class="pair"><img class="after" alt="after" src="{folder}/{after}"><img class="before"
 alt="before" src="{folder}/{before}"><i></i><input type="range" min="0" max="100" value="50"
 aria-label="{name}: where before ends" oninput="this.parentNode.style.setProperty('--at', this.value + '%')"></div>
<figcaption>{name}: {old} to {new} pixels</figcaption></figure>"""


class BeforeAfter:
    """Takes pairs; `close` writes the page into `folder`, whole or not at all."""

    def __init__(self, folder: Path, title: str, about: str) -> None:
        self.folder, self.title, self.about, self.figures = folder, title, about, list[str]()

    def take(self, name: str, before: Still, after: Still) -> None:
        """The middle of both as a JPEG each; the first enlarged to the size of the second."""
        place = self.folder / FOLDER
        place.mkdir(parents=True, exist_ok=True)
        number, (height, width), (tall, wide) = len(self.figures) + 1, before.size, after.size
        rows, columns = min(tall, TALL), min(wide, WIDE)
        top, left = (tall - rows) // 2, (wide - columns) // 2
        box = (left * width / wide, top * height / tall, (left + columns) * width / wide, (top + rows) * height / tall)
        old = _image(before).resize((columns, rows), Image.Resampling.BICUBIC, box=box)
        new = _image(after).crop((left, top, left + columns, top + rows))
        for image, word in ((old, "before"), (new, "after")):
            image.save(place / f"{number}-{word}.jpg", quality=92)
        self.figures.append(_FIGURE.format(
            folder=FOLDER, name=escape(name), old=f"{width}x{height}", new=f"{wide}x{tall}",
            before=f"{number}-before.jpg", after=f"{number}-after.jpg",
        ))  # fmt: skip

    def close(self) -> Path | None:
        """The page, or None without pairs."""
        if not self.figures:
            return None
        path, part = self.folder / f"{FOLDER}.html", self.folder / f".{FOLDER}.part"
        text = _PAGE.format(
            title=escape(self.title), about=escape(self.about), figures="\n".join(self.figures),
            version=organza.__version__,
        )  # fmt: skip
        part.write_text(text, "utf-8")
        return part.replace(path)


def _image(still: Still) -> Image.Image:
    """As a browser shows it, over white."""
    planes = still.planes if still.planes.dtype == np.uint8 else (still.planes >> 8).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(recolour(planes.transpose(1, 2, 0), 3)))
