"""Write the computed parts of README.md and demo/README.md: `python scripts/readme.py`.

A test checks that they are current.
"""

import re
from pathlib import Path

import pandas as pd
import torch

from interference.conflict.survey import measure_table
from interference.evaluate import Evaluator
from interference.recipe import read_recipe
from interference.registry import post_steps
from interference.results import shipped_results
from interference.scored import Request, Scored
from interference.store import Store
from interference.suite import built_in, open_suite
from interference.views import method_table, perfect_model
from interference.views_similarity import measure_table as similarity_measure_table

ROOT = Path(__file__).parents[1]
RECIPES = ("monos", "monos-rescaled", "monos-ties", "monos-dare", "eng-deu", "siblings", "eng-twin", "branches")
CHECKPOINTS = ("init", "unigram", "mixed")
SENTENCES = 150


def finding() -> str:
    """Bits per sentence of the example recipes and what they are compared with, languages as columns."""
    suite = open_suite()
    evaluator = Evaluator(suite, Store(shipped=shipped_results(suite)), torch.device("cpu"))
    recipes = tuple((f"`{name}`", read_recipe(ROOT / f"examples/{name}.yaml")) for name in RECIPES)
    models: tuple[tuple[str, Scored], ...] = (
        *recipes,
        *((name, name) for name in CHECKPOINTS),
        *((c.name, c.name) for c in suite.with_role("mono")),
    )
    table = evaluator.table(Request(models, evaluator.corpus.languages, SENTENCES))
    own = {f"mono-{language}": language for language in evaluator.corpus.languages}
    frame = table.frame[
        [own.get(m, lang) == lang for m, lang in zip(table.frame.model, table.frame.language, strict=True)]
    ]
    perfect = perfect_model(table.in_unit("bits per sentence"), evaluator.corpus, evaluator.corpus.rows(SENTENCES))
    perfect = perfect.assign(bits_per_sentence=perfect["value"])[list(frame.columns)]
    return _markdown(pd.concat([frame.replace({"model": dict.fromkeys(own, "each language's mono")}), perfect]))


def losses() -> str:
    """Bits per sentence of every checkpoint on all of the test half."""
    suite = open_suite()
    evaluator = Evaluator(suite, Store(shipped=shipped_results(suite)), torch.device("cpu"))
    return _markdown(evaluator.table(Request(tuple((n, n) for n in suite.names), evaluator.corpus.languages)).frame)


def methods() -> str:
    """The registry as a table."""
    rows = [
        f"| `{r.method}` | {r.label} | {r.base} | {r.parameters} | {r.source} |" for r in method_table().itertuples()
    ]
    return "\n".join(["| method | label | base | parameters | source |", "|---|---|---|---|---|", *rows])


def steps() -> str:
    """The post-steps as a table."""
    rows = [f"| `{step.name}` | {step.label} | {step.caption} |" for step in post_steps().values()]
    return "\n".join(["| post-step | label | what it does |", "|---|---|---|", *rows])


def measures() -> str:
    """The conflict measures as a table."""
    rows = [
        f"| `{r.measure}` | {r.of} | {r.best} | {r.needs} | {r.knobs} | {r.source} | {r[-2]} |"
        for r in measure_table().itertuples(index=False)
    ]
    head = "| measure | of | best | needs | knobs | source | what it measures |"
    return "\n".join([head, "|---|---|---|---|---|---|---|", *rows])


def similarities() -> str:
    """The similarity measures as a table."""
    rows = [
        f"| `{r.measure}` | {r.label} | {r.best} | {r.needs} | {r.unchanged_by} | {r.source} | {r[-1]} |"
        for r in similarity_measure_table().itertuples(index=False)
    ]
    head = "| measure | label | best | needs | unchanged by | source | what it measures |"
    return "\n".join([head, "|---|---|---|---|---|---|---|", *rows])


def _markdown(frame: pd.DataFrame) -> str:
    grid = frame.pivot(index="model", columns="language", values="bits_per_sentence")
    grid = grid.loc[list(dict.fromkeys(frame["model"])), list(dict.fromkeys(frame["language"]))]
    grid["mean"] = grid.mean(axis=1)
    lines = [f"| bits per sentence | {' | '.join(grid.columns)} |", "|---|" + "--:|" * len(grid.columns)]
    return "\n".join(
        [
            *lines,
            *(
                f"| {name} | {' | '.join(f'{v:.1f}' for v in row)} |"
                for name, row in zip(grid.index, grid.to_numpy(), strict=True)
            ),
        ]
    )


PARTS = {
    ROOT / "README.md": {
        "finding": finding,
        "methods": methods,
        "post-steps": steps,
        "measures": measures,
        "similarities": similarities,
    },
    built_in().parent / "README.md": {"losses": losses},
}


def filled(file: Path) -> str:
    """The file's text with every computed part written anew."""
    text = file.read_text(encoding="utf-8")
    for name, make in PARTS[file].items():
        pattern = rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)"
        text, count = re.subn(pattern, lambda m, make=make: f"{m[1]}\n{make()}\n\n{m[2]}", text, flags=re.DOTALL)
        assert count == 1, f"{file} has {count} parts named {name}"
    return text


if __name__ == "__main__":
    for file in PARTS:
        file.write_text(filled(file), encoding="utf-8")
