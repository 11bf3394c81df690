"""Known suites of separately pre-trained models: which ids they have, in which languages, and what parts them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, count

from interference.errors import UserError, check_known, nearest
from interference.hub.ids import HubId, hub_id
from interference.roles import OF_A_LANGUAGE

_NAMES = {"zhos": "zho", "zhot": "zho"}  # ids that name a script with the language


@dataclass(frozen=True)
class Family:
    """Models of one origin on the Hub.

    `known` are ids whose existence is documented; the others are listed from the Hub: those of `author` that hold one
    of `words`. `pattern` finds the language in an id's name, where it names one. `shared` says whether all have one
    tokenizer, as far as their makers say.
    """

    key: str
    title: str
    role: str
    author: str
    words: tuple[str, ...]
    pattern: str
    known: tuple[str, ...]
    shared: bool | None
    revisions: str
    note: str
    source: str

    def language(self, repo: str) -> str | None:
        """The ISO 639-3 code in an id, None where it names no language or is no model of this family."""
        found = re.fullmatch(self.pattern, repo)
        code = found.groupdict().get("language") if found else None
        return _NAMES.get(code, code) if code else None

    def holds(self, repo: str) -> bool:
        return re.fullmatch(self.pattern, repo) is not None

    def of_language(self, language: str, repos: Sequence[str]) -> str:
        """The first of the ids that is in a language. Raises UserError that lists the languages there are."""
        for repo in repos:
            if self.language(repo) == language:
                return repo
        spoken = sorted({code for repo in repos if (code := self.language(repo))})
        if repos and not spoken:
            raise UserError(
                f"{self.title}: no id of these names a language, {repos[0]} for example. Choose them on the Models "
                "page, or fetch them with `interference hub fetch` and name them in a suite.yaml."
            )
        raise UserError(
            f"{self.title}: none of the {len(repos)} ids known here is in '{language}': {nearest(language, spoken)} "
            "`interference hub catalogue --listed` asks the Hub for all."
        )


_HPLT = (
    "ara", "bos", "bul", "cat", "dan", "deu", "ell", "eng", "est", "eus", "fin", "fra", "hrv", "hun", "ita", "lit",
    "nld", "ron", "rus", "slk", "spa", "tur", "zhos",
)  # fmt: skip
_ALL = (
    Family(
        key="hplt-v2",
        title="HPLT v2 reference models",
        role="mono",
        author="HPLT",
        words=("hplt2c_",),
        pattern=r"HPLT/hplt2c_(?P<language>[a-z]{3,4})_checkpoints",
        known=tuple(f"HPLT/hplt2c_{code}_checkpoints" for code in _HPLT),
        shared=True,
        revisions="checkpoint_0001000 to checkpoint_0047684",
        note="Llama, 2.15 B, 100 B tokens of one language each, the ten of arXiv:2605.25846 among them. Whether they "
        "share their initial weights is not documented.",
        source="https://www.openeurollm.eu/blog/hplt-oellm-38-reference-models",
    ),
    Family(
        key="hplt-v3",
        title="HPLT 3.0 ablations",
        role="mono",
        author="HPLT",
        words=("llama-2b-100bt",),
        pattern=r"HPLT/[\w.-]+?-(?P<language>[a-z]{3})_[A-Z][a-z]{3}-llama-2b-100bt",
        known=("HPLT/fineweb-2.1.0-nor_Latn-llama-2b-100bt",),
        shared=True,
        revisions="main",
        note="The same shape on other corpora: controls of one language and different data.",
        source="https://huggingface.co/HPLT/fineweb-2.1.0-nor_Latn-llama-2b-100bt",
    ),
    Family(
        key="openeurollm-mix",
        title="OpenEuroLLM mixtures",
        role="mixed",
        author="openeurollm",
        words=("datamix-2b",),
        pattern=r"openeurollm/datamix-2b[\w.-]*",
        known=("openeurollm/datamix-2b-90-10",),
        shared=True,
        revisions="main",
        note="36 languages at once in the shape of HPLT's: a mixed model beside monolingual ones.",
        source="https://huggingface.co/openeurollm/datamix-2b-90-10",
    ),
    Family(
        key="paper-mix",
        title="Mixed and merged models of arXiv:2605.25846",
        role="mixed",
        author="sethjsa",
        words=("10-checkpoints",),
        pattern=r"sethjsa/(mixed|merged)-10-checkpoints",
        known=(),
        shared=True,
        revisions="checkpoint_0000000 to checkpoint_0047684",
        note="Named in the authors' upload script; whether they are public is not confirmed.",
        source="https://github.com/Sethjsa/multimerge",
    ),
    Family(
        key="goldfish",
        title="Goldfish",
        role="mono",
        author="goldfish-models",
        words=("_100mb",),
        pattern=r"goldfish-models/(?P<language>[a-z]{3})_[a-z]{4}_\d+mb",
        known=(),
        shared=False,
        revisions="main",
        note="GPT-2, 350 languages, small. Each has its own tokenizer, so they have losses but no merge by name.",
        source="https://huggingface.co/goldfish-models",
    ),
    Family(
        key="tiny-aya",
        title="tiny-aya",
        role="other",
        author="CohereLabs",
        words=("tiny-aya",),
        pattern=r"CohereLabs/tiny-aya-[a-z]+",
        known=tuple(f"CohereLabs/tiny-aya-{name}" for name in ("base", "global", "fire", "water", "earth")),
        shared=True,
        revisions="main",
        note="3.35 B, one initialisation: the control in which merging works.",
        source="https://huggingface.co/CohereLabs",
    ),
    Family(
        key="polypythia",
        title="PolyPythia seeds",
        role="other",
        author="EleutherAI",
        words=("-seed",),
        pattern=r"EleutherAI/pythia-\d+m-seed\d",
        known=(),
        shared=True,
        revisions="step0 to step143000",
        note="GPT-NeoX of one language and one corpus, different seeds: the control without a difference of language.",
        source="https://huggingface.co/EleutherAI",
    ),
)
FAMILIES = {found.key: found for found in _ALL}


def family(key: str) -> Family:
    """A family by its key. Raises UserError that names the nearest."""
    check_known("The catalogue has no suite", FAMILIES, key)
    return FAMILIES[key]


def members(found: Family, listed: bool = False) -> tuple[str, ...]:
    """Ids of a family: the documented ones, with `listed` those that the Hub has now too."""
    if not listed:
        return found.known
    from interference.hub.listing import search

    return tuple(dict.fromkeys([*found.known, *filter(found.holds, search(found.author, found.words))]))


def known_of(repo: str) -> tuple[str | None, str]:
    """The language and the role that the catalogue gives an id; None and `other` where it does not know it."""
    found = next((found for found in FAMILIES.values() if found.holds(repo)), None)
    return (found.language(repo), found.role) if found else (None, "other")


def step_of(revision: str) -> int | None:
    """The training step that a revision is named after: checkpoint_0010000, step1000; None for others."""
    found = re.fullmatch(r"(checkpoint|step)[_-]?(\d+)", revision)
    return int(found[2]) if found else None


def compose(
    found: Family, languages: Sequence[str], repos: Sequence[str], revision: str
) -> tuple[tuple[HubId, str], ...]:
    """(id, language) of a family's models in the given languages, at one revision."""
    return tuple((hub_id(found.of_language(code, repos), revision), code) for code in dict.fromkeys(languages))


def suite_document(name: str, models: Sequence[tuple[HubId, str | None, str]], corpus: str | None = None) -> dict:
    """A suite.yaml of models (id, language, role), each with a name of its own."""
    entries: list[dict] = []
    for which, language, role in models:
        role = role if language or role not in OF_A_LANGUAGE else "other"
        repo, taken = which.repo.split("/")[1], {entry["name"] for entry in entries}
        named = [f"{repo}-{which.revision}"]
        if language or step_of(which.revision) is None:  # else the steps of a run are to be named alike
            named.insert(0, f"{role}-{language}" if language else repo)
        numbered = (f"{named[-1]}-{number}" for number in count(2))
        own = next(name for name in chain(named, numbered) if name not in taken)
        entry: dict = {"name": own, "role": role, "path": which.repo, "revision": which.revision}
        known = {"language": language, "step": step_of(which.revision)}
        entries.append(entry | {key: value for key, value in known.items() if value is not None})
    return {"name": name} | ({"corpus": corpus} if corpus else {}) | {"checkpoints": entries}
