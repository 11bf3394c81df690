"""What loading models from the Hub needs of this machine, and whether they can be merged, before anything starts."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import torch

from interference.checkpoint import Checkpoint
from interference.errors import UserError
from interference.hub.failures import hub_failures
from interference.hub.fetch import check_disk, config_steps, disk_need, fetched_at, to_fetch
from interference.hub.ids import HubId
from interference.hub.listing import Listing, listing
from interference.steps import finish
from interference.store import default_folder
from interference.suite import difference_of_models
from interference.weights import free_bytes

GIB = 2**30


@dataclass(frozen=True)
class Planned:
    """One model as it is on the Hub, with its configuration; `refused` says why it can't be loaded, else ''."""

    which: HubId
    listing: Listing | None
    checkpoint: Checkpoint | None
    refused: str = ""

    @property
    def parameters(self) -> int | None:
        """Number of weights that its configuration describes, tied ones once."""
        return sum(p.numel() for p in self.checkpoint.meta.parameters()) if self.checkpoint else None


@dataclass(frozen=True)
class Plan:
    """Models that are to be loaded together."""

    models: tuple[Planned, ...]

    @property
    def usable(self) -> tuple[Planned, ...]:
        return tuple(model for model in self.models if not model.refused)

    @property
    def listings(self) -> tuple[Listing, ...]:
        return tuple(model.listing for model in self.usable if model.listing)

    @property
    def download_bytes(self) -> int:
        return sum(to_fetch(found) for found in self.listings)

    @property
    def disk_bytes(self) -> int:
        """What has to be free: all downloads, and the largest pickle once more while it is converted."""
        return disk_need(self.listings)

    @property
    def resident_bytes(self) -> int:
        """Memory with all weights resident: they as they are stored, and one model in float32."""
        return sum(found.weight_bytes for found in self.listings) + self.network_bytes

    @property
    def network_bytes(self) -> int:
        """Memory that can't be done without: the largest of the models in float32."""
        return 4 * max((model.parameters or 0 for model in self.usable), default=0)

    def why_not(self, model: Planned) -> str:
        """Why a model can't be merged with the first that can be loaded; '' where it can, as far as is known."""
        if model.refused:
            return model.refused
        first = self.usable[0]
        if model is first or first.checkpoint is None or model.checkpoint is None:
            return ""
        if reason := difference_of_models(first.checkpoint, model.checkpoint):
            return reason
        return "" if self.shares_tokenizer(model) else (
            "The files of the tokenizer are others: token ids are compared once both are fetched, and a merge is "
            "refused where they differ."
        )  # fmt: skip

    def shares_tokenizer(self, model: Planned) -> bool:
        """Whether the files that settle token ids are those of the first model, by checksum."""
        first = self.usable[0]
        return bool(first.listing and model.listing and first.listing.tokenizer == model.listing.tokenizer)

    def frame(self) -> pd.DataFrame:
        """One row per model: sizes in bytes, what is here already, and what parts it from the first."""
        counts = dict.fromkeys(("parameters", "weights", "to download"), "Int64")
        return pd.DataFrame([self._row(model) for model in self.models]).astype(counts)

    def _row(self, model: Planned) -> dict:
        found, checkpoint = model.listing, model.checkpoint
        row: dict = {"id": str(model.which), "architecture": None, "parameters": None, "format": None, "weights": None,
                     "to download": None, "here": False, "same tokenizer": None}  # fmt: skip
        if found and not model.refused:
            row |= {
                "format": "pickle, converted" if found.converts else "safetensors",
                "weights": found.weight_bytes,
                "to download": to_fetch(found),
                "here": fetched_at(found) is not None,
                "same tokenizer": self.shares_tokenizer(model),
            }
        if checkpoint and not model.refused:
            row |= {"architecture": checkpoint.architecture, "parameters": model.parameters}
        return row | {"why not with the first": self.why_not(model)}

    def needs(self) -> str:
        """What the machine must have, on one line."""
        twice = " (a pickle lies there twice while it is converted)" if self.disk_bytes > self.download_bytes else ""
        return (
            f"{size_of(self.download_bytes)} to download; {size_of(self.disk_bytes)} of disk for it{twice}. Memory: "
            f"{size_of(self.resident_bytes)} with all weights resident, of which {size_of(self.network_bytes)} for one "
            "model in float32; less where weights are streamed from disk."
        )

    def notes(self) -> tuple[str, ...]:
        """What the machine must have, and which models can't be loaded."""
        return (self.needs(), *(f"{model.which} can't be loaded." for model in self.models if model.refused))


def size_of(count: int) -> str:
    """Bytes as people say them: 4.01 GiB, 12.5 MiB."""
    return f"{count / GIB:.2f} GiB" if count > GIB / 10 else f"{count / 2**20:.1f} MiB"


def room() -> str:
    """What this machine has free of disk and memory, as a sentence."""
    there = next(p for p in (default_folder(), *default_folder().parents) if p.exists())
    memory = free_bytes(torch.device("cpu"))
    has = f"{size_of(shutil.disk_usage(there).free)} of disk at {there}"
    return f"Free here: {has}" + (f", {size_of(memory)} of memory." if memory else ".")


def plan(ids: Sequence[HubId]) -> Plan:
    """Ask the Hub for listings and configurations: kilobytes. A model that can't be used is said in its row.

    Raises UserError where the Hub can't be asked for any of them.
    """
    models = [_planned(which) for which in dict.fromkeys(ids)]
    if models and all(model.listing is None for model in models):
        raise UserError("\n".join(dict.fromkeys(model.refused for model in models)))
    return Plan(tuple(models))


def plan_to_fetch(ids: Sequence[HubId]) -> Plan:
    """The plan of models that are all to be fetched. Raises UserError for one that can't be used.

    What does not fit on the disk is refused before their configurations, kilobytes, are downloaded.
    """
    found = [listing(which) for which in dict.fromkeys(ids)]
    check_disk(found)
    return Plan(tuple(_configured(each) for each in found))


def _planned(which: HubId) -> Planned:
    found = None
    try:
        found = listing(which)
        return _configured(found)
    except UserError as error:
        return Planned(which, found, None, str(error))


def _configured(found: Listing) -> Planned:
    with hub_failures(found.which):
        folder = finish(config_steps(found))
    checkpoint = Checkpoint(str(found.which), folder)
    _ = checkpoint.meta, found.weights
    return Planned(found.which, found, checkpoint)
