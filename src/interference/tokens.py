"""Tokens as text: what each one adds to what is written. No torch."""

from collections.abc import Sequence
from typing import Any


def pieces(tokenizer: Any, ids: Sequence[int]) -> tuple[str, ...]:
    """The text that each token adds; joined they are the decoded text.

    A token that ends inside a character adds what comes before it, and the one that completes it the whole character.
    Bytes at the end that are no whole character are left out.
    """
    found: list[str] = []
    shown = ""
    for end in range(1, len(ids) + 1):
        found.append(added(tokenizer, ids[:end], shown))
        shown += found[-1]
    return tuple(found)


def added(tokenizer: Any, ids: Sequence[int], shown: str) -> str:
    """What the text of these tokens has beyond what is shown already, without an incomplete character at its end."""
    return decoded(tokenizer, ids).rstrip("\ufffd")[len(shown) :]


def decoded(tokenizer: Any, ids: Sequence[int]) -> str:
    """The text of tokens exactly, special ones written out."""
    return tokenizer.decode(list(ids), clean_up_tokenization_spaces=False)
