"""The experiments: ``python -m bench NAME [OPTIONS]``, each with its own ``--help``.

Every run writes JSON lines with profile, commit, corpus hash and seed, and the tables are made
from them.
"""

from __future__ import annotations

import importlib
import sys

_EXPERIMENTS = {
    "stills": ("bench.stills", "attacks over pictures: how many marks are found"),
    "geometry": ("bench.geometry", "crops, rotations, warps and frames: how many are found"),
    "video": ("bench.video", "films: codecs, edits and a minute of others: how many are found"),
    "growth": ("bench.growth", "how much larger marked films are at equal x264 CRF"),
    "generators": (
        "bench.generators.command",
        "models trained on marked frames: is the mark in their outputs",
    ),
    "service": (
        "bench.service.command",
        "the detect service: speed, overload, memory, broken files",
    ),
    "fidelity": ("bench.fidelity", "what a mark costs: PSNR, SSIM, the flats, JOD"),
    "film-fidelity": ("bench.film_fidelity", "what a mark costs a film: VMAF, JOD, flicker"),
    "detail-loss": ("bench.detail_loss", "fit what films' marks cost to what VMAF says"),
    "visibility": ("bench.visibility", "fit the mask to what ColorVideoVDP says"),
    "speed": ("bench.speed", "time and memory on one core"),
    "false-alarms": ("bench.false_alarms", "wrong keys by the million, and trick content"),
    "search-alarms": ("bench.search_alarms", "wrong keys through the full search"),
    "run": ("bench.run", "this project and its peers, on everything: for report"),
    "films": ("bench.run_films", "the published attacks on films: for report"),
    "scaling": ("bench.scaling", "by registered marks, clip length and visibility: for report"),
    "removal": ("bench.removal.trials", "averaging many marked frames, to remove or to forge"),
    "peers": ("bench.peers", "other people's watermarks: set up, or why not"),
    "calibrate": ("bench.calibrate", "how strong a peer is at equal visibility"),
    "speed-sizes": ("bench.speed_sizes", "by size, registry and cores, beside the peers"),
    "report": ("bench.page.command", "the page and the tables of what was run"),
    "readme": ("bench.page.readme", "the short table of the README"),
    "guard": ("bench.guard", "whether a run found less than another"),
    "trace-alarms": ("bench.trace_alarms", "wrong keys on piles of outputs"),
    "attribution": ("bench.attribution", "whether the printed chance of a wrong name is true"),
    "code": ("bench.code_distance", "how far the code is from the best conceivable one"),
}


def main() -> None:
    """Hand over to the experiment that the first argument names."""
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name not in _EXPERIMENTS:
        print("usage: python -m bench NAME [OPTIONS]\n")
        for each, (_, about) in _EXPERIMENTS.items():
            print(f"  {each:13} {about}")
        sys.exit(0 if name in {"-h", "--help"} else 2)
    sys.argv[:2] = [f"python -m bench {name}"]
    importlib.import_module(_EXPERIMENTS[name][0]).main()


if __name__ == "__main__":
    main()
