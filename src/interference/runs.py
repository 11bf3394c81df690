"""Parameters of a merge that follow each other where they are read and where they are written."""

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from interference.chunks import Span


@dataclass(frozen=True)
class Run:
    """Neighbours of one kind: their names in the merge, where their sources lie, and where they go."""

    names: tuple[str, ...]
    span: Span
    out: Float[Tensor, " entry"]


def runs(
    at: Mapping[str, Span], wanted: Mapping[str, tuple[str, Hashable]], buffer: Mapping[str, Tensor]
) -> Iterator[Run]:
    """The longest runs of the wanted, each a name in the merge with its source and its kind; `at` says of sources where
    they lie. Nothing lies between neighbours; in a buffer that is not in chunks too, parameters have none."""
    names: list[str] = []
    last, before = None, None
    for name, (source, kind) in wanted.items():
        span, out = at[source], buffer[name]
        place = kind, span.chunk, out.untyped_storage().data_ptr(), out.storage_offset() - span.start
        if last and (place != before or span.start != last.stop):
            yield _run(names, at, wanted, buffer)
            names = []
        names.append(name)
        last, before = span, place
    if names:
        yield _run(names, at, wanted, buffer)


def _run(
    names: list[str], at: Mapping[str, Span], wanted: Mapping[str, tuple[str, Hashable]], buffer: Mapping[str, Tensor]
) -> Run:
    first, last = (at[wanted[name][0]] for name in (names[0], names[-1]))
    out = buffer[names[0]].as_strided((last.stop - first.start,), (1,))
    return Run(tuple(names), Span(first.chunk, first.start, last.stop), out)
