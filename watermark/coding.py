"""Mark numbers as code words: 48 bits of payload spread over 256 code bits.

The code is a tail-biting convolutional code of memory 10.
Each three steps of the shift register take three payload bits and give 5 + 5 + 6 = 16 code bits,
so 48 payload bits, the most significant first, give exactly 256; the register starts in the state
in which it ends, and no bit is spent on flushing it.
The 256 bits are then put into a fixed pseudo-random order, so that bits lost together in the
picture are not neighbours in the trellis.

Conventions: a *mark number* is an integer in [0, 2**48).
A code bit 0 is the sign +1 and a code bit 1 is −1.
A *packed* code word is ``np.packbits`` of its 256 bits, 32 bytes.
A *soft word* has 256 real numbers, positive where the bit is likelier to be 0, in any unit.
There is no check sum: every word is a code word of some number, and whether a mark is there at all
is decided by its score.

The 16 polynomials were the best of 400 drawn at random, by the smallest distance between two code
words (36; ``python -m bench.code_distance``), and then by the distance of every code word from the
complement of every other (70), so that a subtracted mark does not look like somebody else's.
They and the order are never edited: marks made with them are out in the world.
"""

from __future__ import annotations

import hashlib
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from watermark.errors import PayloadError

__all__ = [
    "CODE_BITS",
    "PACKED_BYTES",
    "PAYLOAD_BITS",
    "check_numbers",
    "check_soft",
    "codeword",
    "decode",
    "encode",
    "unpack",
]

PAYLOAD_BITS = 48
CODE_BITS = 256
PACKED_BYTES = CODE_BITS // 8

_MEMORY = 10
_STATES = 1 << _MEMORY
# Bit 10 of a polynomial taps the newest payload bit, bit 0 the oldest.  All have both ends set,
# which makes the four branches of a butterfly share one metric up to its sign.
_POLYNOMIALS = (
    (0o3677, 0o2443, 0o3525, 0o2423, 0o3347),
    (0o3715, 0o2511, 0o2733, 0o3341, 0o2415),
    (0o3317, 0o2633, 0o2307, 0o3337, 0o2025, 0o2157),
)
_PERIODS = PAYLOAD_BITS // len(_POLYNOMIALS)
_ORDER_TAG = b"sukashi code order v1"
_WARM_UP_ROUNDS = 2  # once around forgets the unknown start, the second time is kept
_START_STATES = 4  # near the threshold a fifth one changes fewer than one word in a thousand
_DECODER_WORDS = 32  # words decoded side by side; their metrics stay in a 2 MB cache


def check_numbers(numbers: ArrayLike) -> NDArray[np.uint64]:
    """Return mark numbers as a one-dimensional uint64 array.

    Raises
    ------
    PayloadError
        If one of them is not an integer of 48 bits.
    """
    array = np.atleast_1d(np.asarray(numbers))
    if array.ndim != 1:
        raise ValueError(f"mark numbers form one list, these have shape {array.shape}")
    if array.size == 0:
        return np.zeros(0, np.uint64)
    if array.dtype.kind not in "iuO" or (
        array.dtype.kind == "O"
        and not all(isinstance(n, int) and not isinstance(n, bool) for n in array)
    ):
        raise PayloadError("a mark number is an integer; give it as one, not as text or a fraction")
    outside = array[(array < 0) | (array >= 1 << PAYLOAD_BITS)]
    if outside.size:
        raise PayloadError(
            f"mark number {outside[0]} is outside 48 bits; use a number from 0 to 2**48 - 1"
        )
    return array.astype(np.uint64)


def check_soft(soft: ArrayLike) -> NDArray[np.float64]:
    """Return soft words as a float64 array of shape (B, 256); one word becomes a batch of one.

    Raises
    ------
    ValueError
        If the last axis is not 256 long, or a value is not finite.
    """
    words = np.atleast_2d(np.asarray(soft, np.float64))
    if words.ndim != 2 or words.shape[1] != CODE_BITS:
        raise ValueError(f"soft words have shape (B, {CODE_BITS}), these have {np.shape(soft)}")
    if not np.isfinite(words).all():
        raise ValueError("a soft word holds a value that is not finite")
    return words


