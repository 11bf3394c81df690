"""Where in a network things are: its linear layers, the parameters with a row per token, what its blocks write."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial

from torch import Tensor, nn


def linear_layers(network: nn.Module) -> dict[str, nn.Module]:
    """Modules that multiply their input by a matrix, by that parameter's name; no matrix that embeds tokens too."""
    embedded = {id(m.weight) for m in network.modules() if isinstance(m, nn.Embedding)}
    return {
        f"{name}.weight": module
        for name, module in network.named_modules()
        if (isinstance(module, nn.Linear) or is_transposed(module)) and id(module.weight) not in embedded
    }


def is_transposed(module: nn.Module) -> bool:
    """Whether a layer's matrix is stored [in, out]: GPT-2's own kind of linear layer, told by its name, for importing
    it takes transformers."""
    return type(module).__name__ == "Conv1D"


def transposed(network: nn.Module) -> frozenset[str]:
    """Matrices stored [in, out] where others are [out, in]: GPT-2's."""
    return frozenset(name for name, module in linear_layers(network).items() if is_transposed(module))


def token_rows(network: nn.Module) -> tuple[str, ...]:
    """Parameters with a row for every token: the embedding, and the head's where it is not tied to it."""
    modules = (network.get_input_embeddings(), network.get_output_embeddings())  # type: ignore[operator]
    rows = {id(parameter) for module in modules if module is not None for parameter in module.parameters()}
    return tuple(name for name, parameter in network.named_parameters() if id(parameter) in rows)


@contextmanager
def inputs_of(layers: Mapping[str, nn.Module]) -> Iterator[dict[str, Tensor]]:
    """What each layer is given while the network runs, the last call's."""
    seen: dict[str, Tensor] = {}

    def keep(name: str, module: nn.Module, arguments: tuple) -> None:
        seen[name] = arguments[0].detach()

    handles = [layer.register_forward_pre_hook(partial(keep, name)) for name, layer in layers.items()]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()
