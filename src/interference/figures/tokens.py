"""Lines of tokens as HTML, one coloured cell each: everything escaped, no scripts."""

from collections.abc import Sequence
from html import escape

import pandas as pd

from interference.languages import direction
from interference.signs import signed

# The dashboard's sequential (cividis) and diverging (PuOr) scales, told apart by colour-blind readers.
CIVIDIS = (
    "#00224e", "#123570", "#3b496c", "#575d6d", "#707173", "#8a8678", "#a59c74", "#c3b369", "#e1cc55", "#fee838",
)  # fmt: skip
PUOR = (
    "#2d004b", "#542788", "#8073ac", "#b2abd2", "#d8daeb", "#fee0b6", "#fdb863", "#e08214", "#b35806", "#7f3b08",
)  # fmt: skip
INCOMPLETE, END = "‥", "■"  # a token that ends inside a character; the one that ends the text
_PART = f"{INCOMPLETE} part of a character"
_VISIBLE = str.maketrans({" ": "·", "\t": "→", "\n": "↵", "\r": "↵", "\u00a0": "⍽", "\u3000": "□"})
_STYLE = """<style>
.it-line{line-height:1.9;overflow-wrap:anywhere}
.it-stacks{display:flex;flex-wrap:wrap;gap:10px 2px;padding-top:4px}
.it-stack{display:flex;flex-direction:column;gap:1px}
.it-names{font-size:.8rem;align-items:flex-end;padding:0 6px;opacity:.75;white-space:nowrap}
.it-names span{line-height:1.6rem}
.it-t{position:relative;display:inline-block;line-height:1.5rem;padding:0 2px;margin:0 1px 1px 0;border-radius:2px;
white-space:pre;cursor:help;text-align:center;min-width:.7em;box-shadow:inset 0 0 0 1px #88888866}
.it-stack .it-t{margin:0;height:1.6rem;font-size:.95rem}
.it-stack .it-n{font-size:.72rem;direction:ltr}
.it-t:focus{outline:2px solid #E69F00;outline-offset:1px}
.it-t:hover::after,.it-t:focus::after{content:attr(data-tip);position:absolute;left:0;bottom:calc(100% + 3px);
z-index:1000;direction:ltr;text-align:left;white-space:pre;font-size:.8rem;line-height:1.3;padding:4px 8px;
border-radius:4px;background:#1b1f24;color:#fff;border:1px solid #8b949e;pointer-events:none}
@supports (position-try-fallbacks:flip-inline){.it-t:hover,.it-t:focus{anchor-name:--it-t}
.it-t:hover::after,.it-t:focus::after{position:fixed;position-anchor:--it-t;position-area:top span-right;
left:auto;bottom:auto;margin-bottom:3px;position-try-fallbacks:flip-inline,flip-block}}
.it-legend{display:flex;flex-wrap:wrap;align-items:center;gap:4px 6px;font-size:.8rem;margin-top:6px}
.it-ends{display:inline-flex;align-items:center;gap:6px}
.it-bar{display:inline-block;width:120px;height:12px;border-radius:2px}
</style>"""


def said_html(prompt: str, frame: pd.DataFrame) -> str:
    """A prompt and the tokens that continue it, coloured by probability. `frame` has generate.TOKEN_COLUMNS."""
    cells = [
        _cell(
            _shown(row["text"]) or (END if row["ends"] else INCOMPLETE),
            _color(CIVIDIS, row["probability"]),
            f"{row['token']!r} ({row['id']})\nprobability {row['probability']:.3g}\n{row['bits']:.2f} bits",
        )
        for row in frame.to_dict("records")
    ]
    head, way = f"<span>{escape(prompt)}</span>", direction(prompt + "".join(frame["text"]))
    return f"{_STYLE}<div class='it-line' dir='{way}'>{head}{''.join(cells)}</div>"


