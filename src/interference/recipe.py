"""Recipes: what to merge and how. Frozen and hashable; in and out as mergekit's YAML."""

import hashlib
import json
import math
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from interference.errors import UserError, nearest, user_path
from interference.registry import Argument, Knob, Method, methods

POST_STEPS = {"rescale": "every tensor rescaled to its parents' mean norm"}
MEAN, ZERO = "@mean", "@zero"
BASES = {MEAN: "the mean of the parents", ZERO: "zero"}
DTYPES = ("float32", "float16", "bfloat16")
_LARGEST = 3.4e38  # about the largest float32; merging beyond it gives infinity
_TOP_KEYS = ("merge_method", "models", "base_model", "parameters", "dtype", "out_dtype")
_REFUSED = {
    "slices": "layer slices", "modules": "multi-part architectures", "tokenizer": "another tokenizer",
    "tokenizer_source": "another tokenizer", "chat_template": "a chat template",
}  # fmt: skip


@dataclass(frozen=True)
class Recipe:
    """Checkpoints, a method, coefficients, knobs, a base.

    `weights` and every knob tuple run over `models`; `weights` is empty for methods without coefficients.
    `base` is a checkpoint, '@mean', '@zero' or None. `post` names what is done to the merged tensors afterwards.
    Raises UserError on anything that could not be merged as asked.
    """

    method: str
    models: tuple[str, ...]
    weights: tuple[float, ...] = ()
    knobs: tuple[tuple[str, Any], ...] = ()
    base: str | None = None
    post: tuple[str, ...] = ()
    dtype: str | None = None
    out_dtype: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "knobs", tuple(sorted(self.knobs)))
        _validate(self)

    @property
    def definition(self) -> Method:
        return methods()[self.method]

    @property
    def needed(self) -> tuple[str, ...]:
        """Every checkpoint the merge reads, each once: the models and a base that is a checkpoint."""
        base = (self.base,) if self.base and self.base not in BASES else ()
        return tuple(dict.fromkeys((*self.models, *base)))

    def settings(self) -> dict[str, Any]:
        """Every knob and switch of the method with its value here or its default."""
        return {a.name: a.default for a in self.definition.arguments} | dict(self.knobs)

    def label(self) -> str:
        """One line for a caption: the method's label, the base and the post-steps."""
        base = f", base: {BASES.get(self.base, self.base)}" if self.base and self.definition.needs_base else ""
        return self.definition.label + base + "".join(f", {POST_STEPS[p]}" for p in self.post)

    def digest(self) -> str:
        """SHA-256 of the recipe alone; the parents' contents are not part of it."""
        return hashlib.sha256(json.dumps([getattr(self, f) for f in self.__dataclass_fields__]).encode()).hexdigest()

    def to_yaml(self) -> str:
        """The recipe in mergekit's schema.

        Values of our own stand only where mergekit fails on them: '@mean' and '@zero' as `base_model`, and
        post-steps and a seed that matters in the method's name ('ties+rescale', 'dare_ties+seed=7').
        """
        settings = dict(self.knobs)
        shared = {k: v for k, v in settings.items() if not isinstance(v, tuple)}
        models = []
        for i, model in enumerate(self.models):
            own: dict[str, Any] = {"weight": self.weights[i]} if self.weights else {}
            own |= {k: v[i] for k, v in settings.items() if isinstance(v, tuple)}
            models.append({"model": model} | ({"parameters": own} if own else {}))
        seed = [f"seed={self.seed}"] if self.seed else []
        document: dict[str, Any] = {"merge_method": "+".join([self.method, *self.post, *seed])}
        if self.method == "slerp":
            document["base_model"] = self.models[0]
        elif self.base:
            document["base_model"] = self.base
        document["models"] = models
        document |= {"parameters": shared} if shared else {}
        document |= {k: v for k, v in (("dtype", self.dtype), ("out_dtype", self.out_dtype)) if v}
        return yaml.safe_dump(document, sort_keys=False, allow_unicode=True)


