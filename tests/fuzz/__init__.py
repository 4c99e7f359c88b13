# SPDX-License-Identifier: GPL-3.0-or-later
"""Fuzz harnesses: random changes of valid files and messages, for every reader.

``python -m tests.fuzz NAME --seconds 60`` runs one; ``test_harnesses`` runs each for some seconds.
"""
