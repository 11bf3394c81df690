"""What models say together without being merged: the reference points that no merge of them may hide behind."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from interference.errors import UserError, check_known

LOGITS, PROBABILITIES, BEST = "mean of logits", "mean of probabilities", "best parent"
KINDS = {"logits": LOGITS, "probabilities": PROBABILITIES, "best": BEST}


@dataclass(frozen=True)
class Ensemble:
    """Several checkpoints' predictions at once, all with the same share, or of each language's best on the dev half."""

    models: tuple[str, ...]
    kind: str

    def __post_init__(self) -> None:
        check_known("Unknown ensemble", tuple(KINDS.values()), self.kind)
        if not self.models:
            raise UserError(f"The {self.kind} of no models is asked for; name at least one.")


class Averaged(nn.Module):
    """A network whose logits are those of an ensemble: of networks, one for each configuration, with its parameters.

    Each model's are read when it has its turn, for on the device there may be no room for all.
    """

    def __init__(self, models: Sequence[tuple[nn.Module, Callable[[], Mapping[str, Tensor]]]], kind: str):
        super().__init__()
        self.network = models[0][0]
        self.config = self.network.config
        self._models, self._kind = models, kind

    def get_output_embeddings(self) -> nn.Module:
        return self.network.get_output_embeddings()  # type: ignore[operator]

    def forward(self, input_ids: Int[Tensor, "row position"], use_cache: bool = False) -> SimpleNamespace:
        """Summed one model after another, so that two models' logits are held at a time."""
        total: Float[Tensor, "row position token"] | None = None
        arguments = {"input_ids": input_ids, "use_cache": use_cache}
        add = torch.add if self._kind == LOGITS else torch.logaddexp
        for network, read in self._models:
            logits = torch.func.functional_call(network, dict(read()), (), arguments).logits
            own = logits if self._kind == LOGITS else logits.log_softmax(dim=-1)
            total = own if total is None else add(total, own)
        assert total is not None  # an ensemble has a model
        count = len(self._models)
        return SimpleNamespace(logits=total / count if self._kind == LOGITS else total - math.log(count))
