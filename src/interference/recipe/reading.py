"""Recipes from mergekit's YAML schema."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interference.errors import UserError, check_known, nearest, user_path
from interference.recipe.recipe import Recipe, Slice
from interference.recipe.values import fallback, read_value
from interference.recipe.words import known_keys, shown
from interference.registry import Method, methods
from interference.strict_yaml import load_yaml

_TOP_KEYS = ("merge_method", "models", "slices", "base_model", "parameters", "dtype", "out_dtype")
_REFUSED = {
    "modules": "multi-part architectures", "tokenizer": "another tokenizer", "tokenizer_source": "another tokenizer",
    "chat_template": "a chat template",
}  # fmt: skip


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
    method, base = methods()[name], _name(document.get("base_model"), "base_model")
    if base and method.base == "none" and name != "slerp":
        raise UserError(
            f"{name} has no base: mergekit would merge base_model as one more model. Name it under models instead."
        )
    shared = _parameters(document, (*_weight(method), *(a.name for a in method.arguments)), "parameters")
    if "slices" in document and "models" in document:
        raise UserError("The recipe has both 'models' and 'slices'; expected one of them.")
    slices = tuple(_slice(entry, method, base, shared) for entry in _list(document, "slices", "sources"))
    whole = None if slices else _merged(_list(document, "models", "model"), method, base, shared)
    per_model = dict(whole.knobs) if whole else {}
    knobs = {k: v for k, v in shared.items() if k != "weight"} | per_model
    recipe = Recipe(
        name, whole.models if whole else (), whole.weights if whole else (), tuple(knobs.items()),
        base if method.base != "none" else None, post, document.get("dtype"), document.get("out_dtype"), seed, slices,
    )  # fmt: skip
    return recipe if beside is None else recipe.renamed(lambda model: _resolve(model, beside))


def _document(text: str) -> dict:
    try:
        document = load_yaml(text)
    except Exception as error:  # PyYAML raises many kinds on malformed values; all mean the same to the user
        raise UserError(f"This is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(document, dict):
        raise UserError("A recipe is a mapping with the keys merge_method and models.")
    for key in document:
        if key in _REFUSED:
            raise UserError(
                f"'{key}' asks for {_REFUSED[key]}, which merging by parameter name can't honour. Take the key out."
            )
    known_keys(document, _TOP_KEYS, "recipe")
    return document


def _method_name(document: dict) -> tuple[str, tuple[str, ...], int]:
    """Method, post-steps and seed from `merge_method`, as in 'ties+rescale+seed=7'."""
    asked = _required(document, "merge_method")
    if not isinstance(asked, str):
        raise UserError(f"'merge_method' is {shown(asked)}; expected a name.")
    name, *extras = asked.split("+")
    seeds = [extra.removeprefix("seed=") for extra in extras if extra.startswith("seed=")]
    if len(seeds) > 1 or any(not s.isdecimal() or len(s) > 18 for s in seeds):
        raise UserError(f"The seed in merge_method is '{', '.join(seeds)[:40]}'; expected one whole number.")
    check_known("Unknown merge method", methods(), name)
    return name, tuple(e for e in extras if not e.startswith("seed=")), int(seeds[0]) if seeds else 0


@dataclass(frozen=True)
class _Entry:
    """A model as it stands under models or sources, with its own parameters and, in a slice, its layers."""

    model: str
    own: dict[str, Any]
    layers: Any = None


def _entry(document: Any, method: Method, where: str) -> _Entry:
    sliced = where == "sources"
    if isinstance(document, dict):
        document = document | {"model": _in_one_word(document.get("model"))}
    if not isinstance(document, dict) or not isinstance(document.get("model"), str) or not document["model"]:
        raise UserError(
            f"{shown(document)} under {where} names no model; expected {{model: NAME, parameters: {{...}}}}."
        )
    model = document["model"]
    known_keys(document, ("model", "parameters", *(("layer_range",) if sliced else ())), f"the entry of {model}")
    known = (*_weight(method), *(a.name for a in method.arguments if a.per_model))
    own = _parameters(document, known, f"the parameters of {model}", model)
    layers = _required(document, "layer_range", f"The source {model}") if sliced else None
    return _Entry(model, own, tuple(layers) if isinstance(layers, list) else layers)


def _in_one_word(document: Any) -> Any:
    """A name that may be in mergekit's long form, {model: NAME} or {model: {path: NAME, revision: BRANCH}}."""
    if not isinstance(document, dict):
        return document
    for key, what in (("lora", "a LoRA"), ("override_architecture", "another architecture")):
        if document.get(key) is not None:
            raise UserError(
                f"'{key}' of {shown(document.get('model'))} asks for {what}, which merging by parameter name can't "
                "honour. Merge checkpoints that are whole."
            )
    known_keys(document, ("model", "lora", "override_architecture"), "a model")
    name = document.get("model")
    if not isinstance(name, dict):
        return name
    known_keys(name, ("path", "revision"), "a model")
    return f"{name.get('path')}@{name['revision']}" if name.get("revision") else name.get("path")


