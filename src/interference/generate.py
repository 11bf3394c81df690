"""What models write when they continue a text, token by token, with the probability of each token."""

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor, nn

from interference.bench import PARENTS
from interference.corpus import Corpus
from interference.errors import UserError
from interference.evaluate import Evaluator
from interference.losses import prefix_token
from interference.recipe import Recipe
from interference.scored import Model, scored_by, scoring
from interference.steps import Steps, telling
from interference.suite import Suite
from interference.tokens import added, decoded

Ended = Literal["end", "length", "context"]
ENDINGS: dict[Ended, str] = {
    "end": "ends by itself", "length": "cut at its length", "context": "stopped where the context is full"
}  # fmt: skip
TOKEN_COLUMNS = ("position", "token", "id", "text", "ends", "probability", "bits")
HOTTEST, LONGEST = 10.0, 2000
_SEEDS = range(-(2**63), 2**64)


@dataclass(frozen=True)
class Sampling:
    """How tokens are chosen. Temperature 0 takes the likeliest token, and neither `top_p` nor the seed matters.

    `top_p` keeps the smallest set of likeliest tokens whose probability at this temperature reaches it.
    """

    length: int = 40
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.temperature <= HOTTEST:
            raise UserError(
                f"The temperature is {self.temperature}; expected 0 (always the likeliest token) to {HOTTEST:g}."
            )
        if not 0 < self.top_p <= 1:
            raise UserError(f"Top-p is {self.top_p}; expected more than 0 and at most 1, which keeps every token.")
        if not 1 <= self.length <= LONGEST:
            raise UserError(f"{self.length} tokens asked for; expected 1 to {LONGEST}.")
        if self.seed not in _SEEDS:
            raise UserError(f"The seed {self.seed} is out of range; expected a whole number of at most 64 bits.")


@dataclass(frozen=True)
class Token:
    """One token as chosen: what it adds to the text, and its probability under the model.

    The probability is of all tokens, before temperature and top-p. `raw` is the vocabulary's name of the token; one
    that `ends` the text adds nothing to it.
    """

    id: int
    raw: str
    text: str
    probability: float
    ends: bool = False

    @property
    def bits(self) -> float:
        return -math.log2(self.probability) if self.probability else math.inf


@dataclass(frozen=True)
class Continuation:
    """What one model wrote after a prompt, its end token included, and why it stopped."""

    prompt: str
    tokens: tuple[Token, ...]
    ended: Ended

    @property
    def text(self) -> str:
        return "".join(token.text for token in self.tokens)

    @property
    def bits_per_token(self) -> float:
        return sum(token.bits for token in self.tokens) / len(self.tokens)


def continuation_steps(
    network: nn.Module, tokenizer: Any, prompt: str, how: Sampling, limit: int | None = None
) -> Generator[Token, None, Continuation]:
    """Continue a prompt by at most `how.length` tokens, yielding each; an end token is the last.

    The prompt follows the one prefix token that losses are measured with. A model of `limit` positions stops when they
    are full. Keys and values of earlier tokens are kept, and are of the weights that made them: whoever puts other
    weights into the network between two tokens has to put the same ones back before the next.
    """
    ids = _prompt_ids(network, tokenizer, prompt, limit)
    generator, ends = torch.Generator().manual_seed(how.seed), _end_ids(network, tokenizer)
    tokens: list[Token] = []
    cache, shown = None, decoded(tokenizer, ids[1:])
    while len(tokens) < how.length:
        if limit and len(ids) > limit:
            return Continuation(prompt, tuple(tokens), "context")
        logits, cache = _next_logits(network, ids, cache)
        chosen = _choose(logits, how, generator)
        ids.append(chosen)
        ending = chosen in ends
        text = "" if ending else added(tokenizer, ids[1:], shown)
        shown += text
        probability = float(torch.softmax(logits.double(), dim=-1)[chosen])
        tokens.append(Token(chosen, str(tokenizer.convert_ids_to_tokens(chosen)), text, probability, ending))
        yield tokens[-1]
        if ending:
            return Continuation(prompt, tuple(tokens), "end")
    return Continuation(prompt, tuple(tokens), "length")


