"""The commands about where weights collide."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from interference.commands import (
    CorpusOption,
    DeviceOption,
    Format,
    SuiteOption,
    by_name,
    note,
    print_table,
    recipe_of,
    several,
    several_named,
    suite_for,
    with_bar,
)
from interference.errors import UserError


def conflict(
    models: Annotated[
        list[str] | None,
        several_named("Two or more checkpoints: names of the suite, or folders. The monolingual ones if none."),
    ] = None,
    suite: SuiteOption = None,
    recipe: Annotated[
        Path | None, typer.Option("--recipe", help="A merge of the models in mergekit's YAML; their mean unless given.")
    ] = None,
    base: Annotated[
        str | None,
        typer.Option("--base", help="Measure differences from this checkpoint, '@mean' or '@zero', not the weights."),
    ] = None,
    measure: Annotated[
        list[str] | None,
        several("--measure", "A measure of `interference measures`. All unless given."),
    ] = None,
    knob: Annotated[
        list[str] | None,
        several("--knob", "A measure's own knob, as `top_k_mass.share=0.1`."),
    ] = None,
    by: Annotated[
        Literal["tensor", "layer", "group", "whole"],
        typer.Option("--by", help="What a row is about. With `whole` come the groups, with `layer` those in it."),
    ] = "group",
    chance: Annotated[
        bool, typer.Option(help="Chance levels from shuffled weights, which take most of the time of large models.")
    ] = True,
    corpus: CorpusOption = None,
    device: DeviceOption = None,
    form: Format = "table",
) -> None:
    """Where the weights of two or more models collide: every measure with its chance level."""
    from interference.conflict.survey import Survey, default_models, default_notes, equal_average, survey_steps
    from interference.dev import DevHalf
    from interference.recipe import checkpoint_of
    from interference.results import store_of
    from interference.weights import Weights, pick_device

    if models and recipe:
        raise UserError("A recipe names its models itself. Give models or --recipe, not both.")
    target = pick_device(device)
    parsed = recipe_of(recipe, suite) if recipe else None
    named = list(parsed.needed) if parsed else list(models or [])
    opened = suite_for(suite, corpus, [*named, *filter(None, [checkpoint_of(base)])])
    chosen = by_name(parsed, opened) if parsed else equal_average(tuple(models or default_models(opened)))
    knobs = tuple(_knob(text) for text in knob or [])
    survey = Survey(chosen, base or chosen.base, tuple(dict.fromkeys(measure or [])), knobs, chance)
    opened.mergeable(survey.needed)
    weights = Weights([opened[name] for name in survey.needed], target, DevHalf(opened, target))
    table = with_bar("conflict", survey_steps(opened, weights, store_of(opened), survey))
    print_table(table.by(by), form)
    note(*table.notes, *(() if parsed or models else default_notes(opened)))


def _knob(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError:
        raise UserError(f"The knob '{text}' has no number; write it as top_k_mass.share=0.1.") from None


def measures(
    similarity: Annotated[
        bool, typer.Option("--similarity", help="Those of hidden states instead: `interference similarity`.")
    ] = False,
    form: Format = "table",
) -> None:
    """List the conflict measures: what they are of, what is best, their range and how to read them."""
    if similarity:
        from interference.views_similarity import measure_table
    else:
        from interference.conflict.survey import measure_table

    print_table(measure_table(), form)