def probability_legend() -> str:
    """The scale of `said_html`."""
    signs = f"{_PART} &nbsp; {END} end of the text &nbsp; \ufffd bytes that are no character"
    return _STYLE + _legend(CIVIDIS, "0", "1", f"the model's own probability of the token &nbsp; {signs}")


def line_html(frame: pd.DataFrame, model: str, reference: str) -> str:
    """One sentence: the reference's bits above, the model's below, and their difference. `frame` is a token line's."""
    high = max(1.0, float(frame[["bits", "reference_bits"]].to_numpy().max(initial=0.0)))
    most = max(1.0, float(frame["cost"].abs().max() if len(frame) else 0.0))
    names = "".join(f"<span>{escape(name)}</span>" for name in (reference, model, "difference"))
    stacks = [
        _stack(
            row["text"],
            f"{row['token']!r} ({row['id']})",
            row["bits"],
            row["reference_bits"],
            row["cost"],
            (model, reference),
            (high, most),
        )
        for row in frame.to_dict("records")
    ]
    legend = _legend(CIVIDIS[::-1], "0", f"{high:.1f}", f"bits of the token &nbsp; {_PART}")
    difference = _legend(PUOR, f"−{most:.1f}", f"+{most:.1f}", "difference in bits")
    way = direction("".join(frame["text"]))
    line = f"<div class='it-stacks' dir='{way}'><div class='it-stack it-names'>{names}</div>"
    return f"{_STYLE}{line}{''.join(stacks)}</div>{legend}{difference}"


def _stack(
    text: str, token: str, bits: float, reference: float, cost: float, names: Sequence[str], tops: tuple[float, float]
) -> str:
    high, most = tops
    shown = _shown(text) or INCOMPLETE
    model, other = names
    cells = [
        _cell(shown, _color(CIVIDIS, 1 - reference / high), f"{token}\n{other}: {reference:.2f} bits"),
        _cell(shown, _color(CIVIDIS, 1 - bits / high), f"{token}\n{model}: {bits:.2f} bits"),
        _cell(signed(cost, 1), _color(PUOR, 0.5 + cost / most / 2), f"{token}\n{signed(cost, 2)} bits", "it-t it-n"),
    ]
    return f"<div class='it-stack'>{''.join(cells)}</div>"


def _shown(text: str) -> str:
    """A piece of text with its whitespace made visible."""
    return text.translate(_VISIBLE)


def _cell(text: str, color: str, tip: str, kind: str = "it-t") -> str:
    tip = escape(tip)
    style = f"background:{color};color:{ink(color)}"
    return (
        f"<span class='{kind}' tabindex='0' role='img' style='{style}' data-tip='{tip}' aria-label='{tip}'>"
        f"{escape(text)}</span>"
    )


def _legend(scale: Sequence[str], low: str, high: str, what: str) -> str:
    bar = f"<span class='it-bar' style='background:linear-gradient(to right,{','.join(scale)})'></span>"
    ends = f"<span>{low}</span>{bar}<span>{high}</span>"  # on one line wherever the words are
    return f"<div class='it-legend'><span class='it-ends'>{ends}</span><span>{what}</span></div>"


def _color(scale: Sequence[str], share: float) -> str:
    """The colour at a share of a scale, clipped to its ends."""
    place = min(max(share, 0.0), 1.0) * (len(scale) - 1)
    at = min(int(place), len(scale) - 2)
    low, high = _rgb(scale[at]), _rgb(scale[at + 1])
    return "#" + "".join(f"{round(a + (b - a) * (place - at)):02x}" for a, b in zip(low, high, strict=True))


def _rgb(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def contrast(one: str, other: str) -> float:
    """The contrast of two colours by WCAG 2, from 1 to 21."""
    low, high = sorted(_luminance(color) for color in (one, other))
    return (high + 0.05) / (low + 0.05)


def ink(color: str) -> str:
    """Black or white, whichever is easier to read on a colour."""
    return max(("#000000", "#ffffff"), key=lambda other: contrast(color, other))


def _luminance(color: str) -> float:
    parts = [c / 255 for c in _rgb(color)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