def encode(numbers: ArrayLike) -> NDArray[np.uint8]:
    """Return the packed code words of mark numbers.

    Parameters
    ----------
    numbers : array_like of int, shape (N,)
        Mark numbers.

    Returns
    -------
    ndarray of uint8, shape (N, 32)

    Raises
    ------
    PayloadError
        If a number is outside 48 bits.
    """
    payload = check_numbers(numbers)
    words = np.zeros((payload.size, PACKED_BYTES // 8), np.uint64)
    for place, table in enumerate(_byte_tables()):
        byte = (payload >> np.uint64(8 * place)) & np.uint64(0xFF)
        words ^= table[byte.astype(np.intp)]
    return words.view(np.uint8)


def unpack(packed: NDArray[np.uint8]) -> NDArray[np.int8]:
    """Return packed code words of shape (..., 32) as signs ±1, int8 of shape (..., 256)."""
    bits = np.unpackbits(packed, axis=-1).view(np.int8)
    return (1 - 2 * bits).astype(np.int8)


def codeword(number: int) -> NDArray[np.int8]:
    """Return the code word of one mark number as 256 signs ±1 (int8).

    Raises
    ------
    PayloadError
        If `number` is outside 48 bits.
    """
    return unpack(encode([number])[0])


def decode(soft: ArrayLike) -> NDArray[np.uint64]:
    """Return the mark numbers whose code words correlate best with soft words.

    The Viterbi algorithm runs around the tail-biting trellis twice, starting from all states alike.
    What survives names the few states in which the word can begin and end; a last round is then run
    for each of them with both ends held there, and the best closed path wins.
    This is not quite maximum likelihood, and at a frame error rate of 1e-2 cannot be told from it.

    Parameters
    ----------
    soft : array_like of float, shape (B, 256) or (256,)
        Soft words in any unit.

    Returns
    -------
    ndarray of uint64, shape (B,)

    Raises
    ------
    ValueError
        If the shape is wrong or a value is not finite.
    """
    words = check_soft(soft)
    numbers = np.empty(len(words), np.uint64)
    for start in range(0, len(words), _DECODER_WORDS):
        part = slice(start, start + _DECODER_WORDS)
        numbers[part] = _decode_side_by_side(words[part])
    return numbers


def _decode_side_by_side(words: NDArray[np.float64]) -> NDArray[np.uint64]:
    # The metrics are float32, which has room for any unit once the largest value is 1.
    scale = np.maximum(np.abs(words).max(axis=1, keepdims=True), np.finfo(np.float64).tiny)
    branches = _branch_metrics((words / scale).astype(np.float32))
    count = len(words)
    column = np.arange(count)

    metric = np.zeros((_STATES, count), np.float32)
    for _ in range(_WARM_UP_ROUNDS):
        metric, choices = _round(metric, branches)
    _, origin = _trace(choices, np.broadcast_to(np.arange(_STATES)[:, None], metric.shape))
    promise = np.full((_STATES, count), -np.inf, np.float32)
    np.maximum.at(promise, (origin, column), metric)

    best = np.full(count, -np.inf, np.float32)
    numbers = np.zeros(count, np.uint64)
    for _ in range(_START_STATES):
        state = promise.argmax(axis=0)
        live = np.flatnonzero(promise[state, column] > -np.inf)
        if live.size == 0:
            break
        held = state[live]
        promise[held, live] = -np.inf
        metric = np.full((_STATES, live.size), -np.inf, np.float32)
        metric[held, np.arange(live.size)] = 0
        metric, choices = _round(metric, [b[:, :, live] for b in branches])
        found, _ = _trace(choices, held[None])
        score = metric[held, np.arange(live.size)]
        better = score > best[live]
        best[live[better]] = score[better]
        numbers[live[better]] = found[0, better]
    return numbers


def _branch_metrics(words: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Correlate each step's soft bits with the branch labels: per phase (16, 512, B)."""
    in_order = words[:, _order()].reshape(len(words), _PERIODS, -1)
    metrics = []
    first = 0
    for labels in _branch_labels():
        bits = in_order[:, :, first : first + labels.shape[1]]
        metrics.append(np.ascontiguousarray(np.einsum("sn,bpn->psb", labels, bits)))
        first += labels.shape[1]
    return metrics


def _round(
    metric: NDArray[np.float32], branches: list[NDArray[np.float32]]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Go once around the trellis: add, compare, select.

    Returns the metrics (states, B) at the end, and which of its two predecessors each state chose
    after each step (48, states, B).
    """
    half = _STATES // 2
    choices = np.empty((PAYLOAD_BITS, *metric.shape), np.bool_)
    spare = np.empty_like(metric)
    metric = metric.copy()
    for step in range(PAYLOAD_BITS):
        branch = branches[step % len(branches)][step // len(branches)]
        even, odd = metric[0::2], metric[1::2]
        # A state's predecessors are 2i and 2i + 1; both ends of every polynomial are set, so a
        # change of the oldest or of the newest bit turns all the branch's code bits over.
        for target, sign in ((slice(None, half), branch), (slice(half, None), -branch)):
            stay, turn = even + sign, odd - sign
            np.greater(turn, stay, out=choices[step, target])
            np.maximum(stay, turn, out=spare[target])
        metric, spare = spare, metric
    return metric, choices


def _trace(
    choices: NDArray[np.bool_], state: NDArray[np.intp]
) -> tuple[NDArray[np.uint64], NDArray[np.intp]]:
    """Follow paths that end in `state` (K, B) back to the start of the round.

    Returns the payloads along them and the states in which they began, both (K, B).
    """
    column = np.arange(choices.shape[2])
    numbers = np.zeros(state.shape, np.uint64)
    for step in range(PAYLOAD_BITS - 1, -1, -1):
        newest = (state >> (_MEMORY - 1)).astype(np.uint64)
        numbers |= newest << np.uint64(PAYLOAD_BITS - 1 - step)
        state = ((state << 1) & (_STATES - 1)) | choices[step, state, column]
    return numbers, state


@cache
def _order() -> NDArray[np.intp]:
    """Where each bit of the trellis stands in the code word: a permutation of 256."""
    drawn = np.frombuffer(hashlib.shake_256(_ORDER_TAG).digest(8 * CODE_BITS), ">u8")
    return np.argsort(drawn.astype(np.uint64), kind="stable")


@cache
def _branch_labels() -> tuple[NDArray[np.float32], ...]:
    """Code signs of a step from the even state 2i with payload bit 0: per phase (512, n)."""
    register = np.arange(0, _STATES, 2, dtype=np.uint16)
    return tuple(
        np.stack([1 - 2 * _parity(register & np.uint16(g)).astype(np.float32) for g in group], 1)
        for group in _POLYNOMIALS
    )


def _parity(values: NDArray[np.uint16]) -> NDArray[np.uint8]:
    octets = np.ascontiguousarray(values).view(np.uint8).reshape(-1, 2)
    return np.asarray(np.unpackbits(octets, axis=1).sum(axis=1) & 1, np.uint8)


@cache
def _byte_tables() -> NDArray[np.uint64]:
    """Packed code words of each value of each payload byte, least significant byte first."""
    rows = np.zeros((PAYLOAD_BITS, CODE_BITS), np.uint8)  # one for each payload bit, newest first
    for step in range(PAYLOAD_BITS):
        for delay in range(_MEMORY + 1):
            later = (step + delay) % PAYLOAD_BITS
            period, phase = divmod(later, len(_POLYNOMIALS))
            first = 16 * period + sum(len(group) for group in _POLYNOMIALS[:phase])
            for place, polynomial in enumerate(_POLYNOMIALS[phase]):
                rows[step, first + place] ^= (polynomial >> (_MEMORY - delay)) & 1
    placed = np.empty_like(rows)
    placed[:, _order()] = rows
    packed = np.packbits(placed[::-1], axis=1).view(np.uint64).reshape(6, 8, -1)
    tables: NDArray[np.uint64] = np.zeros((6, 256, packed.shape[2]), np.uint64)
    for bit in range(8):
        holds = (np.arange(256) >> bit) & 1 == 1
        tables[:, holds] ^= packed[:, bit, None]
    return tables
