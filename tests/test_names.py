"""Names of languages, methods, models and measures: with commas, in repeated options, or both, in every command."""

from typing import Any, get_args, get_type_hints

import pytest
import typer

from interference.__main__ import app
from interference.commands import apart
from interference.commands_hub import hub
from interference.errors import UserError


def taking(group: typer.Typer) -> dict[str, Any]:
    """What is said of every parameter that takes several texts, by command and name."""
    found = {}
    for command in group.registered_commands:
        assert command.callback
        for name, kind in get_type_hints(command.callback, include_extras=True).items():
            if get_args(kind) and list[str] in (get_args(kind)[0], *get_args(get_args(kind)[0])):
                found[f"{command.name or command.callback.__name__} {name}"] = kind.__metadata__[0]
    return found


TAKING = taking(app) | taking(hub)


@pytest.mark.parametrize("name", TAKING)
def test_every_parameter_of_several_names_takes_them_alike(name):
    """And says so: only files are given one by one."""
    assert TAKING[name].callback is apart
    if isinstance(TAKING[name], typer.models.OptionInfo):
        assert TAKING[name].help.endswith("Several: with commas, or repeated.")


def test_there_are_such_parameters():
    wanted = {"compare methods", "losses language", "conflict measure", "conflict models", "fetch ids", "tasks task"}
    assert wanted <= set(TAKING)
    assert len(TAKING) > 20


def test_names_are_taken_apart(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one,whole").mkdir()
    assert apart(["ties, linear,", "slerp", "one,whole"]) == ["ties", "linear", "slerp", "one,whole"]
    assert apart(["a", "a"]) == ["a", "a"]  # whoever is named twice is for the command to say
    assert (apart(None), apart([])) == (None, [])
    for nothing in ("", " ", ",", " , "):
        with pytest.raises(UserError, match="names nothing"):
            apart([nothing])


@pytest.fixture
def printed(told):
    return lambda *arguments: told(*arguments, "--format", "csv")[0]


def test_commas_are_what_repeating_is(suite_folder, printed):
    own = ("--suite", suite_folder, "--sentences", 2)
    for command, option in (("losses", "--checkpoint"), ("losses", "--language"), ("compare", "--methods")):
        names = {"--checkpoint": ("mono-eng", "init"), "--language": ("deu", "eng"), "--methods": ("slerp", "linear")}
        first, second = names[option]
        more = ("--no-search",) if command == "compare" else ()
        apart_ = printed(command, option, first, option, second, *own, *more)
        assert apart_ == printed(command, option, f"{first},{second}", *own, *more), option
        assert f"{second}," in apart_
    pair = printed("conflict", "mono-eng,mono-deu", "--measure", "cosine,l2", "--suite", suite_folder)
    repeated = ("--measure", "cosine", "--measure", "l2", "--suite", suite_folder)
    assert pair == printed("conflict", "mono-eng", "mono-deu", *repeated)


def test_an_unknown_name_among_several_is_named(suite_folder, refused):
    said = refused("compare", "--methods", "linear,tise", "--suite", suite_folder)
    assert "Unknown merge method 'tise': did you mean 'ties'?" in said
