"""Figures: a table in, a Plotly figure out. No torch, no streamlit."""