def _parameters(document: dict, known: tuple[str, ...], where: str, model: str | None = None) -> dict[str, Any]:
    found = document.get("parameters") or {}
    known_keys(found, known, where)
    of = f" of {model}" if model else ""
    return {key: read_value(value, f"The {key}{of}") for key, value in found.items()}


def _merged(
    entries: list, method: Method, base: str | None, shared: Mapping, sliced: bool = False, last: Mapping | None = None
) -> Slice:
    """Models other than the base in order, each with its own parameters: what models, or a slice's sources, say.

    What a model says goes on in `shared`; `last` is for models that neither speaks of.
    """
    where = "sources" if sliced else "models"
    parsed = [_entry(entry, method, where) for entry in entries]
    if method.name == "slerp":
        parsed = _slerp_order(parsed, base, sliced)
    of_base = [e for e in parsed if e.model == base and method.base != "none"]
    if own := next((key for e in of_base for key in e.own), None):
        raise UserError(
            f"{base} is the base and one of the models, where its {own} would be ignored, as mergekit does. Leave it "
            "without parameters, or choose another base."
        )
    parsed = [e for e in parsed if e not in of_base]
    defaults = {a.name: a.default for a in method.arguments if a.per_model} | dict(last or {})
    knobs: dict[str, Any] = {}
    for key in (*_weight(method), *(a.name for a in method.arguments if a.per_model)):
        each = [fallback(e.own.get(key), shared.get(key)) for e in parsed]
        each = [defaults.get(key) if value is None else value for value in each]
        given = any(key in e.own for e in parsed)
        if (given or "weight" in shared) and key == "weight" and None in each:
            raise UserError(f"{parsed[each.index(None)].model} has no weight under {where} or parameters.")
        if given or (key == "weight" and key in shared):
            knobs[key] = tuple(each)
    weights = knobs.pop("weight", ())
    ranges = tuple(e.layers for e in parsed) if sliced else ()
    base_range = of_base[0].layers if of_base and sliced else None
    return Slice(tuple(e.model for e in parsed), ranges, weights, tuple(knobs.items()), base_range)


def _slice(document: Any, method: Method, base: str | None, shared: Mapping) -> Slice:
    known_keys(document, ("sources", "base_model", "parameters"), "entry of slices")
    own = _name(document.get("base_model"), "base_model") or base
    if own != base and method.name != "slerp":
        raise UserError(
            f"A slice has the base {own}, the recipe {base}; expected one base for all. Take base_model out of slices."
        )
    inner = _parameters(document, (*_weight(method), *(a.name for a in method.arguments)), "the slice's parameters")
    weight = fallback(inner.get("weight"), shared.get("weight"))
    scopes = inner if weight is None else inner | {"weight": weight}
    part = _merged(_list(document, "sources", "model"), method, own, scopes, sliced=True, last=shared)
    knobs = {k: v for k, v in inner.items() if k != "weight"} | dict(part.knobs)
    return Slice(part.models, part.ranges, part.weights, tuple(knobs.items()), part.base_range)


def _list(document: dict, key: str, inner: str) -> list:
    if key == "slices" and key not in document:
        return []
    entries = _required(document, key)
    if not isinstance(entries, list) or not entries:
        raise UserError(f"'{key}' is a list with at least one entry {{{inner}: ..., parameters: {{weight: ...}}}}.")
    return entries


def _weight(method: Method) -> tuple[str, ...]:
    return ("weight",) if method.weighted else ()


def _slerp_order(entries: list[_Entry], base: str | None, sliced: bool) -> list[_Entry]:
    """slerp starts at the base, which must be one of the two models (mergekit lets it be left out of models)."""
    if base is None:
        raise UserError("slerp starts at base_model, and the recipe has none. Name one of its two models there.")
    first = [e for e in entries if e.model == base][:1]
    if not first and not sliced:
        first = [_Entry(base, {})]
    return first + [e for e in entries if e.model != base]


def _name(value: Any, key: str) -> str | None:
    value = _in_one_word(value)
    if not isinstance(value, str | None) or value == "":
        raise UserError(f"'{key}' is {shown(value)}; expected a name.")
    return value


def _resolve(model: str, beside: Path) -> str:
    if not ("/" in model or model.startswith((".", "~"))):
        return model
    path = user_path(beside / user_path(model))
    return str(path.resolve()) if path.is_dir() else model


def _required(document: dict, key: str, owner: str = "The recipe") -> Any:
    if key not in document:
        close = nearest(key, map(str, document))
        raise UserError(f"{owner} has no '{key}'; {close}")
    return document[key]
