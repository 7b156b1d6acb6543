"""The reporter of the command line: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence

import rich.console
from rich.live import Live
from rich.markup import escape
from rich.status import Status
from rich.table import Table
from rich.text import Text

REDRAW, SPEAK = 0.25, 5.0  # seconds between two pictures of the bar, and between two plain lines
WIDTH = 28  # of the bar
NAMES = {"loss/discriminator": "loss D", "loss/generator": "G", "D(x)": "D(x)", "D(G(z))": "D(G(z))"}


class Console:
    """An `organza.reporter.Reporter` on stdout; in the other processes of `torchrun` it says nothing.

    `progress` comes after every step and costs one look at the clock, but for four times a second.
    """

    def __init__(self, console: rich.console.Console | None = None) -> None:
        self.console = console or rich.console.Console(highlight=False)  # it honours NO_COLOR
        self.console.quiet = os.environ.get("RANK", "0") != "0"
        self.lively = self.console.is_terminal and not self.console.is_dumb_terminal
        self.status: Status | None = None
        self.live: Live | None = None
        self.next = 0.0 if self.lively else time.monotonic() + SPEAK  # when to draw or to speak of work again
        self.said = 0.0  # when a line was printed last
        self.now = (0, 0, 0.0, 0.0)  # images, total, rate, seconds left
        self.last = -1  # images of the newest line
        self.scalars: dict[str, float] = {}

    def __enter__(self) -> Console:
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()

    def wait(self, what: str) -> None:
        """Something that takes seconds begins: a spinner on a terminal."""
        if not self.lively or self.console.quiet or self.live:
            return
        if self.status is None:
            self.status = self.console.status(f"{escape(what)} …")
            self.status.start()
        else:
            self.status.update(f"{escape(what)} …")

    def step(self, what: str, done: int, total: int) -> None:
        """While data is fetched or decoded."""
        moment = time.monotonic()
        if self.lively and total and done >= total:
            self.wait("preparing")
        if moment < self.next or (total and done >= total):
            return
        self.next = moment + (REDRAW if self.lively else SPEAK)
        told = f"{what} {done:,} of {total:,}" if total else f"{what} {done:,}"
        if self.lively:
            self.wait(told)
        else:
            self._print(told)

    def paced(self, what: str, done: int, total: int, started: float) -> None:
        """As `step`, with the speed and the time left of work that began at `started` (`time.monotonic()`)."""
        rate = done / max(time.monotonic() - started, 1e-9)
        self.step(f"{what} ({rate:,.3g} a second, {_left((total - done) / max(rate, 1e-9))})", done, total)

    def plan(self, lines: Sequence[str]) -> None:
        """Before the first step."""
        self._rest()
        pairs = [line.split(maxsplit=1) for line in lines]
        self.lines([(pair[0], pair[1] if len(pair) > 1 else "") for pair in pairs])
        if self.lively:
            self._print("")
        self.next, self.said = 0.0, time.monotonic()

    def progress(self, images: int, total: int, rate: float, eta: float) -> None:
        """After every step."""
        self.now = (images, total, rate, eta)
        if not self.lively:
            return
        moment = time.monotonic()
        if moment >= self.next:
            self.next = moment + REDRAW
            self._draw()

    def tick(self, images: int, scalars: Mapping[str, float]) -> None:
        """At every log interval, and with the scores of a checkpoint."""
        self.scalars |= scalars
        if not self.lively and time.monotonic() - self.said >= SPEAK:
            self._say()

    def note(self, message: str) -> None:
        """Something that the user should know."""
        self._print(Text.assemble(("note  ", "yellow"), message) if self.lively else f"note: {message}")

    def close(self) -> None:
        """The last picture stays, or the last line is printed."""
        self._rest()
        if self.live:
            self._draw()
            self.live.stop()
            self.live = None
        elif not self.lively and self.now[0] > self.last and self.scalars:
            self._say()

    def lines(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Words and what they stand for, in two columns; plain ones without a terminal."""
        if not self.lively:
            for key, value in pairs:
                self._print(f"{key:<9} {value}")
            return
        table = Table.grid(padding=(0, 2))
        table.add_column(style="bold cyan", no_wrap=True)
        table.add_column(overflow="fold")
        for key, value in pairs:
            table.add_row(key, Text(value))
        self.console.print(table)

    def marked(self, rows: Sequence[tuple[str, str, str, str]]) -> None:
        """Rows of a mark, its style, a word and what is told about it; never told by colour alone."""
        if not self.lively:
            wide = max((len(key) for _, _, key, _ in rows), default=0)
            for mark, _, key, value in rows:
                self._print(f"{mark:<8} {key:<{wide}}  " + value.replace("\n", "\n" + " " * (wide + 11)))
            return
        table = Table.grid(padding=(0, 2))
        for style in (None, "bold cyan", None):
            table.add_column(style=style, no_wrap=style is not None, overflow="fold")
        for mark, style, key, value in rows:
            table.add_row(Text(mark, style), key, Text(value))
        self.console.print(table)

    def _print(self, text: str | Text) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _rest(self) -> None:
        if self.status:
            self.status.stop()
            self.status = None

    def _draw(self) -> None:
        if self.console.quiet:
            return
        if self.live is None:  # refreshed by hand: rich's own thread would cost more than it shows
            self.live = Live(console=self.console, auto_refresh=False)
            self.live.start()
        self.live.update(self._picture(), refresh=True)

    def _picture(self) -> Text:
        images, total, rate, eta = self.now
        known = total < 2**61  # by images, not by minutes alone
        share = min(images / total, 1.0) if known else _share(self.now, self.scalars)
        full = round(share * WIDTH)
        text = Text(no_wrap=True, overflow="ellipsis")
        text.append("━" * full, "cyan").append("━" * (WIDTH - full), "bright_black")
        text.append(f" {_place(images, total)} · {rate:,.0f} images/s · {_left(eta)}\n")
        return text.append("  ".join(self._figures()), "bright_black")

    def _figures(self) -> list[str]:
        told = [f"{word} {self.scalars[name]:.3g}" for name, word in NAMES.items() if name in self.scalars]
        scores = [(name.removeprefix("score/"), v) for name, v in self.scalars.items() if name.startswith("score/")]
        return [*told, *(f"{name} {value:.4g}" for name, value in scores)]

    def _say(self) -> None:
        images, total, rate, eta = self.now
        self.said, self.last = time.monotonic(), images
        self._print("  ".join([f"{_place(images, total)}  {rate:,.0f} images/s  {_left(eta)}", *self._figures()]))


def _place(images: int, total: int) -> str:
    return f"{images / 1000:,.1f}/{total / 1000:,.0f} kimg" if total < 2**61 else f"{images / 1000:,.1f} kimg"


def _share(now: tuple[int, int, float, float], scalars: Mapping[str, float]) -> float:
    images, _, rate, eta = now
    spent = images / rate if rate else 0.0
    return spent / (spent + eta) if spent + eta else 0.0


def _left(seconds: float) -> str:
    hours, minutes, rest = int(seconds // 3600), int(seconds // 60) % 60, int(seconds) % 60
    return f"{hours}:{minutes:02}:{rest:02} left" if hours else f"{minutes}:{rest:02} left"
