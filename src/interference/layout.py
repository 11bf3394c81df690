"""Where in a network things are: its linear layers, the parameters with a row per token, what its blocks write."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial

from torch import Tensor, nn

from interference.groups import beside_text, layer_of


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


def body(network: nn.Module) -> nn.Module:
    """The model without its head, which gives hidden states; Llama 4's has not the name that transformers looks for."""
    base: nn.Module = network.base_model  # type: ignore[assignment]
    return getattr(network, "model", base) if base is network else base


def final_norm(network: nn.Module) -> nn.Module | None:
    """The norm between the text model's last layer and the head; None where there is none, or under another name."""
    outside = ((name, module) for name, module in body(network).named_modules() if layer_of(f"{name}.x") is None)
    found = [m for name, m in outside if name.rpartition(".")[2] in _NORMS and not beside_text(name)]
    return found[-1] if found else None


_NORMS = (
    "norm", "ln_f", "final_norm", "final_layer_norm", "final_layernorm", "norm_f", "layer_norm", "layernorm", "ln_out",
    "out_norm",
)  # fmt: skip


@contextmanager
def inputs_of(layers: Mapping[str, nn.Module]) -> Iterator[dict[str, Tensor]]:
    """What each layer is given while the network runs, the last call's."""
    seen: dict[str, Tensor] = {}

    def keep(name: str, module: nn.Module, arguments: tuple) -> None:
        seen[name] = arguments[0].detach()

    with ExitStack() as hooks:
        for name, layer in layers.items():
            hooks.enter_context(layer.register_forward_pre_hook(partial(keep, name)))
        yield seen