def _validate(recipe: Recipe) -> None:
    if recipe.method not in methods():
        raise UserError(f"Unknown merge method '{recipe.method}': {nearest(recipe.method, methods())}")
    method = recipe.definition
    least, most = method.parents
    if not least <= len(recipe.models) <= most:
        wanted = f"exactly {least}" if least == most else f"at least {least}"
        raise UserError(f"{recipe.method} merges {wanted} models, the recipe names {len(recipe.models)}.")
    if method.weighted and len(recipe.weights) != len(recipe.models):
        raise UserError(
            f"{recipe.method} needs a weight per model: {len(recipe.models)} models, {len(recipe.weights)} weights."
        )
    if not method.weighted and recipe.weights:
        raise UserError(f"{recipe.method} takes no weights, the recipe gives {len(recipe.weights)}.")
    for model, weight in zip(recipe.models, recipe.weights, strict=bool(recipe.weights)):
        if not _is_number(weight):
            raise UserError(f"The weight of {model} is {_shown(weight)}; expected a finite number.")
    if method.needs_base and not recipe.base:
        raise UserError(
            f"{recipe.method} works on differences from a base and the recipe has none. Monolingual models share no "
            f"base, so choose one by name: a checkpoint, {MEAN} (the parents' mean) or {ZERO}."
        )
    _validate_settings(recipe)


def _validate_settings(recipe: Recipe) -> None:
    known = {a.name: a for a in recipe.definition.arguments}
    for name, value in recipe.knobs:
        if name not in known:
            raise UserError(f"{recipe.method} has no parameter '{name}': {nearest(name, known)}")
        _validate_value(recipe, known[name], value)
    for step in recipe.post:
        if step not in POST_STEPS:
            raise UserError(f"Unknown post-step '{step}': {nearest(step, POST_STEPS)}")
    for dtype in (recipe.dtype, recipe.out_dtype):
        if dtype is not None and dtype not in DTYPES:
            raise UserError(f"Unknown dtype {_shown(dtype)}: {nearest(str(dtype)[:40], DTYPES)}")
    if recipe.weights and recipe.settings().get("normalize") and abs(math.fsum(recipe.weights)) < 1e-6:
        raise UserError(
            f"The weights sum to {math.fsum(recipe.weights):.3g} and {recipe.method} divides by such sums. "
            "Change a weight or switch normalize off."
        )


def _validate_value(recipe: Recipe, argument: Argument, value: Any) -> None:
    name, control = argument.name, argument.control
    values = value if isinstance(value, tuple) else (value,)
    if isinstance(value, tuple) and not (isinstance(control, Knob) and control.per_model):
        raise UserError(f"{recipe.method}: '{name}' is one value for the merge, the recipe gives {len(value)}.")
    if isinstance(value, tuple) and len(value) != len(recipe.models):
        raise UserError(f"{recipe.method}: '{name}' has {len(value)} values for {len(recipe.models)} models.")
    for one in values:
        if isinstance(control, Knob) and not _is_number(one):
            raise UserError(f"{recipe.method}: '{name}' is {_shown(one)}; expected a finite number.")
        if not isinstance(control, Knob) and not isinstance(one, bool):
            raise UserError(f"{recipe.method}: '{name}' is {_shown(one)}; expected true or false.")
        if name == "density" and not 0 <= one <= 1:
            raise UserError(f"{recipe.method}: density is {one}; expected 0 to 1.")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST


def _shown(value: object) -> str:
    """A value as messages show it: short, whatever a file holds."""
    try:
        return reprlib.repr(value)
    except ValueError:  # Python prints no whole number of over 4300 digits
        return f"a {type(value).__name__} too long to print"


def read_recipe(path: Path) -> Recipe:
    """The recipe in a YAML file. Relative paths that exist beside the file are taken from there; `./a` is a path.

    A bare name is a name, whatever lies beside the file.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"Recipe {path} can't be read: {error.strerror or error}.") from None
    except UnicodeDecodeError:
        raise UserError(f"Recipe {path} is not UTF-8 text.") from None
    try:
        return parse_recipe(text, beside=path.parent)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def parse_recipe(text: str, beside: Path | None = None) -> Recipe:
    """The recipe in mergekit's YAML schema. Raises UserError on any key that would otherwise be ignored."""
    document = _document(text)
    name, post, seed = _method_name(document)
    method, base = methods()[name], document.get("base_model")
    if not isinstance(base, str | None) or base == "":
        raise UserError(f"'base_model' is {_shown(base)}; expected a name.")
    if base and name == "linear":
        raise UserError(
            "linear has no base: mergekit would merge base_model as one more model. Name it under models instead."
        )
    shared = document.get("parameters") or {}
    _known_keys(shared, (*_weight(method), *(a.name for a in method.arguments)), "parameters")
    models, per_model = _models(document, name, base, beside)
    weights = per_model.pop("weight", ())
    if "weight" in shared and not weights:
        weights = (shared["weight"],) * len(models)
    knobs = {k: v for k, v in shared.items() if k != "weight"} | per_model
    return Recipe(
        name, models, tuple(weights), tuple(knobs.items()), _resolve(base, beside) if method.needs_base else None,
        post, document.get("dtype"), document.get("out_dtype"), seed,
    )  # fmt: skip


