"""A request for similarities, and what is compared where none is named."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from interference.activations import POOLINGS
from interference.errors import UserError, check_known
from interference.languages import english
from interference.scored import Model
from interference.similarity import DEFAULT, FEWEST, measures
from interference.similarity.table import Preparation
from interference.suite import Suite

CONDITIONS = {
    "own": "each model on its own language",
    "pivot": "all models on one language",
    "numerals": "all models on the numerals 0 to 1000",
    "languages": "each model by itself, its languages with each other",
}
SENTENCES = 150
MOST_MODELS = 30  # at first
GAP = "rotation_gap"  # the headline of every comparison


@dataclass(frozen=True)
class SimilarityRequest:
    """A request for similarities.

    Every pair of `models` is compared under each of `measures`; with `against` only those with one of these. In the
    condition `own` a model without a language of its own (a merge, a mixed or an untrained one) reads that of the model
    it is compared with. `languages` are the ones read in `pivot` and `languages`, English or the first where none is
    named in `pivot`, all in `languages`. `layers` are those of the first model (none named: all), the second's the
    nearest in relative depth; with `across` every layer is compared with every layer. Without `intervals` a table is
    made twenty times as fast. `half` is the one of the corpus whose sentences are read, test or dev.
    """

    models: tuple[tuple[str, Model], ...]
    measures: tuple[str, ...] = (DEFAULT,)
    condition: str = "own"
    languages: tuple[str, ...] = ()
    layers: tuple[int, ...] = ()
    across: bool = False
    against: tuple[str, ...] = ()
    sentences: int | None = SENTENCES
    pooling: str = "mean"
    preparation: Preparation = field(default_factory=Preparation)
    intervals: bool = True
    half: str = "test"

    def __post_init__(self) -> None:
        for given, known, what in (
            (self.measures, measures(), "measure"),
            ((self.condition,), CONDITIONS, "condition"),
            ((self.pooling,), POOLINGS, "pooling"),
        ):
            check_known(f"There is no {what}", known, *given)
        if self.sentences is not None and self.sentences < FEWEST:
            raise UserError(f"{self.sentences} sentences asked for; similarities need {FEWEST} at least.")


def gaps_of(asked: SimilarityRequest) -> SimilarityRequest:
    """The request for the rotation gaps of what another request compares: one number each, which is fast."""
    return replace(asked, measures=(GAP,), intervals=False)


def conditions_of(asked: SimilarityRequest) -> tuple[SimilarityRequest, ...]:
    """The requests for the same models on their own languages, on one, and on numerals."""
    return tuple(replace(asked, condition=condition) for condition in ("own", "pivot", "numerals"))


def default_models(suite: Suite) -> tuple[str, ...]:
    """Monos, mixed and branches, of training runs the last checkpoints; all checkpoints of a suite without such roles.

    MOST_MODELS of them at most.
    """
    return _known(suite)[:MOST_MODELS]


def default_notes(suite: Suite) -> tuple[str, ...]:
    """What to say where `default_models` are compared and they are not all."""
    every = len(_known(suite))
    return (f"The first {MOST_MODELS} of {every} models; choose others.",) if every > MOST_MODELS else ()


def _known(suite: Suite) -> tuple[str, ...]:
    roles = ("mono", "mixed", "branch")
    return tuple(c.name for role in roles for c in suite.last_with_role(role)) or suite.names


def multilingual(suite: Suite) -> str:
    """The checkpoint that is looked at by itself unless another is named: the mixed one, else the first."""
    return next((c.name for c in suite.last_with_role("mixed")), suite.names[0])


def pivot_of(languages: Sequence[str]) -> str:
    """The language that all models read where none is named: English, else the first."""
    return english(languages) or languages[0]
