"""Which of a million registered marks a soft word agrees with best.

A `Codebook` keeps the code words of all registered marks in memory, 64 bytes a mark: packed, by
rows for whole batches and by columns of 16 bits for single words.
A few words are scored by looking up partial sums of 16 bits at a time; a batch is one matrix
product with the code words unpacked block by block, so memory does not grow with the registry.

A *score* is ``soft @ codeword``, in z units when the soft word is.
Given the soft word, the score of a mark whose number was drawn without regard to the picture has
mean 0 and the soft word's norm as its standard deviation; the `Ranking` counts everything in that
unit and keeps, beside the best few, all scores above 2.5 of it, for `watermark.attribution`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from watermark.coding import CODE_BITS, check_numbers, check_soft, encode, unpack

__all__ = ["Codebook", "Ranking"]

_COLUMNS = CODE_BITS // 16
_LOOKUP_WORDS = 6  # up to here lookups are faster than unpacking the code words
_LOOKUP_BLOCK = 131072  # marks; indices, sums and a table together fit a 2 MB cache
_PRODUCT_BLOCK = 2048  # marks; 2 MB once unpacked
_KEEP_ALL = 32768  # marks; a smaller codebook keeps every score
_CUT = 2.5  # norms; one random mark in 160 scores more

# Signs of the 8 bits of each byte, first bit first.
_BYTE_SIGNS = unpack(np.arange(256, dtype=np.uint8)[:, None]).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """The best marks of each soft word, and how the others are distributed.

    Parameters
    ----------
    indices : ndarray of intp, shape (B, top)
        Positions in the codebook, best first.
    scores : ndarray of float64, shape (B, top)
        Their exact scores.
    high_indices, high_scores : tuples of B ndarrays
        Every mark that scores above `cut`, in no order; float32 scores.
    cut : ndarray of float64, shape (B,)
        −inf where every mark is among the high ones.
    norms : ndarray of float64, shape (B,)
        Norms of the soft words.
    marks : int
        Size of the codebook.
    """

    indices: NDArray[np.intp]
    scores: NDArray[np.float64]
    high_indices: tuple[NDArray[np.intp], ...]
    high_scores: tuple[NDArray[np.float32], ...]
    cut: NDArray[np.float64]
    norms: NDArray[np.float64]
    marks: int

    def of(self, row: int) -> Ranking:
        """Return the ranking of one of the words alone."""
        one = slice(row, row + 1)
        return Ranking(
            self.indices[one],
            self.scores[one],
            self.high_indices[one],
            self.high_scores[one],
            self.cut[one],
            self.norms[one],
            self.marks,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Codebook:
    """The code words of registered marks, ready to be compared.

    Parameters
    ----------
    numbers : array_like of int, shape (M,)
        Mark numbers, each once, in any order; positions in it are what a `Ranking` speaks of.

    Raises
    ------
    PayloadError
        If a number is outside 48 bits.
    ValueError
        If a number is there twice.
    """

    numbers: NDArray[np.uint64]
    packed: NDArray[np.uint8] = field(init=False, repr=False)
    _columns: NDArray[np.uint16] = field(init=False, repr=False)
    _sorter: NDArray[np.intp] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        numbers = check_numbers(self.numbers)
        sorter = np.argsort(numbers)
        ordered = numbers[sorter]
        twice = np.flatnonzero(ordered[1:] == ordered[:-1])
        if twice.size:
            raise ValueError(f"mark {int(ordered[twice[0]]):012x} is in the codebook twice")
        packed = encode(numbers)
        columns = np.ascontiguousarray(packed.view("<u2").T)
        for name, array in (
            ("numbers", numbers),
            ("packed", packed),
            ("_columns", columns),
            ("_sorter", sorter),
        ):
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    def __len__(self) -> int:
        return len(self.numbers)

    def find(self, numbers: ArrayLike) -> NDArray[np.intp]:
        """Return the positions of mark numbers, −1 where a number is not registered.

        Raises
        ------
        PayloadError
            If a number is outside 48 bits.
        """
        wanted = check_numbers(numbers)
        if len(self) == 0:
            return np.full(wanted.size, -1, np.intp)
        place = np.searchsorted(self.numbers, wanted, sorter=self._sorter)
        position = self._sorter[np.minimum(place, len(self) - 1)]
        return np.where(self.numbers[position] == wanted, position, -1)

    def codewords(self, indices: ArrayLike) -> NDArray[np.int8]:
        """Return the code words at positions `indices` of any shape, as signs (..., 256)."""
        return unpack(self.packed[np.asarray(indices, np.intp)])

    def scores(self, soft: ArrayLike) -> NDArray[np.float32]:
        """Return the scores of all marks, shape (B, M), good to about 1e-6 of the norm.

        The result takes 4 B M bytes; `rank` does without it.
        """
        words = check_soft(soft)
        result = np.empty((len(words), len(self)), np.float32)
        for start, block in self._blocks(words):
            result[:, start : start + len(block)] = block.T
        return result

    def rank(self, soft: ArrayLike, *, top: int = 8) -> Ranking:
        """Find the best marks for each soft word.

        Parameters
        ----------
        soft : array_like of float, shape (B, 256) or (256,)
            Soft words; one word is a batch of one.
        top : int
            How many marks to list for each; fewer if the codebook is smaller.

        Raises
        ------
        ValueError
            If a soft word has the wrong shape or a value that is not finite.
        """
        words = check_soft(soft)
        norms = np.sqrt(np.square(words).sum(axis=1))
        top = min(top, len(self))
        cut = np.full(len(words), -np.inf) if len(self) <= _KEEP_ALL else _CUT * norms
        found = self._above(words, cut)
        for row, (indices, _) in enumerate(found):
            if indices.size < top:  # a soft word of a few large bits has few different scores
                every = self.scores(words[row])[0]
                cut[row], found[row] = -np.inf, (np.arange(len(self)), every)
        best = np.empty((len(words), top), np.intp)
        exact = np.empty((len(words), top))
        for row, (indices, values) in enumerate(found):
            best[row], exact[row] = self._exact_top(words[row], indices, values, top)
        return Ranking(
            indices=best,
            scores=exact,
            high_indices=tuple(indices for indices, _ in found),
            high_scores=tuple(values for _, values in found),
            cut=cut,
            norms=norms,
            marks=len(self),
        )

    def best(self, soft: ArrayLike) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Return the position and the score of the best mark of each soft word.

        As `rank` would with ``top=1``, for less where there are many words.
        """
        words = check_soft(soft)
        if not len(self):
            raise ValueError("there is no mark in the codebook")
        found = np.zeros(len(words), np.intp)
        highest = np.full(len(words), -np.inf, np.float32)
        for start, block in self._blocks(words):
            # A maximum is cheap; where it stands is asked only for the few words that it is new to.
            high = block.max(axis=0)
            for row in np.flatnonzero(high > highest):
                found[row] = start + int(block[:, row].argmax())
            np.maximum(highest, high, out=highest)
        return found, (self.codewords(found) * words).sum(axis=1)

    def _above(
        self, words: NDArray[np.float64], cut: NDArray[np.float64]
    ) -> list[tuple[NDArray[np.intp], NDArray[np.float32]]]:
        """Return positions and scores of the marks that score above `cut`, for each word."""
        marks, rows, values = [], [], []
        for start, block in self._blocks(words):
            mark, row = np.divmod(np.flatnonzero(block > cut.astype(np.float32)), len(words))
            marks.append(mark + start)
            rows.append(row)
            values.append(block[mark, row])
        if not marks:
            return [(np.zeros(0, np.intp), np.zeros(0, np.float32)) for _ in words]
        word_of = np.concatenate(rows)
        order = np.argsort(word_of.astype(np.int32), kind="stable")
        bounds = np.cumsum(np.bincount(word_of, minlength=len(words)))[:-1]
        return list(
            zip(
                np.split(np.concatenate(marks)[order], bounds),
                np.split(np.concatenate(values)[order], bounds),
                strict=True,
            )
        )

    def _exact_top(
        self,
        word: NDArray[np.float64],
        indices: NDArray[np.intp],
        values: NDArray[np.float32],
        top: int,
    ) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        spare = min(2 * top, indices.size)  # so that float32 rounding cannot hide one of the best
        chosen = indices[np.argpartition(-values, spare - 1)[:spare]] if spare else indices
        exact = self.codewords(chosen) @ word
        order = np.lexsort((chosen, -exact))[:top]  # equal scores in the order of the codebook
        return chosen[order], exact[order]

    def _blocks(self, words: NDArray[np.float64]) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Yield a start and the scores (m, B) of the marks from there on.

        The array is written over when the next block is asked for.
        """
        if len(words) <= _LOOKUP_WORDS:
            yield from self._blocks_by_lookup(words)
        else:
            yield from self._blocks_by_product(words)

    def _blocks_by_lookup(
        self, words: NDArray[np.float64]
    ) -> Iterator[tuple[int, NDArray[np.float32]]]:
        tables = _partial_sums(words)
        size = min(_LOOKUP_BLOCK, len(self))
        place = np.empty(size, np.intp)
        part = np.empty(size, np.float32)
        buffer = np.empty((len(words), size), np.float32)
        for start in range(0, len(self), _LOOKUP_BLOCK):
            count = min(size, len(self) - start)
            block = buffer[:, :count]
            for column in range(_COLUMNS):
                np.copyto(place[:count], self._columns[column, start : start + count])
                for total, table in zip(block, tables[:, column], strict=True):
                    # 'clip' spares a checked copy of the result; 16 bits cannot be outside.
                    if column == 0:
                        table.take(place[:count], out=total, mode="clip")
                    else:
                        table.take(place[:count], out=part[:count], mode="clip")
                        np.add(total, part[:count], out=total)
            yield start, block.T

    def _blocks_by_product(
        self, words: NDArray[np.float64]
    ) -> Iterator[tuple[int, NDArray[np.float32]]]:
        single = words.astype(np.float32)
        size = min(_PRODUCT_BLOCK, len(self))
        signs = np.empty((size, CODE_BITS // 8, 8), np.float32)
        block = np.empty((size, len(words)), np.float32)
        for start in range(0, len(self), _PRODUCT_BLOCK):
            count = min(size, len(self) - start)
            rows = self.packed[start : start + count]
            _BYTE_SIGNS.take(rows, axis=0, out=signs[:count], mode="clip")
            # Marks by words, not words by marks: the same product in three quarters of the time.
            np.matmul(signs[:count].reshape(count, CODE_BITS), single.T, out=block[:count])
            yield start, block[:count]


def _partial_sums(words: NDArray[np.float64]) -> NDArray[np.float32]:
    """Sum each 16 soft bits under all their sign patterns: (B, 16, 65536), low byte first."""
    octets = words.reshape(len(words), -1, 8).astype(np.float32) @ _BYTE_SIGNS.T
    sums = octets[:, 1::2, :, None] + octets[:, 0::2, None, :]
    return sums.reshape(len(words), _COLUMNS, -1)
