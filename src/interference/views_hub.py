"""Tables of the catalogue: what the Models page and the command line list."""

from collections.abc import Sequence

import pandas as pd

from interference.catalogue import FAMILIES, Family
from interference.hub import HubId, fetched
from interference.languages import language_name

_SHARED = {True: "shared", False: "each its own", None: "not known"}


def catalogue_table() -> pd.DataFrame:
    """One row per suite of the catalogue."""
    return pd.DataFrame(
        [
            {
                "name": f.key, "title": f.title, "role": f.role, "ids known": len(f.known),
                "tokenizer": _SHARED[f.shared], "revisions": f.revisions,
            }
            for f in FAMILIES.values()
        ]
    )  # fmt: skip


def members_table(found: Family, repos: Sequence[str]) -> pd.DataFrame:
    """One row per model of a suite; `here` says whether its main revision was fetched."""
    columns = ["id", "language", "name", "here"]
    rows = [(repo, found.language(repo)) for repo in repos]
    return pd.DataFrame(
        [(repo, code, language_name(code) if code else None, fetched(HubId(repo)) is not None) for repo, code in rows],
        columns=columns,
    )
