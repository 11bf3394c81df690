"""What a model costs sentence by sentence against another, and token by token inside one sentence."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from interference.errors import UserError
from interference.evaluate import Evaluator
from interference.losses import token_bits, tokenize
from interference.recipe import Recipe
from interference.scored import Model, scored_by, scoring
from interference.signs import signed
from interference.steps import Steps, nth, telling
from interference.tokens import pieces

COLUMNS = ("row", "document", "language", "text", "tokens", "bits", "reference_bits", "cost", "reference")
TOKEN_COLUMNS = ("position", "token", "id", "text", "bits", "reference_bits", "cost")


@dataclass(frozen=True)
class SentenceTable:
    """Bits of single sentences under a model and its reference, the largest cost first. `frame` has COLUMNS.

    `row` is the sentence's place in the corpus, from 0; the same in all languages.
    """

    frame: pd.DataFrame
    note: str
    provenance: dict[str, str]

    def sentence(self) -> str:
        """What is to be seen, in one sentence."""
        cost = self.frame["cost"]
        if len(cost) == 1:
            return f"The one sentence costs {signed(cost.iloc[0], 1)} bits against the reference."
        extra, more = cost.clip(lower=0), int((cost > 0).sum())
        tenth = len(cost) // 10
        share = ""
        if tenth and more:
            share = f", {100 * extra.iloc[:tenth].sum() / extra.sum():.0f} % of all extra bits in the worst tenth"
        return (
            f"{more} of {len(cost)} sentences cost{'s' * (more == 1)} more bits than under the reference: "
            f"{signed(cost.mean(), 1)} bits on average, {signed(cost.max(), 1)} at worst{share}."
        )


@dataclass(frozen=True)
class TokenLine:
    """One sentence token by token under a model and its reference. `frame` has TOKEN_COLUMNS."""

    frame: pd.DataFrame
    model: str
    reference: str
    provenance: dict[str, str]

    def sentence(self) -> str:
        """What is to be seen, in one sentence."""
        bits, reference, cost = (self.frame[name] for name in ("bits", "reference_bits", "cost"))
        worst = self.frame.iloc[int(cost.argmax())]
        place = f"'{worst['text'].strip() or worst['token']}' (token {worst['position'] + 1} of {len(cost)})"
        return (
            f"{self.model} needs {bits.sum():.1f} bits for this sentence, {self.reference} {reference.sum():.1f}; what "
            f"costs most is {place}: {worst['cost']:+.1f} bits."
        )


def sentence_steps(
    evaluator: Evaluator,
    model: Model,
    languages: Sequence[str],
    sentences: int | None = None,
    against: str | None = None,
) -> Steps[SentenceTable]:
    """Paired costs of single sentences, a batch at a time: the numbers that the loss table's means are made of.

    The reference is `against`, else the suite's of each language, else the best parent of a merge in it.
    """
    evaluator.check_languages(languages)
    rows, parts, said = evaluator.corpus.rows(sentences), [], dict[str, None]()
    for number, language in enumerate(languages):
        done = number / len(languages)
        reference = against or evaluator.suite.reference(language)
        if reference is None:
            reference = yield from telling(done, _best_parent(evaluator, model, language, sentences))
        bits: list[np.ndarray] = []
        for one in (model, reference):
            steps = evaluator.bits_steps(one, language, rows)
            bits.append((yield from nth(2 * number + len(bits), 2 * len(languages), steps)))
        parts.append(_frame(evaluator, model, language, rows, *bits).assign(reference=reference))
        said |= dict.fromkeys(evaluator.tokenization({"": model, reference: reference}, [language], rows)[1])
        yield (number + 1) / len(languages)
    frame = pd.concat(parts).sort_values("cost", ascending=False, kind="stable", ignore_index=True)
    half = " of the test half" if evaluator.corpus.has_dev else ""
    own = f"{len(rows)} of {len(evaluator.corpus.rows(None))} sentences{half} in each language."
    note = " ".join((own, *said))
    made_from = _provenance(evaluator, model, frame["reference"].unique())
    return SentenceTable(frame[list(COLUMNS)], note, made_from)


def _best_parent(evaluator: Evaluator, model: Model, language: str, sentences: int | None) -> Steps[str]:
    """Chosen as for the loss table: on the dev half where there is one, else on the sentences that are shown."""
    if not isinstance(model, Recipe):
        raise UserError(
            f"The suite {evaluator.suite.name} names no reference for {language}. Name a checkpoint to count costs "
            "from (--against), or give one the role mono and its language in suite.yaml."
        )
    return (yield from evaluator.best_steps(model.models, language, sentences))


def _frame(
    evaluator: Evaluator, model: Model, language: str, rows: np.ndarray, bits: np.ndarray, reference: np.ndarray
) -> pd.DataFrame:
    corpus = evaluator.corpus
    text = evaluator.text(scored_by(evaluator.suite, model), language, rows)
    return pd.DataFrame(
        {
            "row": rows,
            "document": [corpus.documents[row] for row in rows],
            "language": language,
            "text": corpus.text(language, rows),
            "tokens": [len(ids) for ids in text.ids],
            "bits": bits,
            "reference_bits": reference,
            "cost": bits - reference,
        }
    )


def _provenance(evaluator: Evaluator, model: Model, references: Iterable[str]) -> dict[str, str]:
    recipe = {"recipe": model.to_yaml()} if isinstance(model, Recipe) else {"model": model}
    return evaluator.provenance([model, *references]) | recipe


def choose(
    frame: pd.DataFrame,
    languages: Sequence[str] = (),
    documents: Sequence[str] = (),
    tokens: tuple[int, int] | None = None,
    text: str = "",
) -> pd.DataFrame:
    """The rows of a sentence table in these languages and documents (none named: all), of so many tokens, holding a
    text in any case."""
    low, high = tokens or (0, frame["tokens"].max())
    kept = frame["tokens"].between(low, high) & frame["text"].str.casefold().str.contains(text.casefold(), regex=False)
    for column, wanted in (("language", languages), ("document", documents)):
        if len(wanted):
            kept &= frame[column].isin(list(wanted))
    return frame[kept]


def token_line_steps(
    evaluator: Evaluator, model: Model, name: str, reference: str, language: str, row: int
) -> Steps[TokenLine]:
    """One sentence of the corpus token by token. Raises UserError where the two have different tokenizers."""
    evaluator.check_languages([language])
    own, other = scored_by(evaluator.suite, model), evaluator.suite[reference]
    if own.digest_of_tokenizer != other.digest_of_tokenizer:
        raise UserError(
            f"{own.name} and {reference} have different tokenizers, so their tokens can't be laid side by side. Choose "
            "a reference with the same tokenizer."
        )
    text = tokenize(own.tokenizer, evaluator.corpus.text(language, [row]))
    bits: list[np.ndarray] = []
    for one, called, checkpoint in ((model, name, own), (reference, reference, other)):
        with evaluator.room(scoring(one)):
            yield from telling(len(bits) / 2, evaluator.networks.ready_steps(one))
            bits.append(token_bits(evaluator.networks.put(one), text, limit=checkpoint.positions)[0])
        if not np.isfinite(bits[-1]).all():
            raise UserError(f"{called} gives losses that are not finite; its weights overflow.")
        yield len(bits) / 2
    frame = pd.DataFrame(
        {
            "position": range(len(text.ids[0])),
            "token": own.tokenizer.convert_ids_to_tokens(list(text.ids[0])),
            "id": text.ids[0],
            "text": pieces(own.tokenizer, text.ids[0]),
            "bits": bits[0],
            "reference_bits": bits[1],
            "cost": bits[0] - bits[1],
        },
        columns=list(TOKEN_COLUMNS),
    )
    where = {"language": language, "row": str(row), "reference": reference}
    return TokenLine(frame, name, reference, _provenance(evaluator, model, [reference]) | where)
