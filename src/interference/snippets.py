"""A view as a command and as Python, to be run outside the dashboard with the same numbers."""

import shlex
from typing import TYPE_CHECKING

from interference.bench import View
from interference.precision import in_float32
from interference.recipe import Recipe, beyond_mergekit, mergekit_yaml

if TYPE_CHECKING:
    from interference.suite import Suite


def as_command(view: View) -> str:
    """Shell commands that print the losses of the view's merge."""
    parts = ["interference losses --recipe merge.yaml", f"--sentences {view.sentences}"]
    parts += [
        f"--{name} {shlex.quote(value)}" for name, value in (("suite", view.suite), ("corpus", view.corpus)) if value
    ]
    parts += [f"--language {shlex.quote(language)}" for language in view.languages]
    return f"cat > merge.yaml <<'END'\n{view.recipe.to_yaml()}END\n{' '.join(parts)}"


def as_python(view: View) -> str:
    """A script that prints the page's table: the merge's losses and all that is drawn beside them."""
    arguments = ", ".join(repr(value) if value else "None" for value in (view.suite, view.corpus))
    languages = repr(view.languages) if view.languages else "evaluator.corpus.languages"
    return f"""\
from interference.recipe import parse_recipe
from interference.results import open_evaluator
from interference.views import merge_request

recipe = parse_recipe({view.recipe.to_yaml()!r})
evaluator = open_evaluator({arguments})
request = merge_request(recipe, evaluator.suite, {languages}, {view.sentences}, {view.controls})
print(evaluator.table(request).in_unit({view.unit!r}).to_string())
"""


def for_mergekit(recipe: Recipe, suite: "Suite") -> str:
    """The recipe as mergekit's YAML, models by their folders; else as our own, the reason in its first line."""
    if ours := beyond_mergekit(recipe):
        return f"# mergekit can't express {', '.join(ours)}.\n{recipe.to_yaml()}"
    return mergekit_yaml(in_float32(recipe, suite).renamed(lambda model: str(suite[model].path.resolve())))
