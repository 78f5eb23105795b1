"""What the rows say, as tables, as plots, and as they are."""

from __future__ import annotations

import importlib
import importlib.util
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import kstest

from bench.generators.plan import GROUPS, runs
from bench.generators.statistic import MARKS, WRONG_KEYS
from bench.report import table
from watermark.decide import needed_z
from watermark.sequential import log_looks

__all__ = ["markdown", "write"]

Row = dict[str, Any]

_RUN = ("profile", "commit", "corpus", "versions", "machine")  # stands once, above the rows
_ABOUT = {
    "ceiling": "No model: training pictures themselves, and what the autoencoder leaves of them.",
    "steps": "Every frame marked. The last outputs also after changes.",
    "share": "A part of the frames marked, the others not.",
    "pipeline": "Every frame marked, at full size; then what a training pipeline does.",
    "control": "No frame marked, ten seeds; z is that of a mark that nobody used.",
    "works": "Two works of one key in one training set.",
    "fine-tuning": "A clean model, trained on with a few marked frames.",
    "strength": "The mark at times the product's strength; 1 stands under share.",
    "model": "Every frame marked, other models.",
    "seeds": "Another seed of everything but the frames.",
}
_INTRODUCTION = """# `python -m bench generators`

Small flow-matching transformers, trained on frames that the product marked at 1280 × 720, and asked
with `watermark.pooling`, as `sukashi trace` asks.
Frames are windows of 16 : 9 in the pictures and clips of the data folder.
Unless a row says otherwise, models make latents of TAEF2 (256 × 256 pictures, 32 × 32 × 32
numbers) in tokens of 4 × 4, frames are scaled to a short side of 256 and cut at the middle, and a
row is one seed.

*z* is that of the true work's code word, the largest over the places that are tried; *alone* its
median over the first eight outputs one by one, at the same place; *levels* z in the chips of
wavelet levels 2 and 3 alone, of at most 58.9 and 29.4; *log10 p* that of the verdict, with keys,
places, code words and looks counted; *wrong keys* the largest z of {wrong} of them over all places.
{marks:,} marks are registered.
Pictures are still abstract textures at these steps: the mark is learned before the content.
"""


def write(rows: Sequence[Row], path: Path) -> None:
    """Write ``path`` with .md, .json, and .svg where matplotlib is installed."""
    place = {(run.group, run.name): at for at, run in enumerate(runs())}
    rows = sorted(rows, key=lambda row: (place.get((row["group"], row["name"]), -1), row["step"]))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".md").write_text(markdown(rows), encoding="utf-8")
    once = {name: rows[0].get(name) for name in _RUN} if rows else {}
    kept = [
        {name: row[name] for name in row if name not in _RUN or row[name] != once[name]}
        for row in rows
    ]
    text = ",\n".join(json.dumps(row) for row in kept)
    body = f'{{"run": {json.dumps(once)},\n"rows": [\n{text}\n]}}\n'
    path.with_suffix(".json").write_text(body, encoding="utf-8")
    if importlib.util.find_spec("matplotlib") is not None:
        _plot(rows, path.with_suffix(".svg"))


def markdown(rows: Sequence[Row]) -> str:
    """Return the tables, a group each, and what the controls say."""
    parts = [_INTRODUCTION.format(wrong=WRONG_KEYS, marks=MARKS)]
    for group in ("ceiling", *GROUPS):
        mine = [row for row in rows if row["group"] == group]
        if mine:
            parts.append(f"## {group.capitalize()}\n\n{_ABOUT[group]}\n\n{_table(mine)}\n")
            parts += [_controls(mine)] if group == "control" else []
    seconds = sum(row["train_seconds"] for row in _ends(rows))
    about = rows[0] if rows else {}
    commits = dict.fromkeys(str(row.get("commit")) for row in rows)
    parts.append(
        f"{len(rows)} rows, {seconds / 60:.0f} minutes of one core in training, one thread.\n"
        f"Code of commit {' and '.join(commits)}, profile {about.get('profile')}."
    )
    return "\n".join(parts) + "\n"


