"""Every constant of the mark, in one frozen value with a string form.

A mark outlives our defaults, so each one is stored with the profile it was made with, as an Argon2
hash stores its parameters.  A released profile is never edited: a better one gets a new name.
Until the video work has landed, profiles are drafts and may change.

All lengths are in pixels of the canonical grid (short side `short`), all amplitudes in 8-bit code
values of luma.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, fields

from watermark.errors import ProfileError

__all__ = ["DEFAULT", "DRAFT_1", "PROFILES", "Profile"]

_WAVELETS = ("haar", "db2", "db4", "sym4", "sym8", "coif1")  # orthonormal
_LARGEST_TILE = 1024
_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?(e-?[0-9]+)?\Z")
_FORM = re.compile(r"\$sukashi\$([a-z0-9-]+)\$((?:[a-z_0-9]+=[^,$=]+)(?:,[a-z_0-9]+=[^,$=]+)*)\Z")


@dataclass(frozen=True, slots=True)
class Profile:
    """The frozen parameters of a mark and of what observes it.

    Parameters
    ----------
    name : str
        Lower-case letters, digits and hyphens.
    short : int
        Short side of the canonical grid.
    tile : int
        Side of the square tile that is repeated over the frame, a multiple of 8.
        Not 128: photo editors leave a pattern of that period (arXiv 2401.01366).
    wavelet : str
        Orthonormal wavelet of the message, as PyWavelets names it.
    gain2, gain3 : float
        Amplitude of a chip on wavelet levels 2 and 3, relative.
    weight2, weight3 : float
        Weight of a chip of those levels in the detector.
    pilot : float
        Share of the tile's energy in the pilot, in [0, 1).
    lines : int
        Number of sinusoids of the pilot.
    line_low, line_high : float
        Their range of frequencies in cycles per pixel.
    flat : float
        Root mean square of the mark where the host is flat, at most.
    rise : float
        How fast that limit rises with the host's activity, code values per code value.
    beside : float
        The same, code values per code value of contrast within 5 × 5 pixels.
    cap : float
        Root mean square of the mark anywhere, at most.
    floor, offset, power : float
        Shape of the mask: the larger of `floor` and ((activity + offset)/(1 + offset))^power.
    target, lean : float
        Visibility that the mask's model is to predict for a frame that is half flat, in units of
        the model, and how much more of it a flat frame gets, in [0, 2).
    small : float
        How much more a small frame gets: (720 / short side) to this power.
    reach : int
        The residual: side of the bilateral filter's window, odd.
    near, alike : float
        Its standard deviations, in pixels and in code values.
    pool, noise : float
        Standard deviation of the blur that pools the residual's energy, and the variance added to
        that energy.
    """

    name: str
    short: int
    tile: int
    wavelet: str
    gain2: float
    gain3: float
    weight2: float
    weight3: float
    pilot: float
    lines: int
    line_low: float
    line_high: float
    flat: float
    rise: float
    beside: float
    cap: float
    floor: float
    offset: float
    power: float
    target: float
    lean: float
    small: float
    reach: int
    near: float
    alike: float
    pool: float
    noise: float

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9-]+", self.name):
            raise ValueError(
                f"a profile's name has lower-case letters, digits, hyphens: {self.name}"
            )
        if self.tile <= 0 or self.tile % 8 or self.tile == 128:
            raise ValueError("the tile's side is a positive multiple of 8 other than 128")
        if self.wavelet not in _WAVELETS or self.tile > _LARGEST_TILE:
            raise ValueError(f"the wavelet is one of {', '.join(_WAVELETS)}, the tile at most 1024")
        numbers = [getattr(self, item.name) for item in fields(self)[1:] if item.name != "wavelet"]
        if not all(math.isfinite(number) and number >= 0 for number in numbers):
            raise ValueError("every number of a profile is finite and not negative")
        if not (64 <= self.short <= 4096 and 1 <= self.lines <= 256 and self.reach % 2 == 1):
            raise ValueError("short side 64 to 4096, 1 to 256 pilot lines, an odd reach")
        if min(self.near, self.alike, self.pool, self.noise) == 0:
            raise ValueError("the residual's deviations and its noise are above 0")
        if not 0 <= self.pilot < 1:
            raise ValueError("the pilot's share of the energy is at least 0 and below 1")
        if not 0 < self.line_low < self.line_high <= 0.5:
            raise ValueError("pilot frequencies lie between 0 and 0.5 cycles per pixel, in order")

    def __str__(self) -> str:
        """Return the self-describing form, e.g. ``$sukashi$draft-1$short=512,tile=136,…``."""
        pairs = (f"{item.name}={getattr(self, item.name)}" for item in fields(self)[1:])
        return f"$sukashi${self.name}${','.join(pairs)}"

    @classmethod
    def parse(cls, text: str) -> Profile:
        """Read the form that ``str`` gives, or the name of a standard profile.

        Raises
        ------
        ProfileError
            If the text is neither, or a parameter is missing, unknown or out of range.
        """
        if text in PROFILES:
            return PROFILES[text]
        form = _FORM.match(text)
        if form is None:
            raise ProfileError(
                f"{text!r} is no profile; use one of {', '.join(PROFILES)} "
                "or the full form that 'sukashi work export' shows"
            )
        pairs = [pair.split("=") for pair in form[2].split(",")]
        kinds = {item.name: item.type for item in fields(cls)[1:]}
        if [name for name, _ in pairs] != list(kinds):
            raise ProfileError(
                f"profile {form[1]!r} does not have the parameters this version knows; "
                "update sukashi, or check that the string is whole"
            )
        if not all(name == "wavelet" or _NUMBER.match(value) for name, value in pairs):
            raise ProfileError(f"profile {form[1]!r} has a parameter that is no plain number")
        readers = {"int": int, "float": float, "str": str}
        try:
            values = {name: readers[str(kinds[name])](value) for name, value in pairs}
            return cls(form[1], **values)
        except ValueError as error:
            raise ProfileError(f"profile {form[1]!r} cannot be used: {error}") from error


DRAFT_1 = Profile(
    name="draft-1",
    short=512,
    tile=136,  # 8 × 17: shares only multiples of 1/8 with patterns of period 64, 128, 256
    wavelet="sym4",
    gain2=1.0,
    gain3=1.5,
    weight2=1.0,
    weight3=1.0,
    pilot=0.2,
    lines=20,
    line_low=0.12,
    line_high=0.26,
    flat=0.74,
    rise=1.5,
    beside=0.5,
    cap=6.0,
    floor=0.6,
    offset=0.5,
    power=0.5,
    target=0.13,
    lean=0.9,
    small=0.4,
    reach=7,
    near=2.0,
    alike=12.0,
    pool=2.5,
    noise=0.1,
)

PROFILES = {profile.name: profile for profile in (DRAFT_1,)}
DEFAULT = DRAFT_1
