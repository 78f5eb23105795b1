"""The drawing of the house is kept true by reading the imports."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# Floor of each module of the library; a module imports from its own floor or below.
FLOORS = {
    0: {"allocator", "errors", "key", "coding", "profile", "frame", "evidence", "work", "rows"}
    | {"planes", "scene", "client", "sighting", "access", "scheduling", "confinement", "threads"},
    1: {"transform", "mask", "detail_loss", "residual", "pattern", "align", "detection", "quality"}
    | {"identify", "signsum", "attribution", "decide"}
    | {"homography", "spectrum", "polar", "search", "patches", "blocks", "track", "borders"}
    | {"sequential", "succession", "compact", "evening", "feeding", "growth"},
    2: {"blind", "leads", "upright", "embed", "detect", "overlay", "learned"}
    | {"moving", "reel", "clip", "timeline", "tally"}
    | {"pooling", "controls", "near_copies", "sensitivity"},
    3: {"formats", "picture", "quantisation", "savers", "stills", "files"}
    | {"container", "codecs", "remux", "sequence", "decoding", "gate", "plot"}
    | {"videoinfo", "passthrough", "pipeline", "filmwriter", "hdr10"}
    | {"footage", "rasters", "numbered", "dpx", "exr"}
    | {"stillgate", "still_decoding", "seat", "crew", "cluster", "kept"}
    | {"database", "migrations", "intake", "columns", "registry"}
    | {
        "sample",
        "shards",
        "columnar",
        "tables",
        "holdings",
        "units",
        "sources",
        "attempts",
        "results",
    }
    | {"ids", "tokens", "sightings", "forgetting", "jobs"},
    4: {"marking", "identification", "filming", "clip_identification", "shots", "scan", "record"}
    | {"scan_rows", "scan_setup", "screening", "thumbnails", "scanning", "scan_workers"}
    | {"scan_summary", "scan_report", "example_sheet"}
    | {"rechecking", "rescan", "raying", "outputs"}
    | {"trace", "trace_works", "tracing", "trace_words", "trace_plots", "trace_report"},
}
FLOOR_OF = {module: floor for floor, modules in FLOORS.items() for module in modules}
# Packages that one file each may import; the bench compares with everything.
ONLY_IN = {
    "torch": {"watermark/learned.py"},
    "av": {
        f"watermark/{name}.py"
        for name in (
            "container",
            "codecs",
            "passthrough",
            "filmwriter",
            "remux",
            "decoding",
        )
    },
    "pyvips": {"watermark/stills.py"},
    "ray": {"watermark/cluster.py"},
    "nacl": {"watermark/seat.py", "watermark/cluster.py"},
    "OpenEXR": {"watermark/exr.py"},
    "pyarrow": {"watermark/tables.py", "watermark/columnar.py"},
    "sqlalchemy": {
        "watermark/database.py",
        "watermark/migrations.py",
        "watermark/intake.py",
        "watermark/columns.py",
        "watermark/registry.py",
        "watermark/tokens.py",
        "watermark/sightings.py",
        "watermark/forgetting.py",
        "watermark/jobs.py",
    },
}
LONGEST = 320  # lines: a module is one idea that fits in the head

LIBRARY = sorted(path for path in (ROOT / "watermark").glob("**/*.py"))
FACES = sorted(path for name in ("cli", "server") for path in (ROOT / name).glob("**/*.py"))
BENCH = sorted((ROOT / "bench").glob("**/*.py"))


def named(path):
    return str(path.relative_to(ROOT))


def imported(source):
    """Return the dotted names of everything a source imports, also inside its functions."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute, so that they can be read"
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_imports_inside_functions_are_read():
    source = "def f():\n    from watermark import key\n    import av.container\n"
    assert imported(source) == {"watermark", "watermark.key", "av.container"}


@pytest.mark.parametrize("path", LIBRARY, ids=named)
def test_every_module_of_the_library_has_a_floor(path):
    if path.name != "__init__.py":
        assert path.parent.name == "watermark"
        assert path.stem in FLOOR_OF, f"put {path.name} on a floor, here and in the drawing"


@pytest.mark.parametrize("path", LIBRARY, ids=named)
def test_a_module_imports_from_its_own_floor_or_below(path):
    own = FLOOR_OF.get(path.stem, max(FLOORS))
    for name in imported(path.read_text()):
        package, _, rest = name.partition(".")
        assert package not in {"cli", "server", "bench", "tests"}, f"{path.name} imports {name}"
        module = rest.partition(".")[0]
        if package == "watermark" and module in FLOOR_OF:
            assert FLOOR_OF[module] <= own, f"floor {own} imports {name} from above"


@pytest.mark.parametrize("path", FACES, ids=named)
def test_the_faces_do_not_import_each_other_or_the_bench(path):
    strangers = {"cli", "server", "bench", "tests"} - {path.relative_to(ROOT).parts[0]}
    assert not strangers & {name.partition(".")[0] for name in imported(path.read_text())}


@pytest.mark.parametrize("path", LIBRARY + FACES, ids=named)
def test_heavy_packages_live_in_one_file_each(path):
    packages = {name.partition(".")[0] for name in imported(path.read_text())}
    for package in packages & ONLY_IN.keys():
        assert named(path) in ONLY_IN[package], f"{named(path)} imports {package}"


@pytest.mark.parametrize("path", LIBRARY + FACES + BENCH, ids=named)
def test_modules_are_short(path):
    lines = path.read_text().count("\n")
    assert lines <= LONGEST


@pytest.mark.parametrize(
    ("statement", "unwanted"),
    [
        ("import watermark", {"torch", "av", "sqlalchemy", "cv2", "pyarrow"}),
        (
            "from cli.main import sukashi; sukashi(['--help'], standalone_mode=False)",
            {"torch", "av", "sqlalchemy", "cv2", "numpy", "scipy", "pyvips", "pyarrow"},
        ),
    ],
    ids=["import", "help"],
)
def test_heavy_packages_are_not_loaded_before_they_are_needed(statement, unwanted):
    code = f"import sys; {statement}; print(); print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = set(result.stdout.splitlines()[-1].split())
    assert "watermark" in loaded
    assert not unwanted & loaded
