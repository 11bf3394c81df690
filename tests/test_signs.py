"""Numbers as they are written: real minus signs in sentences and in the cells of figures."""

import numpy as np
import pandas as pd
import pytest

from interference.figures.causal import causal_figure
from interference.figures.losses import heat_map
from interference.figures.weights import pair_figure
from interference.signs import plain, signed, signed_short


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (plain(-1.239, 2), "−1.24"),
        (plain(-0.001, 2), "0.00"),
        (signed(0.15, 2), "+0.15"),
        (signed(-0.534, 2), "−0.53"),
        (signed(-0.001, 2), "+0.00"),
        (signed_short(-12.34), "−12.3"),
        (signed_short(1.234), "+1.23"),
    ],
)
def test_numbers_as_texts(written, expected):
    assert written == expected


def test_cells_of_figures_have_real_minus_signs():
    losses = pd.DataFrame(
        {"model": "a", "language": ["eng"], "cost_value": -1.5, "cost_low_value": -2, "cost_high_value": -1}
    ).assign(bits_per_byte=1.0)
    pairs = pd.DataFrame({"first": ["a"], "second": ["b"], "value": [-0.25], "chance": [0.0]})
    causal = pd.DataFrame(
        {"map": "restored", "component": ["layer 0, mlp", "whole model"], "layer": [0, np.nan], "group": ["mlp", None],
         "bits": [-1.5, -20.0], "low": -2.0, "high": -1.0}
    )  # fmt: skip
    for figure, expected in (
        (heat_map(losses, "cost against the reference", "bits"), "−1.50"),
        (pair_figure(pairs, "Cosine", "all"), "−0.25"),
        (causal_figure(causal, "bits", ["restored"]), "−1.50"),
    ):
        assert expected in np.asarray(figure.data[0].text)
        assert "-" not in str(figure.data[0].text) + str([a.text for a in figure.layout.annotations])
    assert "layer (the first is 0)" in str(figure.layout.annotations)  # the causal map's rows


def test_titles_of_causal_maps_fit_beside_each_other():
    cells = pd.DataFrame({"component": ["layer 0, mlp", "whole model"], "layer": [0, np.nan], "group": ["mlp", None]})
    kinds = ["transplanted", "restored", "untrained"]
    frame = pd.concat([cells.assign(map=kind, bits=-150.0, low=-160.0, high=-140.0) for kind in kinds])
    titles = [a.text for a in causal_figure(frame, "bits", kinds).layout.annotations if "whole model" in a.text]
    assert len(titles) == 3
    assert max(len(line) for title in titles for line in title.split("<br>")) <= 36, "a third of 820 px at 12 px"


def test_a_map_leaves_room_for_the_buttons_above_it():
    losses = pd.DataFrame(
        {"model": "a", "language": ["eng"], "value": 1.5, "low": 1.0, "high": 2.0, "bits_per_byte": 1.0}
    )
    pairs = pd.DataFrame({"first": ["a"], "second": ["b"], "value": [0.25], "chance": [0.0]})
    for figure in (heat_map(losses, "loss", "bits"), pair_figure(pairs, "Cosine", "all")):
        assert figure.layout.margin.t >= 30
        assert figure.layout.xaxis.title.text
        assert figure.layout.yaxis.title.text
