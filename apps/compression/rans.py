"""An entropy coder of binary decisions: rANS with 32-bit states, integers only, many streams side by side.

Duda 2013, "Asymmetric numeral systems", in the range variant. Every image has its own stream; numpy processes all of
them at once, so that the cost of a step is shared. The encoder processes the decisions backwards, the
decoder forwards. Probabilities are integers in units of 1/16384; nothing here rounds, so every machine reads the same
bits.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pocketvae.errors import DataError

PROBABILITY_BITS = 14
TOTAL = 1 << PROBABILITY_BITS
_WORD_BITS = 16
_LOW = np.uint64(1 << _WORD_BITS)
_WORD = (1 << _WORD_BITS) - 1
_MASK = np.uint64(_WORD)
_STATE_BYTES = 4
# Lanes that are faster one by one.
_FEW = 4
_TOO_EARLY = "the stream is damaged: the code of an image ends too early"

Bits = npt.NDArray[np.bool_]
Frequencies = npt.NDArray[np.int64]
Lanes = npt.NDArray[np.intp]


class RansEncoder:
    """Writes one stream per lane, from the last decision to the first."""

    def __init__(self, lanes: int, capacity: int) -> None:
        """Starts the streams.

        Args:
            lanes: Number of streams.
            capacity: The largest number of decisions in one of them.
        """
        self._states = np.full(lanes, _LOW, np.uint64)
        # A decision moves the state by PROBABILITY_BITS at most, which is less than a word.
        self._words = np.zeros((lanes, capacity + 1), np.uint16)
        self._counts = np.zeros(lanes, np.int64)

    def push(self, lanes: Lanes, starts: Frequencies, frequencies: Frequencies) -> None:
        """Encodes one symbol in each of some lanes.

        Args:
            lanes: `[K]`, which streams, without duplicates.
            starts: `[K]`, the sums of the frequencies of all smaller symbols.
            frequencies: `[K]`, the frequencies of the symbols, 1 to 16384.
        """
        states = self._states[lanes]
        wide = frequencies.astype(np.uint64)
        # 32-bit state: a word is moved out exactly where the next state would need a 33rd bit.
        full = states >= (wide << np.uint64(32 - PROBABILITY_BITS))
        if full.any():
            where = lanes[full]
            self._words[where, self._counts[where]] = (states[full] & _MASK).astype(np.uint16)
            self._counts[where] += 1
            states[full] >>= np.uint64(_WORD_BITS)
        quotient, rest = np.divmod(states, wide)
        self._states[lanes] = (quotient << np.uint64(PROBABILITY_BITS)) + rest + starts.astype(np.uint64)

    def push_bits(self, lanes: Lanes, bits: Bits, ones: Frequencies) -> None:
        """Encodes one bit in each of some lanes; `ones` is the probability of a set bit in 1/16384."""
        if len(lanes) <= _FEW:
            self._push_few(lanes, bits, ones)
            return
        self.push(lanes, np.where(bits, 0, ones), np.where(bits, ones, TOTAL - ones))

    def _push_few(self, lanes: Lanes, bits: Bits, ones: Frequencies) -> None:
        """Does the same in Python's integers, which for few lanes are faster than numpy's calls."""
        for lane, bit, one in zip(lanes.tolist(), bits.tolist(), ones.tolist(), strict=True):
            state, start, wide = int(self._states[lane]), 0 if bit else one, one if bit else TOTAL - one
            if state >= wide << 32 - PROBABILITY_BITS:
                self._words[lane, self._counts[lane]] = state & _WORD
                self._counts[lane] += 1
                state >>= _WORD_BITS
            quotient, rest = divmod(state, wide)
            self._states[lane] = (quotient << PROBABILITY_BITS) + rest + start

    def finish(self) -> list[bytes]:
        """Returns every stream: the state, then the words in the order in which they are read."""
        return [
            int(state).to_bytes(_STATE_BYTES, "little") + words[:count][::-1].astype("<u2").tobytes()
            for state, words, count in zip(self._states, self._words, self._counts, strict=True)
        ]


class RansDecoder:
    """Reads streams of `RansEncoder`, never beyond their end."""

    def __init__(self, streams: list[bytes]) -> None:
        """Opens the streams.

        Raises:
            DataError: one is too short or holds half a word.
        """
        if any(len(stream) < _STATE_BYTES or len(stream) % 2 for stream in streams):
            raise DataError("the stream is damaged: the code of an image has an impossible length")
        self._states = np.array([int.from_bytes(stream[:_STATE_BYTES], "little") for stream in streams], np.uint64)
        # One after another: a row for each would take as many times the longest, which a forged file could choose.
        self._words = np.frombuffer(b"".join(stream[_STATE_BYTES:] for stream in streams), "<u2")
        lengths = np.array([(len(stream) - _STATE_BYTES) // 2 for stream in streams], np.int64)
        self._ends = np.cumsum(lengths)
        self._next = self._ends - lengths

    def peek(self, lanes: Lanes) -> Frequencies:
        """Returns where in the symbols' cumulative frequencies the next symbol lies, `[K]`, 0 to 16383."""
        return (self._states[lanes] & np.uint64(TOTAL - 1)).astype(np.int64)

    def pop(self, lanes: Lanes, starts: Frequencies, frequencies: Frequencies) -> None:
        """Removes the symbols that `peek` returned.

        Raises:
            DataError: a stream ends too early.
        """
        states = self._states[lanes]
        position = states & np.uint64(TOTAL - 1)
        states = frequencies.astype(np.uint64) * (states >> np.uint64(PROBABILITY_BITS))
        states += position - starts.astype(np.uint64)
        empty = states < _LOW
        if empty.any():
            where = lanes[empty]
            if (self._next[where] >= self._ends[where]).any():
                raise DataError(_TOO_EARLY)
            states[empty] = (states[empty] << np.uint64(_WORD_BITS)) | self._words[self._next[where]]
            self._next[where] += 1
        self._states[lanes] = states

    def pop_bits(self, lanes: Lanes, ones: Frequencies) -> Bits:
        """Decodes one bit in each of some lanes; see `RansEncoder.push_bits`."""
        if len(lanes) <= _FEW:
            return self._pop_few(lanes, ones)
        bits: Bits = self.peek(lanes) < ones
        self.pop(lanes, np.where(bits, 0, ones), np.where(bits, ones, TOTAL - ones))
        return bits

    def _pop_few(self, lanes: Lanes, ones: Frequencies) -> Bits:
        """Does the same in Python's integers; see `RansEncoder._push_few`."""
        bits = []
        for lane, one in zip(lanes.tolist(), ones.tolist(), strict=True):
            state = int(self._states[lane])
            position = state & TOTAL - 1
            bit = position < one
            state = (one if bit else TOTAL - one) * (state >> PROBABILITY_BITS) + position - (0 if bit else one)
            if state < 1 << _WORD_BITS:
                place = int(self._next[lane])
                if place >= self._ends[lane]:
                    raise DataError(_TOO_EARLY)
                state = state << _WORD_BITS | int(self._words[place])
                self._next[lane] = place + 1
            self._states[lane] = state
            bits.append(bit)
        return np.array(bits, np.bool_)

    def check_finished(self) -> None:
        """Checks that every stream ends where it should.

        Raises:
            DataError: words are left, or the final state is not the encoder's initial one.
        """
        if (self._next != self._ends).any() or (self._states != _LOW).any():
            raise DataError("the stream is damaged: the code of an image does not end where it should")
