"""The model card of a merge that is written to disk."""

from dataclasses import dataclass
from typing import Any

import pandas as pd
import yaml

from interference.languages import language_name
from interference.recipe import Recipe, beyond_mergekit
from interference.snippets import for_mergekit
from interference.suite import Suite, built_in

UNIT = "bits per sentence"
_BESIDE = ("before post-steps", "best parent", "untrained", "unigram", "perfect model")


@dataclass(frozen=True)
class Measured:
    """The rows of a merge's figure (`views.merge_view`, in UNIT), None where there are none, and what to say beside."""

    frame: pd.DataFrame | None
    notes: tuple[str, ...]


def model_card(
    name: str, recipe: Recipe, suite: Suite, provenance: dict[str, Any], measured: Measured | None = None
) -> str:
    """README.md as model hubs show it: recipe, losses with their controls, parents by digest, how to make it again."""
    languages = sorted({code for m in recipe.models if (code := suite[m].language) is not None})
    head: dict[str, Any] = {"library_name": "transformers", "pipeline_tag": "text-generation", "tags": ["merge"]}
    head |= {"language": languages} if languages else {}
    parts = [
        f"---\n{yaml.safe_dump(head, sort_keys=False)}---\n\n# {name}\n",
        f"A merge of {len(recipe.models)} checkpoints in {provenance['out_dtype']}: {recipe.label()}.\n",
        f"## Recipe\n\n{_fenced(recipe.to_yaml(), 'yaml')}",
        f"## Losses\n\n{_losses(measured)}" if measured else "",
        f"## Parents\n\n{_parents(recipe, suite)}",
        f"## Make it again\n\n{_again(recipe, suite, provenance)}",
    ]
    return "\n".join(part for part in parts if part)


def _losses(measured: Measured) -> str:
    """One row per language, the merge first and its reference points beside it."""
    frame = measured.frame
    if frame is None:
        return f"Not measured. {' '.join(measured.notes)}\n"
    roles = {role: rows.set_index("language") for role, rows in frame.groupby("role")}
    beside = [role for role in _BESIDE if role in roles]
    head = ["language", f"{UNIT} (95 %)", "cost (95 %)", "counted from", "recovery", *beside]
    rows = []
    for code, own in roles["merge"].iterrows():
        cost = _interval(own["cost_value"], own["cost_low_value"], own["cost_high_value"])
        counted_from = str(own["reference"]) if isinstance(own["reference"], str) else ""
        cells = [_interval(own["value"], own["low"], own["high"]), cost, counted_from, _number(own["recovery"], 2)]
        others = [_number(roles[role]["value"].get(code, float("nan"))) for role in beside]
        rows.append([language_name(str(code)), *cells, *others])
    return f"{_table(head, rows)}\nLower is better. {' '.join(measured.notes)}\n"


def _parents(recipe: Recipe, suite: Suite) -> str:
    rows = []
    for name in recipe.needed:
        checkpoint = suite[name]
        role = "base" if name == recipe.base else checkpoint.role
        rows.append([f"`{name}`", role, checkpoint.language or "", f"`{checkpoint.digest}`"])
    digest = "SHA-256 of configuration, weights and tokenizer"
    text = _table(["checkpoint", "role", "language", digest], rows)
    if left := suite[recipe.models[0]].left_in_file:
        text += f"\nNot in it: {len(left)} stored tensors that transformers does not load, `{left[0]}` among them.\n"
    return text


def _again(recipe: Recipe, suite: Suite, provenance: dict[str, Any]) -> str:
    builtin = suite.path is not None and suite.path.resolve().is_relative_to(built_in().resolve())
    named = "" if builtin or suite.path is None else f" --suite {suite.path}"
    versions = ", ".join(f"{name} {number}" for name, number in provenance["versions"].items())
    text = f"{_fenced(f'interference merge recipe.yaml{named} --out DIR', 'bash')}\nWith {versions}. "
    text += f"SHA-256 of the recipe: `{provenance['recipe_sha256']}`.\n"
    if ours := beyond_mergekit(recipe):
        return f"{text}\nmergekit can't express {', '.join(ours)}.\n"
    return f"{text}\nOr with mergekit 0.1.5:\n\n{_fenced(for_mergekit(recipe, suite), 'yaml')}"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |\n" for line in lines)


def _fenced(text: str, language: str) -> str:
    return f"```{language}\n{text.rstrip()}\n```\n"


def _interval(value: float, low: float, high: float) -> str:
    if pd.isna(value):
        return ""
    return _number(value) if pd.isna(low) else f"{value:.1f} ({low:.1f} to {high:.1f})"


def _number(value: float, digits: int = 1) -> str:
    return "" if pd.isna(value) else f"{value:.{digits}f}"