def _prompt_ids(network: nn.Module, tokenizer: Any, prompt: str, limit: int | None) -> list[int]:
    ids = [prefix_token(tokenizer)[0], *tokenizer(prompt, add_special_tokens=False)["input_ids"]]
    if limit and len(ids) > limit:
        raise UserError(
            f"The prompt has {len(ids) - 1} tokens, and this model reads at most {limit - 1}. Shorten the prompt."
        )
    rows = network.get_input_embeddings().weight.shape[0]  # type: ignore[operator]
    if max(ids) >= rows:
        raise UserError(
            f"The tokenizer gives token {max(ids)} for this prompt, and the model knows {rows}: the two are not of one "
            "model. Copy the tokenizer that belongs to these weights."
        )
    return ids


def _end_ids(network: nn.Module, tokenizer: Any) -> set[int]:
    """The tokens that end a text, by the tokenizer and by the model's configuration."""
    named = getattr(network.config, "eos_token_id", None)
    both = [tokenizer.eos_token_id, *(named if isinstance(named, list | tuple) else [named])]
    return {token for token in both if token is not None}


@torch.inference_mode()
def _next_logits(network: nn.Module, ids: Sequence[int], cache: Any) -> tuple[Float[Tensor, " entry"], Any]:
    """Logits of the next token in float32 on the CPU, and the cache; a model that gives no cache reads all anew."""
    device = next(network.parameters()).device
    new = torch.tensor([ids if cache is None else ids[-1:]], device=device)
    kept = {} if cache is None else {"past_key_values": cache}
    output = network(input_ids=new, use_cache=True, **kept)
    logits = output.logits[0, -1].float().cpu()
    if not torch.isfinite(logits.logsumexp(dim=-1)):
        raise UserError("The model gives probabilities that are not finite; its weights overflow.")
    return logits, getattr(output, "past_key_values", None)


def _choose(logits: Float[Tensor, " entry"], how: Sampling, generator: torch.Generator) -> int:
    if how.temperature == 0:
        return int(logits.argmax())
    shares = torch.softmax(logits.double() / how.temperature, dim=-1)
    if how.top_p < 1:
        ordered, places = shares.sort(descending=True, stable=True)
        before = ordered.cumsum(dim=-1) - ordered
        shares[places[before >= how.top_p]] = 0.0
    return int(torch.multinomial(shares, 1, generator=generator))


@dataclass(frozen=True)
class Question:
    """A prompt, the models that continue it, each with the name it is shown by, and how."""

    models: tuple[tuple[str, Model], ...]
    prompt: str
    sampling: Sampling = Sampling()


@dataclass(frozen=True)
class Answers:
    """What each model of a question wrote, in the order of its models, and what every copy of it should carry."""

    question: Question
    continuations: tuple[Continuation, ...]
    provenance: dict[str, str]

    def summary(self) -> pd.DataFrame:
        """One row per model: what it wrote, how it ended, and how surprising its own tokens were to it."""
        return pd.DataFrame(
            [
                {
                    "model": name, "prompt": c.prompt, "continuation": c.text, "tokens": len(c.tokens),
                    "ended": c.ended, "bits_per_token": c.bits_per_token,
                }
                for (name, _), c in zip(self.question.models, self.continuations, strict=True)
            ]
        )  # fmt: skip

    def tokens(self) -> pd.DataFrame:
        """One row per token of every model."""
        return pd.concat(
            [
                token_frame(c.tokens).assign(model=name)
                for (name, _), c in zip(self.question.models, self.continuations, strict=True)
            ]
        )[["model", *TOKEN_COLUMNS]]

    def sentence(self) -> str:
        """What is to be seen, in one sentence."""
        parts = [
            f"{name} {c.bits_per_token:.2f} ({len(c.tokens)} tokens, {ENDINGS[c.ended]})"
            for (name, _), c in zip(self.question.models, self.continuations, strict=True)
        ]
        return f"Bits per token that each model needs for its own text, fewer is surer: {'; '.join(parts)}."


