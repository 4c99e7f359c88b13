# SPDX-License-Identifier: GPL-3.0-or-later
"""The computer that the engine runs on: its device, threads, priority and compiled operators.

Features, drags and jobs are not handled here.
"""
