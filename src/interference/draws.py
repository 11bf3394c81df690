"""Uniform random numbers that depend on a key and a place alone: the same on every device, a part or all at a time."""

import hashlib
import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interference.fused import fused

GENERATOR = "Philox4x32-10, by the ends of names"
_FACTORS = 0xD2511F53, 0xCD9E8D57  # the constants of Philox4x32
_STEPS = 0x9E3779B9, 0xBB67AE85
_ROUNDS = 10
_LOW = 0xFFFFFFFF
_COUNTERS = {"cpu": 1 << 17, "cuda": 1 << 22}  # at a time: on a CPU what stays in its cache, elsewhere some of memory


def uniforms(key: str, shape: Sequence[int], device: torch.device) -> Float[Tensor, "*shape"]:
    """Numbers from 0 up to but without 1, multiples of 2^-24, by Philox4x32-10 (doi 10.1145/2063384.2063405).

    Entry 4i + j of the flat result is the j-th word for counter i under the first 64 bits of the key's SHA-256.
    """
    words = hashlib.sha256(key.encode()).digest()
    keys = torch.tensor([int.from_bytes(words[at : at + 4], "little") for at in (0, 4)], device=device)
    total, size = math.prod(shape), _COUNTERS[device.type]
    found = torch.empty((-(-total // 4), 4), device=device)
    for start in range(0, len(found), size):
        fused(_draw)(found[start : start + size], torch.tensor(start, device=device), keys)
    return found.view(-1)[:total].view(tuple(shape))


def _draw(out: Float[Tensor, "counter 4"], start: Int[Tensor, ""], keys: Int[Tensor, " two"]) -> None:
    counters = start + torch.arange(len(out), device=out.device)
    none = torch.zeros_like(counters)
    drawn = philox([counters & _LOW, counters >> 32, none, none], keys)
    out.copy_((torch.stack(drawn, dim=1) >> 8).float() * 2.0**-24)


def philox(counters: Sequence[Int[Tensor, " counter"]], keys: Int[Tensor, " two"]) -> list[Int[Tensor, " counter"]]:
    """The four words that Philox4x32-10 makes of each counter of four, all from 0 up to 2^32."""
    words = list(counters)
    for turn in range(_ROUNDS):
        (high, low), (upper, lower) = _product(words[0], _FACTORS[0]), _product(words[2], _FACTORS[1])
        key, other = ((own + turn * step) & _LOW for own, step in zip(keys.unbind(), _STEPS, strict=True))
        words = [upper ^ words[1] ^ key, lower, high ^ words[3] ^ other, low]
    return words


def _product(word: Int[Tensor, " counter"], factor: int) -> tuple[Int[Tensor, " counter"], Int[Tensor, " counter"]]:
    """The upper and the lower half of a product of 64 bits, which torch keeps with a sign."""
    whole = word * factor
    return (whole >> 32) & _LOW, whole & _LOW
