"""Draws docs/engine.svg, the way of the bytes through the engine; takes no arguments."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from pathlib import Path

import byteloom as bl
from byteloom import _rust

PICTURE = Path(__file__).parents[1] / "docs" / "engine.svg"
WIDTH, HEIGHT = 960, 902

STYLE = """
svg { --page: #ffffff; --ink: #1f2328; --faint: #6e7781; --line: #afb8c1;
  --lane: #f6f8fa; --set: #0969da; --start: #bc4c00; --box: #ffffff; --soft: #ddf4ff }
@media (prefers-color-scheme: dark) { svg { --page: #0d1117; --ink: #e6edf3; --faint: #8d96a0;
  --line: #545d68; --lane: #161b22; --set: #58a6ff; --start: #f0883e; --box: #0d1117;
  --soft: #12304f } }
text { font: 13px system-ui, sans-serif; fill: var(--ink) }
.title { font-weight: 600; font-size: 15px }
.note { fill: var(--faint); font-size: 12px }
.byte { font: 12px ui-monospace, monospace; text-anchor: middle }
.mono { font: 12px ui-monospace, monospace }
.page { fill: var(--page) } .lane { fill: var(--lane); stroke: var(--line) }
.box { fill: var(--box); stroke: var(--line) } .soft { fill: var(--soft); stroke: var(--line) }
.set { fill: var(--set) } .start { fill: var(--start) } .bit { fill: none; stroke: var(--line) }
.arrow { fill: none; stroke: var(--faint); stroke-width: 1.5; marker-end: url(#tip) }
.tip { fill: var(--faint) }
""".strip()

#: What the scanner's masks are drawn for.
TEXT = "The cat's 12 hats, and\n hers: 'ok'"
CELL = 16


class Drawing:
    """Shapes, one after the other."""

    def __init__(self) -> None:
        self.shapes: list[str] = []

    def box(
        self, x: float, y: float, width: float, height: float, *, kind: str = "box", corner: int = 4
    ) -> None:
        """A rectangle."""
        place = f'x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{corner}"'
        self.shapes.append(f'<rect class="{kind}" {place}/>')

    def text(self, x: float, y: float, words: str, kind: str = "") -> None:
        """A line of text; `y` is its baseline."""
        what = f' class="{kind}"' if kind else ""
        shown = escape(words, quote=False)
        self.shapes.append(f'<text{what} x="{x:g}" y="{y:g}" xml:space="preserve">{shown}</text>')

    def lines(self, x: float, y: float, words: Iterable[str], kind: str = "note") -> None:
        """Lines of text below each other."""
        for row, line in enumerate(words):
            self.text(x, y + 17 * row, line, kind)

    def arrow(self, *points: tuple[float, float]) -> None:
        """An arrow through points."""
        path = " L ".join(f"{x:g} {y:g}" for x, y in points)
        self.shapes.append(f'<path class="arrow" d="M {path}"/>')

    def cells(self, x: float, y: float, contents: Iterable[str], width: int = 30) -> None:
        """A row of cells; what begins with `=` stands out."""
        for at, content in enumerate(contents):
            kind = "soft" if content.startswith("=") else "box"
            self.box(x + at * width, y, width, 24, kind=kind, corner=0)
            self.text(x + (at + 0.5) * width, y + 16, content.removeprefix("="), "byte")

    def lane(self, y: float, height: float, title: str) -> None:
        """A job, over the whole width."""
        self.box(12, y, WIDTH - 24, height, kind="lane", corner=8)
        self.text(28, y + 25, title, "title")

    def svg(self) -> str:
        """The picture."""
        tip = (
            '<marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
            'orient="auto"><path class="tip" d="M 0 0 L 8 4 L 0 8 z"/></marker>'
        )
        head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">'
        title = "<title>The way of the bytes through the engine</title>"
        page = f'<rect class="page" width="{WIDTH}" height="{HEIGHT}" rx="10"/>'
        style = f"<style>\n{STYLE}\n</style>"
        return "\n".join(
            [head, title, style, f"<defs>{tip}</defs>", page, *self.shapes, "</svg>\n"]
        )


def starts_of(text: str) -> set[int]:
    """Where the engine's pretokens start."""
    starts, at = set(), 0
    for pretoken in _rust.pretokenize(text, bl.PretokenCounts().pattern):
        starts.add(at)
        at += len(pretoken)
    return starts


def scan(drawing: Drawing, y: float) -> None:
    """Bytes, their masks, and the starts that follow from them."""
    drawing.lane(
        y, 226, "Split: 64 bytes at a time into a mask per class, masks into starts by shifts"
    )
    left = 120
    rows = {
        "letter": str.isalpha,
        "number": str.isdigit,
        "white": str.isspace,
        "space": " ".__eq__,
        "apostrophe": "'".__eq__,
    }
    for at, character in enumerate(TEXT):
        shown = {" ": "␣", "\n": "↵"}.get(character, character)
        drawing.text(left + (at + 0.5) * CELL, y + 54, shown, "byte")
    starts = starts_of(TEXT)
    for row, (name, is_of) in enumerate(rows.items()):
        drawing.text(28, y + 76 + 20 * row, name, "mono")
        for at, character in enumerate(TEXT):
            kind = "set" if is_of(character) else "bit"
            drawing.box(left + at * CELL + 2, y + 65 + 20 * row, CELL - 4, 13, kind=kind, corner=2)
    drawing.text(28, y + 186, "starts", "mono")
    for at in range(len(TEXT)):
        kind = "start" if at in starts else "bit"
        drawing.box(left + at * CELL + 2, y + 175, CELL - 4, 13, kind=kind, corner=2)
    drawing.lines(
        28, y + 211, ["one bit per byte; the last bit of a block is carried into the next"]
    )
    x = left + len(TEXT) * CELL + 36
    drawing.arrow((x - 28, y + 100), (x - 4, y + 100))
    drawing.lines(x, y + 60, ["ends, up to 1,024 in a batch;", "then keys of 16 bytes:"])
    drawing.cells(x, y + 90, ["=␣", "=h", "=a", "=t", "=s", "0", "0", "…", "5"], 22)
    drawing.lines(
        x, y + 132, ["15 bytes and the length: two words,", "compared and hashed at once"]
    )


def count(drawing: Drawing, y: float) -> None:
    """The front cache, and the shards behind."""
    drawing.lane(y, 132, "Count: nearly all within a worker's own cache")
    drawing.cells(28, y + 48, ["key", "key", "key", "…"], 40)
    drawing.lines(28, y + 90, ["first pass: ask for memory", "second pass: look"])
    drawing.arrow((194, y + 60), (236, y + 60))
    drawing.box(242, y + 42, 196, 36, kind="soft")
    drawing.text(256, y + 65, "front cache: +1", "mono")
    drawing.lines(242, y + 96, ["one a worker, 2^15 slots, 768 KiB", "a miss takes the slot over"])
    drawing.arrow((444, y + 60), (496, y + 60))
    drawing.box(502, y + 42, 150, 36)
    drawing.text(516, y + 65, "64 displaced", "mono")
    drawing.lines(502, y + 96, ["wait for their shard,", "are added under one lock"])
    drawing.arrow((658, y + 60), (710, y + 60))
    drawing.cells(716, y + 48, ["0", "1", "2", "…", "63"], 42)
    drawing.lines(716, y + 90, ["shards by the high bits of the", "hash, each a table of its own"])


def train(drawing: Drawing, y: float) -> None:
    """Words as cells, and what a merge does to them."""
    drawing.lane(y, 258, "Train: words in one array of cells, the frequent pairs with their places")
    drawing.text(28, y + 58, "before", "mono")
    drawing.cells(112, y + 42, ["▪", "␣", "=h", "=a", "t", "s", "▪", "␣", "c", "a", "t", "▪", "…"])
    drawing.text(28, y + 98, "h a → ha", "mono")
    drawing.cells(
        112, y + 82, ["▪", "␣", "=ha", "=ha", "t", "s", "▪", "␣", "c", "a", "t", "▪", "…"]
    )
    drawing.text(28, y + 138, "ha t → hat", "mono")
    # The middle cell keeps what it held: nobody looks there.
    drawing.cells(
        112, y + 122, ["▪", "␣", "=hat", "ha", "=hat", "s", "▪", "␣", "c", "a", "t", "▪", "…"]
    )
    drawing.lines(
        518,
        y + 52,
        [
            "a token's first and last cell hold its id; nothing moves",
            "▪ separates words, which stand in the order of their counts",
        ],
    )
    drawing.box(518, y + 84, 418, 62)
    drawing.lines(
        528,
        y + 103,
        [
            "left of hat:   ␣ 7 ×      right of hat:  s 5 ×, e 2 ×",
            "notes by neighbour: sums by id,",
        ],
        "mono",
    )
    drawing.text(528, y + 137, "one look into the pairs for each", "mono")
    rounds = [("pairs ≥ floor", "survey: two walks"), ("merge the best", "until none is left")]
    x = 28
    for name, note in [*rounds, ("compact", "one cell a token"), ("floor ÷ 32", "next round")]:
        drawing.box(x, y + 172, 150, 36, kind="soft" if name == "merge the best" else "box")
        drawing.text(x + 14, y + 195, name, "mono")
        drawing.text(x + 2, y + 226, note, "note")
        if x > 28:
            drawing.arrow((x - 52, y + 190), (x - 6, y + 190))
        x += 208
    drawing.arrow((x - 126, y + 236), (x - 126, y + 246), (103, y + 246), (103, y + 236))
    drawing.lines(814, y + 178, ["a pair below the", "floor stays there:", "it is forgotten"])


def encode(drawing: Drawing, y: float) -> None:
    """The cache with its groups of slots, and what a miss costs."""
    drawing.lane(y, 190, "Encode: a cache of fixed size, and merging for what is not in it")
    drawing.cells(28, y + 48, ["key", "key", "key", "…"], 40)
    drawing.lines(28, y + 90, ["places asked for", "before the first look"])
    drawing.arrow((194, y + 60), (236, y + 60))
    drawing.box(242, y + 42, 304, 36)
    drawing.box(242, y + 42, 145, 36, kind="soft")
    drawing.text(252, y + 65, "key · 7 ids · len", "mono")
    for other in range(3):
        drawing.box(387 + 53 * other, y + 42, 53, 36)
        drawing.text(400 + 53 * other, y + 65, "slot", "mono")
    drawing.lines(
        242,
        y + 96,
        ["eight slots a group: who loses its own", "moves to another, and may come back"],
    )
    drawing.arrow((552, y + 60), (690, y + 60))
    drawing.text(600, y + 52, "hit", "note")
    drawing.box(696, y + 42, 236, 36)
    drawing.text(710, y + 65, "ids → file, in order", "mono")
    drawing.lines(696, y + 96, ["all are copied at once,", "the length says how many count"])
    drawing.arrow((318, y + 120), (318, y + 140))
    drawing.text(328, y + 135, "miss", "note")
    drawing.box(242, y + 144, 304, 32, kind="soft")
    drawing.text(252, y + 165, "merge table: (left, right) → rank", "mono")
    drawing.arrow((552, y + 160), (666, y + 160), (666, y + 66), (690, y + 66))
    drawing.lines(
        28, y + 150, ["smallest rank first,", "leftmost place first;", "twelve pretokens in turns"]
    )


def draw() -> str:
    """The whole picture."""
    drawing = Drawing()
    scan(drawing, 12)
    drawing.arrow((90, 238), (90, 258))
    count(drawing, 262)
    drawing.arrow((90, 394), (90, 414))
    train(drawing, 418)
    drawing.arrow((90, 676), (90, 696))
    encode(drawing, 700)
    return drawing.svg()


if __name__ == "__main__":
    PICTURE.write_text(draw(), encoding="utf-8")
