"""Draws the set "other tools": figures by gnuplot, R, LaTeX, Vega-Lite and plotly, whose data are known.

`specs` decides what is drawn and how it looks, the same for every tool; one module for each tool turns that into the
tool's own language, runs it and says where the plot areas are. `python -m evaluation.suites.charts.draw --help`.
"""
