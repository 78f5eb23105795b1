"""The main job on real pictures: register two works, mark frames, damage them, find them again.

Everything is done by the command itself, in a temporary folder that is gone afterwards:

    make demo
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

SAMPLES = Path(__file__).parent
WORKS = {
    "Big Buck Bunny": ("Blender Foundation", "allowed", "bbb-*.jpg"),
    "The Question": ("Tom Rothamel", "not-permitted", "thequestion-scene-*.jpg"),
}
UNMARKED = "thequestion-bg-*.jpg"

Picture = NDArray[Any]


def shrunk(picture: Picture) -> Picture:
    """Scale the short side to 256 pixels, as training sets do."""
    scale = 256 / min(picture.shape[:2])
    return np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))


def untouched(picture: Picture) -> Picture:
    """Give the picture itself."""
    return picture


# What is done to a picture before somebody sends it back, and the name of the file it makes.
DAMAGES: dict[str, tuple[Callable[[Picture], Picture], str, list[int]]] = {
    "nothing": (untouched, "{}.png", []),
    "JPEG 50": (untouched, "{}.jpg", [cv2.IMWRITE_JPEG_QUALITY, 50]),
    "256 px": (shrunk, "{}.png", []),
    "both": (shrunk, "{}.jpg", [cv2.IMWRITE_JPEG_QUALITY, 50]),
}


def sukashi(*arguments: str | Path, environment: dict[str, str]) -> list[dict[str, Any]]:
    """Run the command and return the JSON objects that it prints."""
    command = [sys.executable, "-c", "from cli.main import main; main()", *map(str, arguments)]
    done = subprocess.run(  # noqa: S603 - our own command
        [*command, "--json"],
        env=environment,
        cwd=SAMPLES.parent,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def probability(log10: float) -> str:
    """Write a probability by its logarithm, and plainly where it is near 1."""
    return f"10^{log10:.0f}" if log10 <= -3 else f"{10**log10:.2g}"


def main() -> None:
    """Run the demonstration."""
    with tempfile.TemporaryDirectory(prefix="sukashi-demo-") as name:
        folder = Path(name)
        environment = os.environ | {
            "SUKASHI_REGISTRY": str(folder / "registry.sqlite"),
            "PYTHONUTF8": "1",
        }
        show(folder, environment)


def show(folder: Path, environment: dict[str, str]) -> None:
    """Register, mark, damage and identify below `folder`, and print what comes of it."""
    key = folder / "studio.key"
    (made,) = sukashi("key", "new", key, environment=environment)
    print(f"A new key, {made['fingerprint']}, and a new registry with two works:\n")
    for title, (holder, training, pattern) in WORKS.items():
        details = ("--rights-holder", holder, "--training", training)
        (made,) = sukashi("work", "add", "--title", title, *details, environment=environment)
        print(f"  {title:15} {made['work']}  mark {made['mark']}  training {training}")
        frames = sorted(SAMPLES.glob(pattern))
        options = ("--work", made["work"], "--key", key, "-o", f"{folder / 'marked'}{os.sep}")
        for row in sukashi("embed", *frames, *options, environment=environment):
            file = Path(row["output"]).name
            print(f"    {file:26} PSNR {row['psnr']:.1f} dB  SSIM {row['ssim']:.4f}")
    for plain in sorted(SAMPLES.glob(UNMARKED)):
        (folder / "marked" / plain.name).write_bytes(plain.read_bytes())

    found: dict[str, dict[str, dict[str, Any]]] = {}
    for damage, (change, form, quality) in DAMAGES.items():
        received = folder / damage
        received.mkdir()
        for file in sorted((folder / "marked").iterdir()):
            picture = cv2.imread(str(file))
            assert picture is not None
            cv2.imwrite(str(received / form.format(file.stem)), change(picture), quality)
        for row in sukashi("detect", received, "--key", key, environment=environment):
            found.setdefault(Path(row["file"]).stem, {})[damage] = row
    print("\nThen somebody damages and returns them, and one more that was never marked:\n")
    print(f"  {'picture':21}  {'found in it':14}" + "".join(f"  {name:>8}" for name in DAMAGES))
    for name, rows in found.items():
        titles = {row["title"]: None for row in rows.values() if row["title"] is not None}
        cells = "".join(f"  {cell(rows[damage]):>8}" for damage in DAMAGES)
        print(f"  {name:21}  {' / '.join(titles) or 'nothing':14}{cells}")
    doubts = [row["log10_p_wrong_work"] for rows in found.values() for row in rows.values()]
    worst = max(doubt for doubt in doubts if doubt is not None)
    print(
        "\nA number is the chance, at most, of finding this much where no mark is.\n"
        f"The chance that a name is wrong is {probability(worst)} at most."
    )


def cell(row: dict[str, Any]) -> str:
    """Say in few letters what was found: a probability, unless nothing was."""
    if row["verdict"] in {"detected", "indicated"}:
        return probability(row["log10_p"])
    return {"not-found": "-", "inconclusive": "?"}[row["verdict"]]


if __name__ == "__main__":
    main()
