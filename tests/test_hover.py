"""Hovers say nothing of what is missing, where Plotly's own formats would say 0."""

import base64
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import interference.figures
from interference.figures.accuracy import accuracy_figure, tasks_figure
from interference.figures.compare import compare_figure
from interference.figures.hover import all_between, all_said, between, said
from interference.figures.losses import merge_data

# Numbers that are always there: shares of corners, chance levels and extremes of weights' measures, of states' too.
ALWAYS = {"landscape.py", "weights.py", "similarity.py"}


@pytest.mark.parametrize("missing", [None, np.nan])
def test_what_is_missing_is_no_zero(missing):
    assert said(missing, ".2f") == "–"
    assert between(missing, missing) == ""
    assert all_said([missing, -0.5], "+.1f").tolist() == ["–", "−0.5"]


def test_intervals_are_a_line():
    assert between(-1, 2.5) == "<br>95 % −1.000 to 2.500"
    assert all_between([[1.0, np.nan]], [[2.0, np.nan]], ".0f").tolist() == [["<br>95 % 1 to 2", ""]]


def test_a_preview_has_no_interval_and_may_have_no_recovery():
    numbers = {"value": 3.0, "low": np.nan, "high": np.nan, "cost_value": 1.0, "cost_low_value": np.nan}
    row = {"language": "eng", "role": "merge", "sentences": 4, "model": "m", "reference": "r", "recovery": np.nan}
    data = merge_data(pd.DataFrame([row | numbers | {"cost_high_value": np.nan}]), "bits per sentence", "m", 9)
    assert [trace["customdata"] for trace in data["data"]] == [[["", "m"]], [["", "r", "–"]]]


def test_no_bar_stands_for_an_interval_that_there_is_not():
    """Plotly draws one of no length for a null, and nothing for a NaN in an array of numbers."""
    compared = {"method": "m", "label": "m", "family": "f", "variant": "default", "settings": "", "cost": np.nan}
    accuracy = {"role": "merge", "model": "m", "accuracy": 0.5, "pairs": 3, "ties": 0, "margin": np.nan}
    task = {"role": "merge", "model": "m", "task": "t", "filter": "none", "metric": "acc", "higher_is_better": True}
    task |= {"samples": 3, "shots": 0, "standard_error": None}
    numbers = {"language": "eng", "value": 3.0, "low": np.nan, "high": np.nan, "seconds": np.nan}
    for figure in (
        compare_figure(pd.DataFrame([compared | numbers]), "bits per sentence"),
        accuracy_figure(pd.DataFrame([accuracy | numbers])),
        tasks_figure(pd.DataFrame([task | numbers])),
    ):
        (bars,) = (trace["error_x"] for trace in json.loads(figure.to_json())["data"] if trace.get("error_x"))
        for side in bars.keys() & {"array", "arrayminus"}:
            assert np.isnan(np.frombuffer(base64.b64decode(bars[side]["bdata"]))).all()


def test_no_other_figure_leaves_the_format_to_plotly():
    """Of entries of `customdata`; points without a place are not drawn."""
    for file in Path(interference.figures.__file__).parent.glob("*.py"):
        if file.name not in ALWAYS:
            assert not re.findall(r"%\{+customdata(?:\[\d\])?:", file.read_text()), file.name
