"""Findings: views in an order of the user's own, with headings and text between them. Pure: no torch."""

import json
from dataclasses import dataclass, replace

from interference.bench import View, field_of, mapping_of, parse_view, view_document
from interference.errors import UserError

MOST_BLOCKS = 50
TITLE, HEADING, TEXT = 80, 200, 20_000  # characters
MOST_BYTES = 2_000_000  # of a document
_KIND, _VERSION = "interference findings", 1


@dataclass(frozen=True)
class Block:
    """A heading, Markdown below it, and the view that they are about, if any."""

    heading: str = ""
    text: str = ""
    view: View | None = None

    def __post_init__(self) -> None:
        for name, value, most in (("heading", self.heading, HEADING), ("text", self.text, TEXT)):
            if len(value) > most:
                raise UserError(f"A block's {name} has {len(value)} characters; {most} at most. Shorten or split it.")


@dataclass(frozen=True)
class Findings:
    """Blocks in the order they are shown in. The title is also the name they are kept under."""

    title: str
    blocks: tuple[Block, ...] = ()

    def __post_init__(self) -> None:
        if self.title != " ".join(self.title.split()) or not 1 <= len(self.title) <= TITLE:
            raise UserError(
                f"Findings need a title of 1 to {TITLE} characters in one line, not {self.title[:TITLE]!r}."
            )
        if len(self.blocks) > MOST_BLOCKS:
            raise UserError(f"Findings hold {MOST_BLOCKS} blocks at most, not {len(self.blocks)}. Remove some first.")

    def renamed(self, title: str) -> "Findings":
        """With another title; white space counts as one blank."""
        return replace(self, title=" ".join(title.split()))

    def inserted(self, at: int, *blocks: Block) -> "Findings":
        """With blocks before the one that is number `at` now."""
        return replace(self, blocks=(*self.blocks[:at], *blocks, *self.blocks[at:]))

    def removed(self, number: int) -> "Findings":
        return replace(self, blocks=self.blocks[:number] + self.blocks[number + 1 :])

    def moved(self, number: int, to: int) -> "Findings":
        """With a block moved to another place."""
        return self.removed(number).inserted(to, *self.blocks[number : number + 1])

    def changed(self, number: int, block: Block) -> "Findings":
        """With another block in the place of one."""
        return replace(self, blocks=(*self.blocks[:number], block, *self.blocks[number + 1 :]))

    def on_suite(self, suite: str) -> "Findings":
        """With every view on this suite, whatever suite it was on before."""
        blocks = (replace(b, view=replace(b.view, suite=suite)) if b.view else b for b in self.blocks)
        return replace(self, blocks=tuple(blocks))


def to_json(findings: Findings) -> str:
    """Findings as a file that can be shared; `from_json` gives them back."""
    blocks = []
    for block in findings.blocks:
        entry = {"heading": block.heading, "text": block.text}
        blocks.append(entry | ({"view": view_document(block.view)} if block.view else {}))
    document = {"kind": _KIND, "version": _VERSION, "title": findings.title, "blocks": blocks}
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


def from_json(data: str | bytes) -> Findings:
    """The findings in such a file. Raises UserError on whatever else it holds; nothing in it is executed."""
    fields = mapping_of(_loaded(data), ("kind", "version", "title", "blocks"), "file of findings")
    if (fields.get("kind"), fields.get("version")) != (_KIND, _VERSION):
        raise UserError(
            f"This is no file of findings of version {_VERSION}: its kind is {str(fields.get('kind'))[:40]!r} and its "
            f"version {str(fields.get('version'))[:20]!r}. Give one that was exported here."
        )
    blocks = field_of(fields, "blocks", list)
    if len(blocks) > MOST_BLOCKS:
        raise UserError(f"Findings hold {MOST_BLOCKS} blocks at most, not {len(blocks)}.")
    title = field_of(fields, "title", str)
    return Findings(title, tuple(_block(number, entry) for number, entry in enumerate(blocks, start=1)))


def _loaded(data: str | bytes) -> object:
    if len(data) > MOST_BYTES:
        raise UserError(f"The file of findings has {len(data)} bytes; {MOST_BYTES} at most.")
    try:
        document = json.loads(data)
        json.dumps(document, ensure_ascii=False, allow_nan=False).encode()  # half a surrogate pair can't be written
    except (ValueError, RecursionError) as error:
        raise UserError(f"This is no file of findings: {str(error)[:100]}. Give one that was exported here.") from None
    return document


def _block(number: int, entry: object) -> Block:
    try:
        fields = mapping_of(entry, ("heading", "text", "view"), "block")
        view = parse_view(fields["view"]) if "view" in fields else None
        return Block(field_of(fields, "heading", str, ""), field_of(fields, "text", str, ""), view)
    except UserError as error:
        raise UserError(f"Block {number}: {error}") from None
