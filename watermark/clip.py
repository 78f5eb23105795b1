"""Deciding on a clip: its frames are added up, aligned as one, and looked at again as they come.

A `Watch` takes frames one at a time.  After 1, 2, 4, 8 … of them it looks: the sum of all frames,
whole and mirrored and inside borders, is decided on; after 8, 64, 512 … and at the end the pilot is
searched for in it as in a picture.  At the end shots in which no alignment that is known so far
shows the pilot are searched by themselves, and the parts of the clip are decided on
(`watermark.timeline`).

What is decided on is chosen by the pilot and the pictures alone, and is charged; looks and parts
are charged in `watermark.sequential`.  The sum of all frames and the parts have half of the error
probability each; of a clip that is known to be short the sum has most of it, and so has the last
look, since neither parts nor looks on the way have much to tell there.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from watermark.align import described, same_as, whole_frame
from watermark.blind import aligned
from watermark.coding import codeword, decode
from watermark.decide import Hypothesis, decide, needed_z, shares, soft_word
from watermark.detect import Search, hypotheses, observe_luma
from watermark.detection import Detection, Found
from watermark.embed import delta
from watermark.evidence import Evidence, Observation
from watermark.frame import Luma
from watermark.homography import scaling
from watermark.identify import Codebook
from watermark.key import Key
from watermark.profile import DEFAULT, Profile
from watermark.reel import Reel
from watermark.sequential import Looks, charged, merged
from watermark.timeline import Stretch, Way, pilot_z, stretches

__all__ = ["Judgement", "Watch"]

_SUM, _SUM_OF_SHORT = 0.5, 0.875  # of the error probability; the parts have the others
_LAST_OF_SHORT = 0.8  # of that, for the last look
_SURE_PILOT = 16.0  # z from which an alignment is tried on all parts; in noise searches reach 14
_SHOWN = 4.0  # z of a pilot at a known place that explains a shot
_WAYS = 4  # that a search may add, for each key
_SHOTS = 8  # searched by themselves, at most
_TRACKS = 4  # of what is found in one of them are decided on
_LARGE = 10_000  # registered marks: comparing with fewer takes no time
_READABLE = 7.8  # z, below any that is significant among so many
_PROBES = 4  # frames on which it is tried what a mark would show
_SAFETY = 2.0  # z, as in `watermark.detect`


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is known of a clip after a look.

    Parameters
    ----------
    detection : Detection
        Of the whole; alignments in pixels of the shown frame.
    parts : tuple of Stretch
        Without gaps; empty unless it was asked for them.
    points : tuple of tuples of float
        Seconds and log p-value around them.
    frames, looks : int
        How many there were.
    """

    detection: Detection
    parts: tuple[Stretch, ...]
    points: tuple[tuple[float, float], ...]
    frames: int
    looks: int


