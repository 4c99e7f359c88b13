# SPDX-License-Identifier: GPL-3.0-or-later
"""The generator network: configuration, mapping, synthesis and layers.

Model files are read in ``checkpoints``; the tensor operations are in ``ops``.
"""
