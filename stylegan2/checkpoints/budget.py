# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits of the work that one file can ask for.

Every limit is several times what the largest public checkpoints need, and together they keep any
file below two seconds and 300 MB beyond the weights.
"""

from __future__ import annotations

from .refusal import damaged

# A training file of 1024 px with two optimisers has less than a hundred thousand.
MAX_OPCODES = 250_000
# Bytes of texts that are decoded at once; longer texts stay in the file.
MAX_TEXT_BYTES = 16 << 20
# Bytes of long texts that are decoded later, as a multiple of the file's size and at least as many.
LONG_TEXT_FACTOR = 3
LEAST_LONG_TEXT_BYTES = 16 << 20


class Budget:
    """Counters of the work done for one file, shared by all pickles in it.

    Args:
        opcodes: How many pickle instructions the file may have.
        file_bytes: The size of the file.
    """

    def __init__(self, opcodes: int = MAX_OPCODES, *, file_bytes: int = 0) -> None:
        # How many instructions are left. ``InertPickle`` counts them, because a call for each would
        # take longer than the instructions.
        self.opcodes = opcodes
        self._text = MAX_TEXT_BYTES
        self._long_text = max(LONG_TEXT_FACTOR * file_bytes, LEAST_LONG_TEXT_BYTES)

    def spend_text(self, size: int) -> None:
        """Count the bytes of a text that is decoded with its pickle.

        Raises:
            Refusal: The limit is exceeded.
        """
        self._text -= size
        if self._text < 0:
            raise damaged("has more text than any StyleGAN2 checkpoint")

    def spend_long_text(self, size: int) -> None:
        """Count the bytes of a text that holds the data of a tensor and is decoded now.

        Raises:
            Refusal: The limit is exceeded.
        """
        self._long_text -= size
        if self._long_text < 0:
            raise damaged("uses the same data more often than any StyleGAN2 checkpoint")
