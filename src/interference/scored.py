"""What can be scored, a request for it, and the keys that its numbers are kept under."""

from dataclasses import astuple, dataclass
from typing import Any

import torch

from interference.checkpoint import Checkpoint
from interference.corpus import Corpus
from interference.draws import GENERATOR
from interference.ensemble import Ensemble
from interference.hybrid import Hybrid
from interference.losses import CONVENTION
from interference.recipe import Recipe
from interference.store import digest
from interference.suite import Suite

SHIPPED = "shipped"  # in place of torch's version in the key of a merge's bits that came with a suite
UNIGRAM, BIGRAM = "unigram", "bigram"
_MERGING = 3  # raised when a merge method gives other numbers than before, so that stored ones are not taken for its
_TOGETHER = "each by its own configuration, as much as all read"  # in the key of an ensemble: once as the first did
_MEASURING = "text 2"  # the same of those alone that measure something on text
_SLICING = "slices 2"  # the same of those alone that are made of layers and prepare something
Model = str | Recipe  # what a network can hold
Scored = Model | Ensemble | Hybrid


@dataclass(frozen=True)
class Request:
    """Which models to score, on which languages, on how many sentences of each (None: all of the test half).

    Costs are counted from the suite's references, or from the one of the models that `against` names.
    """

    models: tuple[tuple[str, Scored], ...]
    languages: tuple[str, ...]
    sentences: int | None = None
    against: str | None = None

    def references(self, suite: Suite) -> dict[str, str | None]:
        """What the costs of each language are counted from."""
        return {language: self.against or suite.reference(language) for language in self.languages}


def parents(model: Scored) -> tuple[str, ...]:
    """The checkpoints that a model is made of, a checkpoint itself."""
    return (model,) if isinstance(model, str) else model.models


def scored_by(suite: Suite, model: Scored) -> Checkpoint:
    """The checkpoint whose tokenizer and context a model has: itself, or the first of those it is made of."""
    return suite[parents(model)[0]]


def needed(model: Scored) -> tuple[str, ...]:
    """Every checkpoint whose weights are in a model."""
    if isinstance(model, str):
        return () if model in (UNIGRAM, BIGRAM) else (model,)
    return model.models if isinstance(model, Ensemble) else model.needed


def scoring(model: Scored) -> str:
    """What is being done while a model reads text, for messages."""
    return f"scoring {name_of(model)}"


def name_of(model: Scored) -> str:
    if isinstance(model, Ensemble):
        return f"the {model.kind}"
    if isinstance(model, Hybrid):
        return f"{model.parent} with {model.component.label} exchanged with the {model.recipe.method} merge"
    return model if isinstance(model, str) else f"the {model.method} merge"


def model_digest(suite: Suite, model: Scored, torch_version: str = torch.__version__) -> str:
    """What a model's losses depend on: the contents of its files, and of a recipe its parents' and its own."""
    if isinstance(model, str):
        return digest(model, suite.checkpoints[0].digest) if model in (UNIGRAM, BIGRAM) else suite[model].digest
    if isinstance(model, Ensemble):
        return digest(model.kind, _TOGETHER, [suite[name].digest for name in model.models])
    if isinstance(model, Hybrid):
        parts = (model_digest(suite, name, torch_version) for name in (model.parent, model.recipe))
        return digest("hybrid", astuple(model.component), model.restored, *parts)
    corpus = suite.corpus if model.data else None  # what is measured on the dev half
    measured: list[Any] = []
    if corpus:
        measured = [[corpus.digest(language) for language in corpus.languages], corpus.digest_of_documents]
    parents = [suite[name].digest for name in model.needed]
    measured += [*(suite[name].language for name in model.models), _MEASURING] if corpus else []
    drawn = [GENERATOR] if model.definition.seeded else []
    sliced = [_SLICING] if model.slices and model.definition.prepare else []
    return digest(model.digest(), parents, _MERGING, torch_version, *measured, *drawn, *sliced)


def bits_key(model: str, corpus: Corpus, language: str, device_type: str) -> str:
    """The store's key for the bits of one model (by digest) on one language of a corpus."""
    return digest(CONVENTION, model, corpus.digest(language), corpus.digest_of_documents, device_type)


def tokens_key(tokenizer: str, corpus: Corpus, language: str) -> str:
    """The key of what a tokenizer (by digest) makes of one language of a corpus."""
    return digest("tokens", tokenizer, corpus.digest(language))