class Watch:
    """A clip as it is being looked at.

    Parameters
    ----------
    keys : sequence of Key
        At least one.
    codebook, work_index
        As `watermark.decide.decide` takes them.
    search : str
        ``fast``: no search for the pilot; ``full``.
    profile : Profile
    short : bool
        Whether the clip is known to be short before anything of it was decided on; it can be looked
        at for the last time once.
    """

    def __init__(
        self,
        keys: Sequence[Key],
        codebook: Codebook | None = None,
        *,
        work_index: NDArray[np.integer] | None = None,
        search: Search = "full",
        profile: Profile = DEFAULT,
        short: bool = False,
    ) -> None:
        self.keys, self.codebook, self.work_index = keys, codebook, work_index
        self.search, self.profile = search, profile
        self.reel, self.looks = Reel(profile), Looks(kept=_LAST_OF_SHORT if short else 0.0)
        self._sum = _SUM_OF_SHORT if short else _SUM

    def add(self, time: float, plane: Luma, *, key: bool = False, share: float = 1.0) -> bool:
        """Take a frame as it is shown, and say whether it is time to look."""
        self.reel.add(time, plane, key=key, share=share)
        return self.looks.due(self.reel.frames)

    def again(self) -> None:
        """Forget all frames, but not the looks that were paid for: they will come anew."""
        self.reel = Reel(self.profile)

    def look(self, *, last: bool = False, until: float | None = None) -> Judgement:
        """Decide on all frames so far.

        Parameters
        ----------
        last : bool
            Whether none will follow: all is searched, and the clip's parts are decided on.
        until : float, optional
            Log p-value at which none need follow: parts of what was seen are decided on, and what
            is seen at once is not searched for.
        """
        frames = self.reel.frames
        if not frames:
            raise ValueError("there is no frame to decide on")
        log_look = self.looks.charge(last=last)
        # 8, 64, 512 …: a search takes as long as many frames.
        often = self.looks.due(frames) and frames > 1 and frames.bit_length() % 3 == 1
        tried = self._plain(last=last)
        plain = len(tried)
        wanted = until is None or not self._shows(tried)
        if self.search == "full" and wanted and (last or often):
            # On the way the mark's own scale alone: the others take several times as long.
            scales = self.reel.scales()
            tried += self._searched(scales, bends=True) if last else self._searched_base(scales)
        ways: list[Way] = []
        if last:
            ways = self._ways(tried, plain)
            if self.search == "full" and wanted:
                tried += self._searched_shots(ways)
        whole = charged(self._decided(tried), log_look - float(np.log(self._sum)))
        parts: list[Stretch] = []
        points: list[tuple[float, float]] = []
        sure = until is not None and whole.best.log_p <= until
        if last or sure:
            ways = ways or self._ways(tried, plain)
            parts, points = stretches(
                self.reel.tiles,
                ways,
                self.codebook,
                self.profile,
                work_index=self.work_index,
                cuts=self.reel.cuts,
                log_more=log_look - float(np.log1p(-self._sum)),
            )
            whole = merged(whole, [each.found for each in parts if each.found is not None])
            whole = self._inconclusive(whole) if last else whole
        return Judgement(
            self._in_pixels(whole),
            tuple(
                each if each.found is None else replace(each, found=self._placed(each.found))
                for each in parts
            ),
            tuple(points),
            frames,
            self.looks.taken,
        )

    def _decided(self, tried: Sequence[Hypothesis]) -> Detection:
        """Decide on all of these, and ask a large registry only where something can be read.

        No registered number fits better than the best of all numbers, which is found at once.
        """
        every = shares(tried)
        kept = np.ones(len(tried), bool)
        if self.codebook is not None and len(self.codebook) > _LARGE:
            soft = np.stack([soft_word(each.evidence, each.key, each.profile) for each in tried])
            words = np.stack([codeword(int(number)) for number in decode(soft)])
            read = (soft * words).sum(axis=1)
            least = min(_READABLE, float(read.max()))
            kept = read >= least
        detection = decide(
            [each for each, stays in zip(tried, kept, strict=True) if stays],
            self.codebook,
            work_index=self.work_index,
            given=every[kept],
        )
        return replace(detection, alignments=len(tried))

    def _plain(self, *, last: bool) -> list[Hypothesis]:
        """Return what needs no search."""
        total = self.reel.total()
        tried = hypotheses(total, self.keys, profile=self.profile)
        for alignment in self.reel.borders(of_shots=last):
            tile = self.reel.along_total(alignment)
            for key in self.keys:
                evidence = Evidence(tile, total.frames, key.fingerprint, str(self.profile))
                tried.append(Hypothesis(evidence, alignment, key, self.profile, plain=True))
        return tried

    def _shows(self, tried: Sequence[Hypothesis]) -> bool:
        """Say whether the pilot of one of these is so plain that no search is needed."""
        rated = (pilot_z(each.evidence.tile, each.key, self.profile) for each in tried)
        return max(rated) >= _SURE_PILOT

    def _searched_base(self, scales: Iterable[Observation]) -> list[Hypothesis]:
        """Search on the mark's own scale, and for no strong perspective."""
        return self._searched(itertools.islice(scales, 1), bends=False)

    def _searched(self, scales: Iterable[Observation], *, bends: bool) -> list[Hypothesis]:
        """Return what the pilot shows, of each key in turn."""
        found = aligned(scales, self.keys, self.profile, bends=bends, parts=bends)
        return [
            Hypothesis(evidence, alignment, key, self.profile)
            for key, seen in zip(self.keys, found, strict=True)
            for alignment, evidence in seen
        ]

    def _ways(self, tried: Sequence[Hypothesis], plain: int) -> list[Way]:
        """Return what is to be tried on parts: what needs no search, and what is surely there."""
        ways = [self._way(each) for each in tried[:plain]]
        self._take(ways, tried[plain:])
        return ways

    def _way(self, where: Hypothesis) -> Way:
        return Way(where.alignment, where.key, self.reel.along(where.alignment))

    def _take(self, ways: list[Way], found: Sequence[Hypothesis]) -> None:
        """Add to the ways what is surely there and not known yet; by the pilot alone."""
        tile = self.profile.tile
        rated = [(pilot_z(each.evidence.tile, each.key, self.profile), each) for each in found]
        for key in self.keys:
            new = 0
            for strength, each in sorted(rated, key=lambda pair: -pair[0]):
                known = [way.alignment for way in ways if way.key == key]
                if each.key != key or strength < _SURE_PILOT or new >= _WAYS:
                    continue
                if same_as(each.alignment, known, tile) is None:
                    ways.append(self._way(each))
                    new += 1

    def _searched_shots(self, ways: list[Way]) -> list[Hypothesis]:
        """Search shots in which no way shows a pilot, the longest first, and add to the ways."""
        slots = self.reel.tiles
        lengths: dict[int, int] = {}
        for slot in slots:
            lengths[slot.shot] = lengths.get(slot.shot, 0) + slot.frames
        if len(lengths) < 2:
            return []
        tried: list[Hypothesis] = []
        searched = 0
        for shot in sorted(lengths, key=lambda each: -lengths[each]):
            own = [place for place, slot in enumerate(slots) if slot.shot == shot]
            known = (pilot_z(way.tiles[own].sum(axis=0), way.key, self.profile) for way in ways)
            if searched >= _SHOTS or max(known) >= _SHOWN:
                continue
            if self.reel.shot(shot) is None:  # of a long film short shots are added up
                continue
            searched += 1
            found = self._searched_base(self.reel.scales(shot))
            self._take(ways, found)
            found.sort(key=lambda each: -pilot_z(each.evidence.tile, each.key, self.profile))
            tried += found[:_TRACKS]
        return tried

    def _inconclusive(self, whole: Detection) -> Detection:
        """Say so where the clip could not have shown a mark."""
        if whole.verdict != "not-found":
            return whole
        needed = needed_z(whole.log_trials) + _SAFETY
        return whole if self._showable() >= needed else replace(whole, verdict="inconclusive")

    def _showable(self) -> float:
        """Return the z that a fresh mark would have in the frames that were kept."""
        planes = [plane.astype(np.float32) for _, _, plane in self.reel.planes[:_PROBES]]
        digest = hashlib.sha256(b"sukashi probe" + self.reel.planes[0][2].tobytes()).digest()
        probe, number = Key(digest), int.from_bytes(digest[:6], "big")
        seen = [
            observe_luma(plane + delta(plane, probe, number, profile=self.profile), coded=True)
            for plane in planes
        ]
        upright, *_ = hypotheses(sum(seen[1:], seen[0]), [probe], profile=self.profile)
        return float(soft_word(upright.evidence, probe, self.profile) @ codeword(number))

    def _in_pixels(self, whole: Detection) -> Detection:
        best = self._placed(whole.best)
        found = tuple(self._placed(each) for each in whole.found)
        return replace(whole, best=best, found=found)

    def _placed(self, found: Found) -> Found:
        """Return a finding whose alignment is in pixels of the shown frame, with a name."""
        known = same_as(found.alignment, whole_frame(self.reel.total()), self.profile.tile)
        placed = found.alignment.seen_from(scaling(self.reel.scale), self.reel.shape[::-1])
        name = placed.name or (known.name if known else described(placed))
        return replace(found, alignment=replace(placed, name=name))
