# SPDX-License-Identifier: GPL-3.0-or-later
"""The machine: device, threads, priority, compiled operators."""
