# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the tests of this folder inside a Blender, against the built and installed zip.

Real Blenders have no pytest, so these are unittest cases. In a Blender::

    blender -b --factory-startup --python-exit-code 1 -P tests/blender/run.py -- --zip Z \
        --engine-python P

and in the ``bpy`` module, ``python tests/blender/run.py --zip Z --engine-python P``. The caller
sets ``BLENDER_USER_RESOURCES`` to an empty folder, so that nothing of this machine's Blender is
seen or touched; for the module this is done here where it was forgotten.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent


def _options() -> argparse.Namespace:
    given = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]
    parser = argparse.ArgumentParser()
    parser.add_argument("--zip", type=Path, required=True, help="the built extension")
    parser.add_argument("--engine-python", type=Path, required=True, help="has torch")
    parser.add_argument("--model", default="suzanne", help="another model than the built-in one")
    parser.add_argument("--only", default="", help="run the tests whose names contain this")
    return parser.parse_args(given)


def _chosen(suite: unittest.TestSuite, part: str) -> unittest.TestSuite:
    chosen = unittest.TestSuite()
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            chosen.addTests(_chosen(test, part))
        elif part in test.id():
            chosen.addTest(test)
    return chosen


def main() -> int:
    """Install, test, take out again; the exit code."""
    options = _options()
    own = None
    if "BLENDER_USER_RESOURCES" not in os.environ:
        own = tempfile.mkdtemp(prefix="draggan-user-")
        os.environ["BLENDER_USER_RESOURCES"] = own
    os.environ["DRAGGAN_ENGINE_PYTHON"] = str(options.engine_python.absolute())

    loader = unittest.TestLoader()
    loader.suiteClass = unittest.TestSuite
    suite = loader.discover(str(HERE), top_level_dir=str(HERE))
    import support  # discover has put this folder on the path

    support.install(options.zip.absolute(), options.model)
    result = unittest.TextTestRunner(verbosity=2).run(_chosen(suite, options.only))
    # Blender 4.5's module hangs at its exit if a handler is left.
    support.disable()
    if own is not None:
        shutil.rmtree(own, ignore_errors=True)
    if not result.testsRun:
        print("No test was run", file=sys.stderr)
        return 1
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Not sys.exit: what is tested has ended by now, and a module's exit can hang in Blender.
    os._exit(code)
