"""What the model's own head reads out of the states."""

import numpy as np
from jaxtyping import Float

from interference.similarity import Square, measure

TOKENS = 10


@measure(label=f"Logit lens, {TOKENS} likeliest tokens", source="arXiv:2402.10588", invariant=(), needs="vocabulary")
def logit_lens(x: Float[np.ndarray, "sentence token"], y: Float[np.ndarray, "sentence token"]) -> Square:
    """Share of the 10 likeliest tokens in common, read from each side's states by its model's final norm and head."""
    return (x[:, None, :, None] == y[None, :, None, :]).any(axis=3).mean(axis=2)
