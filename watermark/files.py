"""Which files to work on, where their results go, and how a result gets its name.

Folders are walked in sorted order without following links to folders; hidden names are skipped,
and inside folders only names that end like a picture's or a film's are taken.  A file that is
named is always tried: its content decides.

Where results go (the option ``-o OUT``):

- one file: OUT is a file, unless it is a folder already or ends with a slash;
- one folder: OUT is a folder that mirrors its tree;
- several inputs: OUT is a folder; files go into it, folders under their own name.

A result is written under a hidden name beside its final one and renamed when it is complete, so no
half-written file ever stands under its final name.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from watermark.errors import MediaError, MediaTooLarge, OutputError, UnreadableMedia

__all__ = [
    "ANIMATION_SUFFIXES",
    "FILM_SUFFIXES",
    "STILL_SUFFIXES",
    "Found",
    "atomic_write",
    "find_media",
    "plan_outputs",
    "read_bytes",
    "shown",
]

STILL_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".tif", ".tiff", ".avif", ".heic", ".heif"}
)
FILM_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mxf", ".ts", ".m2ts", ".mts", ".mpg"}
    | {".mpeg", ".vob", ".ogv", ".wmv", ".flv", ".nut", ".ivf", ".y4m"}
)
# With too few colours, or no luma plane: looked for marks in, but not marked.
ANIMATION_SUFFIXES = frozenset({".gif", ".apng"})

AnyPath = str | os.PathLike[str]
OnError = Callable[[MediaError], None]


@dataclass(frozen=True, slots=True)
class Found:
    """A file to work on, and its place below the folder it was found in.

    Parameters
    ----------
    path : Path
        As reached from the input that was named.
    relative : Path
        Where a mirrored result goes below the output folder.
    """

    path: Path
    relative: Path


def shown(path: AnyPath) -> str:
    """Return a path on one line: control characters and bytes that are not text are escaped."""
    text = os.fspath(path).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )


def find_media(
    paths: Sequence[AnyPath],
    *,
    suffixes: Collection[str] = STILL_SUFFIXES | FILM_SUFFIXES,
    leave_out: AnyPath | None = None,
    on_error: OnError | None = None,
) -> Iterator[Found]:
    """Find the pictures and films named by `paths`: files as they are, folders with all below.

    Parameters
    ----------
    paths : sequence of path
        In the order in which they are to be worked on.  A name that does not exist is yielded
        all the same, so that the reader of pictures says what is wrong with it.
    suffixes : collection of str
        What names in folders end with, in small letters.
    leave_out : path, optional
        The output folder: not entered when it lies inside an input folder.
    on_error : callable, optional
        Takes the error for each folder that cannot be listed; by default it is raised.
    """
    several = len(paths) > 1
    if not all(map(os.fspath, paths)):
        error = UnreadableMedia("'': an empty name is no file; write '.' for the present folder")
        if on_error is None:
            raise error
        on_error(error)
        paths = [path for path in paths if os.fspath(path)]
    outside = _identity(leave_out) if leave_out is not None else None
    for path in map(Path, paths):
        if _is_folder(path):
            # abspath gives "." and ".." a name, and does not follow links as resolve would.
            below = Path(Path(os.path.abspath(path)).name) if several else Path()  # noqa: PTH100
            yield from _walk(path, below, suffixes, outside, on_error)
        else:
            yield Found(path, Path(path.name))


def _walk(
    folder: Path,
    below: Path,
    suffixes: Collection[str],
    outside: tuple[int, int] | None,
    on_error: OnError | None,
) -> Iterator[Found]:
    try:
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: os.fsencode(entry.name))
    except OSError as cause:
        error = UnreadableMedia(
            f"{shown(folder)}: cannot list this folder ({_why(cause)}); "
            "give yourself the right to read it"
        )
        if on_error is None:
            raise error from cause
        on_error(error)
        return
    for entry in entries:
        path = folder / entry.name
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            if outside is None or _identity(path) != outside:
                yield from _walk(path, below / entry.name, suffixes, outside, on_error)
        elif path.suffix.lower() in suffixes and not _is_folder(path):
            yield Found(path, below / entry.name)


def plan_outputs(
    paths: Sequence[AnyPath], output: AnyPath, *, on_error: OnError | None = None
) -> list[tuple[Path, Path]]:
    """Pair every input file with its output file; nothing is written yet.

    Parameters
    ----------
    paths : sequence of path
        Files and folders, as for `find_media`.
    output : path
        A file or a folder by the rules above.  A trailing slash is seen only in a ``str``.
    on_error : callable, optional
        Takes the error for each pair that is refused and each folder that cannot be listed, while
        the others go on; by default the first is raised.

    Raises
    ------
    OutputError
        If an output is one of the inputs (by name, symbolic link or hard link), or if two inputs
        have one output, or if `output` is an empty text.
    """
    text = os.fspath(output)
    if not text:
        raise OutputError("'': an empty name is no output; write '.' for the present folder")
    target = Path(text)
    single = len(paths) == 1 and not _is_folder(paths[0])
    to_file = single and not text.endswith(("/", os.sep)) and not _is_folder(target)
    if not to_file and _identity(target) is not None and not _is_folder(target):
        raise OutputError(
            f"{shown(target)}: a file, but several results go here; name a folder with -o"
        )
    found = list(find_media(paths, leave_out=None if to_file else target, on_error=on_error))
    inputs = {identity for item in found if (identity := _identity(item.path)) is not None}
    pairs: list[tuple[Path, Path]] = []
    taken: dict[str, Path] = {}
    for item in found:
        destination = target if to_file else target / item.relative
        place = os.path.realpath(destination)
        problem = None
        if _identity(destination) in inputs:
            problem = "the output is an input file; name another output with -o"
        elif place in taken:
            other = shown(taken[place])
            problem = f"{other} has the same output; mark them with two commands"
        if problem is None:
            taken[place] = item.path
            pairs.append((item.path, destination))
            continue
        error = OutputError(f"{shown(item.path)}: {problem} ({shown(destination)})")
        if on_error is None:
            raise error
        on_error(error)
    return pairs


def _is_folder(path: AnyPath) -> bool:
    """Tell whether `path` is a folder; False, and no exception, where one may not look."""
    try:
        return stat.S_ISDIR(Path(path).stat().st_mode)  # Path.is_dir raises
    except OSError:
        return False


def _identity(path: AnyPath) -> tuple[int, int] | None:
    """Return what two names of one file share, or None if there is no such file."""
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _why(error: OSError) -> str:
    return error.strerror or str(error)


def read_bytes(path: AnyPath, *, limit: int) -> bytes:
    """Read a whole file of at most `limit` bytes.

    Raises
    ------
    UnreadableMedia
        If it is missing, may not be read, or is no regular file.
    MediaTooLarge
        If it is longer than `limit`; nothing is read then.
    """
    name = shown(path)
    try:
        status = Path(path).stat()
        if stat.S_ISDIR(status.st_mode):
            raise UnreadableMedia(f"{name}: this is a folder; name a picture file")
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableMedia(f"{name}: this is a device or a pipe; name a picture file")
        if status.st_size > limit:
            raise MediaTooLarge(
                f"{name}: {status.st_size:,} bytes are more than a picture within the limit on "
                "pixels can have; raise it with --max-pixels"
            )
        return Path(path).read_bytes()
    except OSError as error:
        raise UnreadableMedia(
            f"{name}: cannot be opened ({_why(error)}); check the name and that you may read it"
        ) from error


@contextlib.contextmanager
def atomic_write(path: AnyPath, *, replace: bool = True) -> Iterator[Path]:
    """Give a temporary path beside `path`; rename it to `path` when the block ends well.

    Folders on the way are made.  The content is on the disk before the new name is.  Whatever
    ends the block early, KeyboardInterrupt included, removes the temporary file and leaves what
    stood under `path` as it was.

    Parameters
    ----------
    path : path
    replace : bool
        Whether what stands under `path` when the block ends may go, even if it was not there when
        the block began.

    Raises
    ------
    OutputError
        If the operating system refuses: a full disk, a folder that may not be written to; or if
        something stands under `path` and is not to be replaced.
    """
    final = Path(path)
    # A short name, since a long final name plus anything would pass the limit of 255 bytes.
    suffix = final.suffix if len(final.suffix) <= 8 else ""
    temporary = final.parent / f".sukashi-{secrets.token_hex(8)}{suffix}"
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _sync(temporary)
        if replace:
            temporary.replace(final)
        else:
            _name(temporary, final)
        with contextlib.suppress(OSError):  # the result stands, whatever the folder can promise
            _sync(final.parent)
    except OSError as error:
        raise OutputError(
            f"{shown(final)}: cannot be written ({_why(error)}); "
            "free some space or choose another output"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _name(temporary: Path, final: Path) -> None:
    """Give a file its final name unless that is taken; two who try at once do not both succeed."""
    try:
        os.link(temporary, final)
    except OSError as error:
        if os.path.lexists(final):
            raise OutputError(
                f"{shown(final)}: this output exists; replace it with --force or name another"
            ) from error
        temporary.replace(final)  # a file system without links


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
