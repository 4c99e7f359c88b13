# SPDX-License-Identifier: GPL-3.0-or-later
"""Installing the engine: an environment of its own with PyTorch, in the extension's user folder.

The work is done in a child process (``__main__``), which ``child`` starts and follows, so that
Blender does not wait. Everything here uses the standard library only, and runs in any Python from
3.11 on, in Blender's own as well.
"""
