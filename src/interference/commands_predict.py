"""The command about what predicts the damage of merging."""

from typing import Annotated, Literal

import typer

from interference.commands import (
    CorpusOption,
    DeviceOption,
    Format,
    SentencesOption,
    SuiteOption,
    UnitOption,
    evaluator_for,
    note,
    print_table,
    several,
    with_bar,
)
from interference.errors import UserError


def predict(
    data: Annotated[
        Literal["suite", "paper"],
        typer.Option("--data", help="The pairs of a suite, or the 45 published with arXiv:2605.25846."),
    ] = "suite",
    suite: SuiteOption = None,
    measure: Annotated[list[str] | None, several("--measure", "A measure to try. All unless given.")] = None,
    language: Annotated[list[str] | None, several("--language", "A language to take in. All unless given.")] = None,
    without: Annotated[list[str] | None, several("--without", "A language to leave out.")] = None,
    role: Annotated[str, typer.Option("--role", help="The models that are paired: mono or branch.")] = "mono",
    part: Annotated[
        str, typer.Option("--part", help="The group of parameters that measures of weights are about.")
    ] = "all",
    unit: UnitOption = "bits per sentence",
    sentences: SentencesOption = 150,
    pairs: Annotated[bool, typer.Option("--pairs", help="Print the pairs with damage and measures instead.")] = False,
    corpus: CorpusOption = None,
    device: DeviceOption = None,
    form: Format = "table",
) -> None:
    """Does anything measured before merging predict the damage? Every measure against it, over all pairs."""
    from interference.labels import capitalised
    from interference.predict import paper_pairs, predict_steps

    chosen = tuple(dict.fromkeys(measure or []))
    left_out = set(without or [])
    if data == "paper":
        asked = {"suite": suite, "corpus": corpus, "device": device, "role": role != "mono", "part": part != "all"}
        asked |= {"unit": unit != "bits per sentence", "sentences": sentences != 150}
        if given := [f"--{name}" for name, value in asked.items() if value]:
            raise UserError(f"The paper's pairs are no suite's. Leave {' and '.join(given)} out, or --data paper.")
        table, store = paper_pairs(), None
        for code in left_out:
            table.check_language(code)
        kept = [code for code in language or table.languages if code not in left_out]
        table = table.restricted(kept, chosen)
    else:
        from interference.pairs import Pairing, models_of, pair_steps

        evaluator, _ = evaluator_for(suite, corpus, device)
        store = evaluator.store
        evaluator.check_languages([*(language or []), *left_out])
        every = language or list(models_of(evaluator.suite, role))
        kept = [code for code in dict.fromkeys(every) if code not in left_out]
        table = with_bar(
            "merging pairs", pair_steps(evaluator, Pairing(role, tuple(kept), chosen, unit, sentences, part))
        )
    found = with_bar("relating", predict_steps(table, store))
    print_table(table.frame.assign(damage_is=table.outcome) if pairs else found.frame, form)
    explained = f"One effect per language explains {100 * found.explained:.0f} % of it."
    note(f"{capitalised(table.outcome)}. {explained}", *found.notes)
