"""Numbered files: the frames of a sequence, by the patterns that other tools write.

A pattern is a path whose last part has one field for the number: ``%05d``, ``%d``, ``#####`` or
``@@@@@``; a sign ``%`` before anything else but ``%`` or a field stands for itself, and ``%%`` is
one.  Folders are taken as they are called.  ``%05d`` has at least five digits with zeros in front,
``%d`` never a zero in front; signs are counted, so ``####`` is ``%04d``, and one alone is ``%d``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from watermark.errors import UnreadableMedia
from watermark.files import AnyPath, shown

__all__ = ["SEQUENCE_SUFFIXES", "Numbered", "Pattern", "find", "group", "is_pattern"]

SEQUENCE_SUFFIXES = frozenset({".png", ".tif", ".tiff", ".exr", ".dpx"})

_PERCENT = re.compile(r"%%|%(0?)(\d*)d")
_SIGNS = (re.compile("#+"), re.compile("@+"))
_DIGITS = re.compile(r"[0-9]+")
_NAMED = 5  # of the missing numbers
_LONGEST = 18  # digits: a number of more is a date and a time, or a hash


@dataclass(frozen=True, slots=True)
class Numbered:
    """One file of a sequence.

    Parameters
    ----------
    number : int
    path : Path
    """

    number: int
    path: Path


@dataclass(frozen=True, slots=True)
class Pattern:
    """What the names of a sequence's files have in common.

    Parameters
    ----------
    folder : Path
    prefix, suffix : str
        Before and after the number; neither holds a slash.
    digits : int
        At least so many; 1 for numbers without zeros in front.
    """

    folder: Path
    prefix: str
    digits: int
    suffix: str

    @classmethod
    def parse(cls, text: AnyPath) -> Pattern:
        """Read a pattern.

        Raises
        ------
        UnreadableMedia
            If the last part of it has no field, or several.
        """
        folder, name = os.path.split(os.fspath(text))
        fields = [each for each in _PERCENT.finditer(name) if each[0] != "%%"]
        for signs in _SIGNS:
            fields = fields or list(signs.finditer(name))
        if len(fields) != 1:
            what = f"{len(fields)} fields for a number" if fields else "no field for a number"
            raise UnreadableMedia(
                f"{shown(text)}: {what} in the name; write one, as in shot_%05d.exr"
            )
        (field,) = fields
        percent = field[0][0] == "%"
        if percent and field[2] and not field[1]:
            raise UnreadableMedia(
                f"{shown(text)}: {field[0]} pads with spaces; write %0{field[2]}d"
            )
        digits = int(field[2] or 1) if percent else len(field[0])
        before, after = name[: field.start()], name[field.end() :]
        if percent:
            before, after = before.replace("%%", "%"), after.replace("%%", "%")
        return cls(Path(folder), before, max(1, digits), after)

    def __str__(self) -> str:
        field = "%d" if self.digits == 1 else f"%0{self.digits}d"
        plain = (self.prefix.replace("%", "%%"), self.suffix.replace("%", "%%"))
        return os.fspath(self.folder / field.join(plain))

    def name(self, number: int) -> str:
        """Return the file name of a number."""
        return f"{self.prefix}{number:0{self.digits}d}{self.suffix}"

    def path(self, number: int) -> Path:
        """Return the path of a number."""
        return self.folder / self.name(number)

    def number(self, name: str) -> int | None:
        """Return the number in a file name, or None if the name does not fit."""
        end = len(name) - len(self.suffix)
        if end <= len(self.prefix) or not name.endswith(self.suffix):
            return None
        text = name[len(self.prefix) : end]
        if not (name.startswith(self.prefix) and _DIGITS.fullmatch(text)):
            return None
        return int(text) if self.name(int(text)) == name else None


def is_pattern(path: AnyPath) -> bool:
    """Tell whether a path is to be read as a pattern: it has a field, and no file is called so."""
    name = os.path.split(os.fspath(path))[1]
    fields = any(each[0] != "%%" for each in _PERCENT.finditer(name))
    return (fields or any(signs.search(name) for signs in _SIGNS)) and not os.path.lexists(path)


def find(
    pattern: AnyPath | Pattern,
    *,
    first: int | None = None,
    last: int | None = None,
    gaps: bool = False,
) -> list[Numbered]:
    """Find the files of a sequence.

    Parameters
    ----------
    pattern : path or Pattern
    first, last : int, optional
        The range of numbers, both included; by default all that there are.
    gaps : bool
        Whether numbers may be missing in the range.

    Returns
    -------
    list of Numbered
        In the order of their numbers, at least one.

    Raises
    ------
    UnreadableMedia
        If the folder cannot be listed, no file fits, or numbers are missing.
    """
    wanted = pattern if isinstance(pattern, Pattern) else Pattern.parse(pattern)
    name = shown(str(wanted))
    if first is not None and last is not None and first > last:
        raise UnreadableMedia(f"{name}: frames {first} to {last} are none; give the smaller first")
    try:
        names = [each.name for each in wanted.folder.iterdir()]
    except OSError as error:
        raise UnreadableMedia(
            f"{shown(wanted.folder)}: cannot list this folder ({error.strerror or error}); "
            "check its name and that you may read it"
        ) from error
    there = sorted(number for each in names if (number := wanted.number(each)) is not None)
    if not there:
        raise UnreadableMedia(f"{name}: no file is called so; {_advice(wanted, names)}")
    low = there[0] if first is None else first
    high = there[-1] if last is None else last
    inside = [number for number in there if low <= number <= high]
    if not inside:
        raise UnreadableMedia(
            f"{name}: no frame of that range is there; there are {there[0]} to {there[-1]}"
        )
    absent = high - low + 1 - len(inside)
    if absent and not gaps:
        numbers = _first_missing(low, high, set(inside))
        more = f" and {absent - len(numbers)} more" if absent > len(numbers) else ""
        raise UnreadableMedia(
            f"{name}: of frames {low} to {high}, {', '.join(map(str, numbers))}{more} "
            f"{'is' if absent == 1 else 'are'} missing; "
            "render what is missing, or name a range that is whole"
        )
    return [Numbered(number, wanted.path(number)) for number in inside]


def group(folder: AnyPath) -> tuple[list[Pattern], list[Path]]:
    """Find the sequences below a folder: two files or more that differ in their number only.

    The last number of a name is tried first, then those before it.  Hidden names, and folders
    that are links, are skipped.

    Returns
    -------
    patterns : list of Pattern
        Of PNG, TIFF, EXR and DPX files, folder by folder, each in the order of names.
    others : list of Path
        All other files, in the same order.

    Raises
    ------
    UnreadableMedia
        If a folder cannot be listed.
    """
    patterns: list[Pattern] = []
    others: list[Path] = []
    try:
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: os.fsencode(entry.name))
    except OSError as error:
        raise UnreadableMedia(
            f"{shown(folder)}: cannot list this folder ({error.strerror or error}); "
            "check its name and that you may read it"
        ) from error
    entries = [entry for entry in entries if not entry.name.startswith(".")]
    deeper = [entry for entry in entries if entry.is_dir(follow_symlinks=False)]
    names = [entry.name for entry in entries if not entry.is_dir()]
    left = [name for name in names if Path(name).suffix.lower() in SEQUENCE_SUFFIXES]
    place = 1
    while left:
        found, left, more = _grouped(Path(folder), left, place)
        patterns += found
        if not more:
            break
        place += 1
    grouped = {name for each in patterns for name in names if each.number(name) is not None}
    others += [Path(folder, name) for name in names if name not in grouped]
    patterns.sort(key=lambda each: os.fsencode(each.prefix + each.suffix))
    for entry in deeper:
        below = group(entry.path)
        patterns += below[0]
        others += below[1]
    return patterns, others


def _grouped(
    folder: Path, names: Iterable[str], place: int
) -> tuple[list[Pattern], list[str], bool]:
    """Group names by their `place`-th number from the right.

    Returns
    -------
    patterns : list of Pattern
    left : list of str
        Names in none of them.
    more : bool
        Whether any of those has a number further left.
    """
    around: dict[tuple[str, str], list[str]] = {}
    left, more = [], False
    for name in names:
        runs = list(_DIGITS.finditer(Path(name).stem))
        if place > len(runs) or len(runs[-place][0]) > _LONGEST:
            left.append(name)
            more |= place < len(runs)
            continue
        run = runs[-place]
        around.setdefault((name[: run.start()], name[run.end() :]), []).append(name)
    patterns = []
    for (prefix, suffix), alike in around.items():
        remaining = alike
        # Padded numbers show their width by a zero in front; what fits no width is not padded.
        lengths = {len(name) - len(prefix) - len(suffix) for name in alike}
        for digits in sorted(lengths | {1}, reverse=True):
            pattern = Pattern(folder, prefix, digits, suffix)
            fits = {name for name in remaining if pattern.number(name) is not None}
            padded = any(name[len(prefix)] == "0" for name in fits)
            if len(fits) > 1 and (padded or digits == 1):
                patterns.append(pattern)
                remaining = [name for name in remaining if name not in fits]
        left += remaining
        more |= any(place < len(_DIGITS.findall(Path(name).stem)) for name in remaining)
    return patterns, left, more


def _first_missing(low: int, high: int, there: set[int]) -> list[int]:
    missing: list[int] = []
    number = low
    while number <= high and len(missing) < _NAMED:
        if number not in there:
            missing.append(number)
        number += 1
    return missing


def _advice(wanted: Pattern, names: Iterable[str]) -> str:
    """Say which number of digits would have found files, if one would."""
    for name in sorted(names):
        text = name[len(wanted.prefix) : len(name) - len(wanted.suffix)]
        if _DIGITS.fullmatch(text) and name == f"{wanted.prefix}{text}{wanted.suffix}":
            field = f"%0{len(text)}d" if text[0] == "0" and len(text) > 1 else "%d"
            return f"frames here are numbered {field}, as in {shown(name)}"
    return "check the name and how many digits its numbers have"
