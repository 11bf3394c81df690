"""A few steps of training: the yardstick for everything that repairs a merge."""

from collections.abc import Generator

import torch
from torch import nn

from interference.dev import DevHalf
from interference.recipe import Recipe
from interference.registry import post_step

STEPS, RATE, EACH, SIZE = 20, 1e-3, 48, 16  # Adam's; sentences of each language; sentences in a batch


@post_step(label=f"trained for {STEPS} steps on the dev half of its parents' languages")
def finetune(network: nn.Module, recipe: Recipe, dev: DevHalf) -> Generator[None, None, None]:
    """Train all weights of the merge a little, with Adam, as the yardstick for what needs no training.

    Batches of one length and one after the other in an order fixed by the recipe's seed; the loss is the mean over
    tokens.
    """
    batches = dev.batches(recipe.models, EACH, SIZE)
    order = torch.Generator().manual_seed(recipe.seed)
    optimizer = torch.optim.Adam(network.parameters(), RATE)
    for step in range(STEPS):
        if step % len(batches) == 0:
            turns = torch.randperm(len(batches), generator=order).tolist()
        batch = batches[turns[step % len(batches)]]
        with torch.enable_grad():
            loss = batch.nats(network(input_ids=batch.inputs, use_cache=False).logits) / batch.scored.sum()
            optimizer.zero_grad()
            loss.backward()
        optimizer.step()
        yield
    network.zero_grad(set_to_none=True)
