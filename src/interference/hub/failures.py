"""What the Hub and the way to it answer when something is wrong, each as one message."""

from collections.abc import Iterator
from contextlib import contextmanager

from interference.errors import UserError, nearest
from interference.hub.ids import HubId
from interference.store import default_folder


@contextmanager
def hub_failures(which: HubId | str) -> Iterator[None]:
    """Report whatever goes wrong between here and the Hub as UserError that names what was asked for."""
    from huggingface_hub.errors import HTTPError, OfflineModeIsEnabled

    try:
        yield
    except UserError:
        raise
    except OfflineModeIsEnabled:
        raise UserError(
            f"{which}: the Hub is switched off here by HF_HUB_OFFLINE, so nothing was asked or downloaded. Unset it, "
            "or use what was fetched before: its ids and folders open as always."
        ) from None
    except HTTPError as error:
        raise _answer(which, error) from None
    except FileNotFoundError as error:
        raise UserError(
            f"{which}: {error.filename} was deleted while it was downloaded. Fetch again: what is left is gone on from."
        ) from None
    except OSError as error:  # a disk that is full, a folder that can't be written to
        raise UserError(
            f"{which} can't be kept in {default_folder()}: {error}. Free some space, or set INTERFERENCE_CACHE to a "
            "folder on another disk; what was downloaded stays and is gone on from."
        ) from None
    except (ValueError, KeyError, TypeError) as error:  # what is no answer of a Hub
        raise UserError(
            f"{which}: {endpoint()} does not answer as a Hub does ({' '.join(str(error).split())[:200]}). Check "
            "HF_ENDPOINT and any proxy between here and there."
        ) from None


def endpoint() -> str:
    """The Hub's address."""
    from huggingface_hub import constants

    return constants.ENDPOINT


def _answer(which: HubId | str, error: Exception) -> UserError:
    from huggingface_hub import errors

    status = getattr(getattr(error, "response", None), "status_code", None)
    page = f"{endpoint()}/{which.page}" if isinstance(which, HubId) else endpoint()
    letting_in = (
        f"Accept the terms on {page}, wait where its owners have to agree, then log in here with `hf auth login` and a "
        "token that may read gated repositories."
    )
    if isinstance(error, errors.GatedRepoError) and status != 403:
        return UserError(f"{which} is gated: its owners let in who has accepted their terms. {letting_in}")
    if status == 403:
        return UserError(
            f"{which} is gated or forbidden to this login (answer 403): expected one that its owners have let in. "
            + letting_in
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return UserError(f"{which}: the repository has no such revision{_revisions(which)}")
    if isinstance(error, errors.RepositoryNotFoundError) or status == 401:
        return UserError(
            f"{which}: the Hub shows no such repository to this login (answer {status}). Check the spelling on {page}; "
            "a private one needs `hf auth login` with a token that may read it."
        )
    if isinstance(error, errors.EntryNotFoundError) or status == 404:
        return UserError(f"{which}: the Hub lacks a file that it listed (answer 404). Plan and fetch it again.")
    if status == 429:
        wait = error.response.headers.get("Retry-After", "")  # type: ignore[attr-defined]
        when = f"in {wait} seconds" if wait.isdigit() else f"after {wait}" if wait else "in some minutes"
        return UserError(
            f"{which}: the Hub answers 429, too many requests from here. Try again {when}; logging in with "
            "`hf auth login` raises the limit. What was downloaded stays and is gone on from."
        )
    if status is not None:
        return UserError(f"{which}: the Hub answers {status}, a trouble of its own or of a proxy. Try again later.")
    why = " ".join(f"{type(error).__name__} {error}".split())[:160]
    return UserError(
        f"{which}: {endpoint()} can't be reached or broke off ({why}). Check the connection and try again: what was "
        "downloaded stays and is gone on from. Without a connection, copy a checkpoint folder here and give its path."
    )


def _revisions(which: HubId | str) -> str:
    """How the message about an unknown revision ends."""
    from interference.hub.listing import revisions

    if not isinstance(which, HubId):
        return "."
    try:
        known = revisions(which)
    except UserError:
        return "."
    if which.revision in known:
        return " any more as it was listed: it was changed meanwhile. Plan and fetch it again."
    close = nearest(which.revision, known)
    more = f" It has {len(known)}; `interference hub revisions {which.repo}` lists them." if len(known) > 1 else ""
    return f": {close if 'did you mean' in close else f'for example {known[-1]}.'}{more}"