def _table(rows: Iterable[Row]) -> str:
    cells = []
    for row in rows:
        changed = "" if row["change"] == "none" else f", {row['change']}"
        clean = not row["works"]
        cells.append(
            (
                row["name"] + changed,
                row["step"] or "",
                row["outputs"],
                " and ".join(f"{z:.1f}" for z in row["z"]),
                " and ".join(f"{z:.1f}" for z in row["alone"]),
                " and ".join(f"{z:.1f}" for z in row["by_level"]),
                f"{row['log10_p']:.0f}",
                _verdict(row, clean=clean),
                f"{row['largest_wrong']:.1f}",
                row["place"],
            )
        )
    head = (
        "what", "steps", "outputs", "z", "alone", "levels",
        "log10 p", "verdict", "wrong keys", "where",
    )  # fmt: skip
    return table(head, cells)


def _verdict(row: Row, *, clean: bool) -> str:
    if row["others"]:
        return "WRONG WORK"
    if clean or len(row["works"]) == 1:
        return str(row["verdict"])
    told = f"{row['verdict']}, {len(row['named'])} of {len(row['works'])} works"
    parts = zip(row["named"], row.get("shares", ()), strict=False)
    if len(row["named"]) > 1:
        told += ": " + " and ".join(
            f"{100 * share:.0f} ± {100 * error:.0f} %" for _, (share, error) in sorted(parts)
        )
    return told


def _controls(rows: Sequence[Row]) -> str:
    """Say whether p-values by counting wrong keys are uniform over clean models."""
    values = sorted(row["rank_p"] for row in rows)
    listed = ", ".join(f"{value:.2f}" for value in values)
    text = f"P-values of the true key by counting wrong ones: {listed}"
    if len(values) > 2:
        text += f"; Kolmogorov–Smirnov against uniform: p = {kstest(values, 'uniform').pvalue:.2f}"
    normal = ", ".join(f"{row['wrong_normal_p']:.2f}" for row in rows)
    return f"{text}.\nThat wrong keys are standard normals at one place: p = {normal}.\n"


def _ends(rows: Sequence[Row]) -> list[Row]:
    """Return the row of each run's last outputs as they are."""
    plain = (row for row in rows if row["step"] and row["change"] == "none")
    last = {(row["group"], row["name"]): row for row in plain}
    return list(last.values())


def _plot(rows: Sequence[Row], path: Path) -> None:
    matplotlib = importlib.import_module("matplotlib")
    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "sukashi"  # the same file from the same rows
    figures = importlib.import_module("matplotlib.pyplot")
    figure, (left, middle, right) = figures.subplots(1, 3, figsize=(14, 4.5))
    marked = [row for row in _ends(rows) if row["group"] in {"steps", "share"}]
    marked.sort(key=lambda row: -row["share"])
    for row in marked:
        growth = [(look["outputs"], look["z"][0]) for look in row["growth"]]
        left.plot(*zip(*growth, strict=True), "o-", ms=3, label=f"{row['name']}, {row['step']}")
    if marked:
        trials = np.log(marked[0]["places"] * MARKS) + log_looks(len(marked[0]["growth"]))
        left.axhline(needed_z(float(trials)), color="k", ls="--", lw=0.8, label="detected")
        left.axhline(marked[0]["largest_wrong"], color="k", ls=":", lw=0.8, label="wrong keys")
    left.set(xscale="log", yscale="log", xlabel="outputs", ylabel="z", title="By share and steps")
    for name in dict.fromkeys(row["name"] for row in marked):
        points = [
            (row["step"], row["z"][0])
            for row in rows
            if row["name"] == name and row["change"] == "none"
        ]
        if len(points) > 1:
            middle.plot(*zip(*points, strict=True), "o-", ms=3, label=name)
    middle.set(xlabel="training steps", ylabel="z of all outputs", title="By training")
    values = np.sort([row["rank_p"] for row in rows if row["group"] == "control"])
    if len(values):
        right.plot((np.arange(len(values)) + 0.5) / len(values), values, "o", label="clean models")
    right.plot([0, 1], [0, 1], "k--", lw=0.8)
    right.set(xlabel="expected of uniform p", ylabel="p by wrong keys", title="Clean models")
    for axes in (left, middle, right):
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    figures.close(figure)
