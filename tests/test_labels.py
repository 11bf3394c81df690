"""Names beside sliders and on axes: what all share is left out of long ones, and every one is drawn."""

import pandas as pd
import pytest

from interference.figures.losses import heat_map
from interference.figures.similarity import map_figure
from interference.labels import labels
from interference.views_similarity import Map

HPLT = [
    f"HPLT/hplt2c_{code}_checkpoints@checkpoint_{step}" for code in ("eng", "zhos") for step in ("0001000", "0047684")
]
DOUBLE = ("hplt2c_eng_a-long-id", "hplt2c_deu_a-long-id", "goldfish_eng_of-100mb", "goldfish_fra_of-100mb")


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (HPLT, ("…eng_…0001000", "…eng_…0047684", "…zhos_…0001000", "…zhos_…0047684")),
        (["goldfish-models/eng_latn_100mb", "goldfish-models/ara_arab_100mb"], ("…eng_latn…", "…ara_arab…")),
        (["pythia-14m-seed1", "pythia-14m-seed2"], ("…seed1", "…seed2")),
        (["mono-eng", "mono-deu"], ("mono-eng", "mono-deu")),  # short enough as they are
        (["pythia-14m-seed1", "init"], ("pythia-14m-seed1", "init")),  # they share nothing
        (["pythia-14m-seed1", "pythia-14m-seed1-step0"], ("…seed1", "…seed1-step0")),
        (
            [*HPLT, "init", "mixed"],
            ("…eng_…0001000", "…eng_…0047684", "…zhos_…0001000", "…zhos_…0047684", "init", "mixed"),
        ),
        (DOUBLE, DOUBLE),  # shortened by their beginnings two would be the same
        (["EleutherAI/pythia-14m-seed1"], ("EleutherAI/pythia-14m-seed1",)),
        ([], ()),
    ],
)
def test_what_all_names_share_is_left_out_of_long_ones(names, shown):
    assert labels(names) == shown


def test_every_row_of_a_map_has_its_name():
    """Plotly leaves out every second of twenty rows unless it is told what stands at each."""
    names = [f"{name}-{number}" for number in range(10) for name in HPLT]
    square = pd.DataFrame(0.5, names, names)
    parts = dict.fromkeys(("value", "low", "high", "chance", "raw", "z_scored"), square)
    grid = Map("model", "model", parts, square.astype(str))
    figure = map_figure(grid, "CKA", "high", "model", "model")
    losses = pd.DataFrame(
        {"model": names, "language": "eng", "value": 1.5, "low": 1.0, "high": 2.0, "bits_per_byte": 1.0}
    )
    for axis in (figure.layout.xaxis, figure.layout.yaxis, heat_map(losses, "loss", "bits").layout.yaxis):
        assert list(axis.tickvals) == names
        assert list(axis.ticktext) == list(labels(names))