def _document(text: str) -> dict:
    try:
        document = yaml.safe_load(text)
    except Exception as error:  # PyYAML raises many kinds on malformed values; all mean the same to the user
        raise UserError(f"This is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(document, dict):
        raise UserError("A recipe is a mapping with the keys merge_method and models.")
    for key in document:
        if key in _REFUSED:
            raise UserError(
                f"'{key}' asks for {_REFUSED[key]}, which merging by parameter name can't honour. Take the key out."
            )
    _known_keys(document, _TOP_KEYS, "recipe")
    return document


def _method_name(document: dict) -> tuple[str, tuple[str, ...], int]:
    """Method, post-steps and seed from `merge_method`, as in 'ties+rescale+seed=7'."""
    asked = _required(document, "merge_method")
    if not isinstance(asked, str):
        raise UserError(f"'merge_method' is {_shown(asked)}; expected a name.")
    name, *extras = asked.split("+")
    seeds = [extra.removeprefix("seed=") for extra in extras if extra.startswith("seed=")]
    if len(seeds) > 1 or any(not s.isdecimal() or len(s) > 18 for s in seeds):
        raise UserError(f"The seed in merge_method is '{', '.join(seeds)[:40]}'; expected one whole number.")
    if name not in methods():
        raise UserError(f"Unknown merge method '{name}': {nearest(name, methods())}")
    return name, tuple(e for e in extras if not e.startswith("seed=")), int(seeds[0]) if seeds else 0


def _models(document: dict, name: str, base: str | None, beside: Path | None) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Models other than the base in order, and their own parameters as one tuple each."""
    entries = _required(document, "models")
    if not isinstance(entries, list) or not entries:
        raise UserError("'models' is a list with at least one entry {model: ..., parameters: {weight: ...}}.")
    method = methods()[name]
    own_knobs = {a.name: a.default for a in method.arguments if isinstance(a.control, Knob) and a.control.per_model}
    parsed: list[tuple[str, Mapping]] = []
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("model"), str) or not entry["model"]:
            raise UserError(
                f"{_shown(entry)} under models names no model; expected {{model: NAME, parameters: {{...}}}}."
            )
        _known_keys(entry, ("model", "parameters"), f"the entry of {entry['model']}")
        own = entry.get("parameters") or {}
        _known_keys(own, (*_weight(method), *own_knobs), f"the parameters of {entry['model']}")
        if not (entry["model"] == base and method.needs_base):
            parsed.append((entry["model"], own))
    names = tuple(_resolve(model, beside) for model, _ in parsed)
    if name == "slerp":
        return _slerp_order(names, _resolve(base, beside)), {}
    shared = document.get("parameters") or {}
    per_model = {}
    for key, default in {"weight": shared.get("weight"), **own_knobs}.items():
        if any(key in own for _, own in parsed):
            per_model[key] = tuple(own.get(key, shared.get(key, default)) for _, own in parsed)
            if None in per_model[key]:
                raise UserError(f"{parsed[per_model[key].index(None)][0]} has no weight under models or parameters.")
    return names, per_model


def _weight(method: Method) -> tuple[str, ...]:
    return ("weight",) if method.weighted else ()


def _slerp_order(names: tuple[str, ...], base: str | None) -> tuple[str, ...]:
    """slerp starts at the base, which must be one of the two models (mergekit lets it be left out of the list)."""
    if base is None:
        raise UserError("slerp starts at base_model, and the recipe has none. Name one of its two models there.")
    return (base, *(name for name in names if name != base))


def _resolve(model: str | None, beside: Path | None) -> Any:
    if model is None or beside is None or not ("/" in model or model.startswith((".", "~"))):
        return model
    path = user_path(beside / user_path(model))
    return str(path.resolve()) if path.is_dir() else model


def _known_keys(mapping: object, known: tuple[str, ...], where: str) -> None:
    if not isinstance(mapping, dict):
        raise UserError(f"The {where} is {_shown(mapping)}; expected a mapping.")
    for key in mapping:
        if key not in known:
            close = nearest(key, known) if isinstance(key, str) else nearest("", known)
            raise UserError(f"Unknown key {_shown(key)} in {where}: {close}")


def _required(document: dict, key: str) -> Any:
    if key not in document:
        close = nearest(key, map(str, document))
        raise UserError(f"The recipe has no '{key}'; {close}")
    return document[key]