def token_frame(tokens: Sequence[Token]) -> pd.DataFrame:
    """One row per token, in order."""
    rows = [(n, t.raw, t.id, t.text, t.ends, t.probability, t.bits) for n, t in enumerate(tokens)]
    return pd.DataFrame(rows, columns=list(TOKEN_COLUMNS))


def answer_steps(
    evaluator: Evaluator, question: Question, told: Callable[[int, Token], None] = lambda number, token: None
) -> Steps[Answers]:
    """Ask one model after the other, yielding the share that is done after each token; between tokens another may use
    the networks. `told` is called with each token and the number of its model."""
    found: list[Continuation] = []
    for number, (name, model) in enumerate(question.models):
        with evaluator.room(scoring(model)):
            yield from telling(number / len(question.models), evaluator.networks.ready_steps(model))
            checkpoint = scored_by(evaluator.suite, model)
            steps = continuation_steps(
                evaluator.networks.put(model),
                checkpoint.tokenizer,
                question.prompt,
                question.sampling,
                checkpoint.positions,
            )
            for place in range(question.sampling.length + 1):
                evaluator.networks.put(model)  # another's weights may be there since the last token
                try:
                    told(number, next(steps))
                except StopIteration as end:
                    found.append(end.value)
                    break
                except UserError as error:
                    raise UserError(f"{name}: {error}") from None
                yield (number + (place + 1) / question.sampling.length) / len(question.models)
    return Answers(question, tuple(found), _provenance(evaluator, question))


def _provenance(evaluator: Evaluator, question: Question) -> dict[str, str]:
    scored = [model for _, model in question.models]
    settings = {key: str(value) for key, value in asdict(question.sampling).items()}
    recipes = [model.to_yaml() for _, model in question.models if isinstance(model, Recipe)]
    return evaluator.provenance(scored) | {"prompt": question.prompt} | settings | {"recipes": "---\n".join(recipes)}


def equal_merge(suite: Suite) -> Recipe | None:
    """The linear merge with equal weights of the first PARENTS that are merged unless told, None without two."""
    names = suite.together[:PARENTS]
    return Recipe("linear", names, (1 / len(names),) * len(names)) if names else None


def speaker(suite: Suite, language: str) -> str:
    """A language's reference, else its latest checkpoint where it has several, else the first of all."""
    own = [c for c in suite.checkpoints if c.language == language]
    return suite.reference(language) or (max(own, key=lambda c: c.step or 0).name if own else suite.names[0])


def default_models(
    suite: Suite, language: str, merge: Recipe | None, parents: Sequence[str] | None = None
) -> tuple[tuple[str, Model], ...]:
    """Who continues a prompt: the parents (the language's reference unless told), the merge and the mixed models."""
    reference = speaker(suite, language) if merge is None else suite.reference(language)
    chosen = list(parents) if parents is not None else [reference] if reference else []
    mixed = [c.name for c in suite.last_with_role("mixed") if c.name not in chosen]
    return (
        *((name, name) for name in chosen),
        *((("merge", merge),) if merge else ()),
        *((name, name) for name in mixed),
    )


def default_prompt(corpus: Corpus, language: str) -> str:
    """The first half of the words of the first sentence of the test half, at most four; of its characters, at most
    six, where the language writes no spaces."""
    sentence = corpus.sentences[language][corpus.rows(None)[0]]
    words = sentence.split(" ")
    if len(words) > 1:
        return " ".join(words[: min(4, len(words) // 2)])
    return sentence[: min(6, len(sentence) // 2)]
