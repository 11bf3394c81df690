"""The commands about hidden states: how alike models are, and where sentences lie in one model's states."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from interference.commands import (
    CorpusOption,
    DeviceOption,
    Format,
    LanguagesOption,
    SuiteOption,
    evaluator_for,
    note,
    print_table,
    several,
    with_bar,
)

if TYPE_CHECKING:
    from interference.similarity.table import Preparation

SubsetOption = Annotated[
    int, typer.Option("--sentences", help="A fixed subset of so many, about equally many of each document.")
]
PoolingOption = Annotated[str, typer.Option(help="mean, weighted (by position) or last (token).")]
RawOption = Annotated[bool, typer.Option("--raw", help="States as they are, not z-scored.")]
UncentredOption = Annotated[bool, typer.Option("--uncentred", help="With --raw: do not take each language's mean out.")]
LengthOption = Annotated[
    bool, typer.Option("--without-length", help="Regress the logarithm of the number of tokens out.")
]
MassiveOption = Annotated[
    bool, typer.Option("--without-massive", help="Set dimensions to zero that are far larger than the median one.")
]
LayerOption = Annotated[int | None, typer.Option("--layer", help="0 is the embeddings; the middle one unless given.")]
OneOption = Annotated[
    str | None, typer.Argument(help="A name of the suite or a folder; the multilingual model unless given.")
]


def _preparation(raw: bool, uncentred: bool, without_length: bool, without_massive: bool) -> "Preparation":
    from interference.errors import UserError
    from interference.similarity.table import Preparation

    if uncentred and not raw:
        raise UserError("z-scored states are centred. Give --raw with --uncentred.")
    return Preparation(not raw, not uncentred, without_length, without_massive)


def _layer(text: str) -> int:
    from interference.errors import UserError

    try:
        return int(text)
    except ValueError:
        raise UserError(f"'{text}' is no layer; expected a whole number, 0 for the embeddings.") from None


def similarity(
    suite: SuiteOption = None,
    corpus: CorpusOption = None,
    measure: Annotated[
        list[str] | None, several("--measure", "debiased_cka unless given; an unknown one lists them.")
    ] = None,
    checkpoint: Annotated[
        list[str] | None,
        several("--checkpoint", "A name of the suite or a folder. All monos unless given, of training runs the last."),
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option("--recipe", help="A merge, compared with the checkpoints named, its parents unless given."),
    ] = None,
    layer: Annotated[list[str] | None, several("--layer", "0 is the embeddings. All unless given.")] = None,
    language: Annotated[
        list[str] | None,
        several("--language", "What is read in the conditions pivot and languages."),
    ] = None,
    condition: Annotated[
        str,
        typer.Option(
            help="own: each model reads its own language; pivot: all read one; numerals: all read 0 to 1000; "
            "languages: each model by itself, its languages with each other."
        ),
    ] = "own",
    across: Annotated[bool, typer.Option("--across", help="Every layer with every layer.")] = False,
    sentences: SubsetOption = 150,
    pooling: PoolingOption = "mean",
    raw: RawOption = False,
    uncentred: UncentredOption = False,
    without_length: LengthOption = False,
    without_massive: MassiveOption = False,
    device: DeviceOption = None,
    form: Format = "table",
) -> None:
    """How alike models are in the hidden states of the same sentences, with chance level and interval."""
    from interference.errors import UserError
    from interference.scored import Model
    from interference.similarities import similarity_steps
    from interference.similarity import DEFAULT
    from interference.similarity_request import SimilarityRequest

    if language and condition in ("own", "numerals"):
        raise UserError(
            f"What is read in the condition {condition} is settled, so --language would say nothing. Leave it out, or "
            "give --condition pivot or languages."
        )
    preparation = _preparation(raw, uncentred, without_length, without_massive)
    evaluator, recipes = evaluator_for(suite, corpus, device, checkpoint or [], [recipe] if recipe else [])
    opened, merge = evaluator.suite, recipes[0] if recipes else None
    monos = tuple(c.name for c in opened.last_with_role("mono")) or opened.names
    names = tuple(dict.fromkeys(checkpoint or (merge.models if merge else monos)))
    models: tuple[tuple[str, Model], ...] = tuple((name, name) for name in names)
    against: tuple[str, ...] = ()
    if merge and recipe:
        if recipe.stem in names:
            raise UserError(f"The recipe {recipe} has the name of a checkpoint; rename the file.")
        models, against = ((recipe.stem, merge), *models), (recipe.stem,)
    asked = SimilarityRequest(
        models,
        tuple(measure or (DEFAULT,)),
        condition,
        tuple(dict.fromkeys(language or ())),
        tuple(map(_layer, layer or ())),
        across,
        against if condition != "languages" else (),
        sentences,
        pooling,
        preparation,
    )
    table = with_bar("similarity", similarity_steps(evaluator, asked))
    print_table(table.frame, form)
    note(*table.notes, *(f"Warning: {line}" for line in table.warnings()))


def projection(
    checkpoint: OneOption = None,
    layer: LayerOption = None,
    plane: Annotated[Literal["PCA", "MDS"], typer.Option(help="Largest variance, or cosine distances.")] = "PCA",
    drawn: Annotated[int, typer.Option(min=3, help="Sentences in the plane, in every language.")] = 24,
    suite: SuiteOption = None,
    corpus: CorpusOption = None,
    language: LanguagesOption = None,
    sentences: SubsetOption = 150,
    pooling: PoolingOption = "mean",
    raw: RawOption = False,
    uncentred: UncentredOption = False,
    without_length: LengthOption = False,
    without_massive: MassiveOption = False,
    device: DeviceOption = None,
    form: Format = "table",
) -> None:
    """Parallel sentences of several languages in a plane of one model's states."""
    from interference.projection import projection_steps, spot_in

    preparation = _preparation(raw, uncentred, without_length, without_massive)
    evaluator, _ = evaluator_for(suite, corpus, device, [checkpoint] if checkpoint else [])
    spot = spot_in(evaluator, checkpoint, layer, language or (), sentences, drawn, pooling, preparation)
    found = with_bar("states", projection_steps(evaluator, spot, plane))
    print_table(found.frame, form)
    note(f"{spot.name} at layer {spot.layer}.", *found.notes)


