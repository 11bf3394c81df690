"""REPAIR without shifts: what every block writes, at the strength at which the parents write it."""

from collections.abc import Generator, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from interference.dev import Batch, DevHalf
from interference.errors import UserError
from interference.layout import inputs_of, is_transposed
from interference.recipe import Recipe
from interference.registry import post_step

EACH, SIZE = 24, 32  # sentences of each language that deviations are measured on; sentences in a batch
_FLOOR = 1e-8  # a channel that varies less than this is left alone
# Blocks that add to the residual stream what these matrices write: (blocks, attention's last, MLP's last matrix).
_LLAMA = ("model.layers", "self_attn.o_proj", "mlp.down_proj")
_WRITERS = {
    "LlamaForCausalLM": _LLAMA,
    "MistralForCausalLM": _LLAMA,
    "Qwen2ForCausalLM": _LLAMA,
    "Qwen3ForCausalLM": _LLAMA,
    "GPT2LMHeadModel": ("transformer.h", "attn.c_proj", "mlp.c_proj"),
    "GPTNeoXForCausalLM": ("gpt_neox.layers", "attention.dense", "mlp.dense_4h_to_h"),
}


@post_step(label="REPAIR per channel")
def repair(network: nn.Module, recipe: Recipe, dev: DevHalf) -> Generator[None, None, None]:
    """Scale every channel of what attention and MLP write, and of the MLP's hidden layer, to its parents' deviation.

    Deviations are measured on the dev half of all parents' languages, the parents' averaged; block by block, so that
    later blocks are measured on what the earlier became. Scales only: most blocks have no bias to shift by.
    """
    if recipe.slices:
        raise UserError("REPAIR compares each block with the parents' own, and slices have no such block. Take it out.")
    batches = dev.batches(recipe.models, EACH, SIZE)
    targets = []
    for name in dict.fromkeys(recipe.models):
        parent = dev.network(name)
        targets.append([_spreads(parent, block, batches) for block in range(len(_writers(parent)))])
        yield
    for block, (attention, mlp) in enumerate(_writers(network)):
        wanted = [torch.stack([own[block][i] for own in targets]).mean(dim=0) for i in range(3)]
        _scale(attention, _ratio(wanted[0], _spreads(network, block, batches)[0]))
        yield
        _scale(mlp, _ratio(wanted[1], _spreads(network, block, batches)[1]), inputs=True)
        yield
        _scale(mlp, _ratio(wanted[2], _spreads(network, block, batches)[2]))
        yield


def _writers(network: nn.Module) -> list[tuple[Any, Any]]:
    """The matrix by which attention and that by which the MLP of each block write into the residual stream."""
    kind = type(network).__name__
    if kind not in _WRITERS:
        raise UserError(
            f"REPAIR does not know what the blocks of a {kind} write; it knows {', '.join(_WRITERS)}. Take it out."
        )
    blocks, attention, mlp = _WRITERS[kind]
    return [(b.get_submodule(attention), b.get_submodule(mlp)) for b in network.get_submodule(blocks).children()]


@torch.no_grad()
def _spreads(
    network: nn.Module, block: int, batches: Sequence[Batch]
) -> tuple[Float[Tensor, " dim"], Float[Tensor, " hidden"], Float[Tensor, " dim"]]:
    """Standard deviations of attention's write, the MLP's hidden layer and its write, where tokens are predicted.

    Pooled from those of the batches: the states of all of them would take the memory of a model.
    """
    attention, mlp = _writers(network)[block]
    found: list[list[tuple[Tensor, Tensor]]] = [[], [], []]
    batches = [batch for batch in batches if batch.scored.any()]
    with inputs_of({"attention": attention, "mlp": mlp}) as seen:
        for batch in batches:
            network(input_ids=batch.inputs, use_cache=False)
            before, hidden = seen["attention"][batch.scored], seen["mlp"][batch.scored]
            for parts, one in zip(found, (attention(before), hidden, mlp(hidden)), strict=True):
                parts.append(torch.var_mean(one.double(), dim=0, correction=0))
    shares = torch.stack([batch.scored.sum() for batch in batches]).double()
    first, second, third = (_pooled(parts, shares / shares.sum()).float() for parts in found)
    return first, second, third


def _pooled(
    parts: Sequence[tuple[Float[Tensor, " dim"], Float[Tensor, " dim"]]], shares: Float[Tensor, " part"]
) -> Float[Tensor, " dim"]:
    """The standard deviation of all from variance and mean of each part, and what share of all it is."""
    variances, means = (torch.stack(one) for one in zip(*parts, strict=True))
    apart = (means - shares @ means).square()
    return (shares @ (variances + apart)).sqrt()


def _ratio(wanted: Float[Tensor, " channel"], found: Float[Tensor, " channel"]) -> Float[Tensor, " channel"]:
    return torch.where(found > _FLOOR, wanted / found.clamp_min(_FLOOR), 1)


@torch.no_grad()
def _scale(layer: Any, ratio: Float[Tensor, " channel"], inputs: bool = False) -> None:
    """Multiply each channel that a layer gives, or takes."""
    columns = inputs != is_transposed(layer)
    layer.weight.mul_(ratio if columns else ratio[:, None])
    if layer.bias is not None and not inputs:
        layer.bias.mul_(ratio)