def neighbours(
    of: Annotated[str, typer.Option("--of", help="The language of the sentence whose neighbours are looked for.")],
    row: Annotated[int | None, typer.Option(help="Its row in the corpus; the first that is compared if none.")] = None,
    checkpoint: OneOption = None,
    layer: LayerOption = None,
    suite: SuiteOption = None,
    corpus: CorpusOption = None,
    language: LanguagesOption = None,
    sentences: SubsetOption = 150,
    pooling: PoolingOption = "mean",
    raw: RawOption = False,
    uncentred: UncentredOption = False,
    without_length: LengthOption = False,
    without_massive: MassiveOption = False,
    device: DeviceOption = None,
    form: Format = "table",
) -> None:
    """The sentences nearest to one in a model's states, its translations among them."""
    from interference.projection import neighbour_steps, spot_in
    from interference.views_similarity import neighbours_sentence

    preparation = _preparation(raw, uncentred, without_length, without_massive)
    evaluator, _ = evaluator_for(suite, corpus, device, [checkpoint] if checkpoint else [])
    languages = [*(language or evaluator.corpus.languages), of]
    spot = spot_in(evaluator, checkpoint, layer, languages, sentences, 3, pooling, preparation)
    place = int(evaluator.corpus.rows(sentences)[0]) if row is None else row
    near = with_bar("states", neighbour_steps(evaluator, spot, of, place))
    print_table(near, form)
    text = evaluator.corpus.text(of, [place])[0]
    note(f"Nearest to {text} ({of}, row {place}) in {spot.name} at layer {spot.layer}.", neighbours_sentence(near))
