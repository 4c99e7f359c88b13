# SPDX-License-Identifier: GPL-3.0-or-later
"""A program that runs the tests of this folder inside Blender, with the built zip installed.

Blender has no pytest, so these are unittest cases. In a Blender::

    blender -b --factory-startup --python-exit-code 1 -P tests/blender/run.py -- --zip Z \
        --engine-python P

and in the ``bpy`` module, ``python tests/blender/run.py --zip Z --engine-python P``. The caller
sets ``BLENDER_USER_RESOURCES`` to an empty folder, so that the settings of this machine's Blender
are neither used nor changed. For the module the variable is set here if it is missing.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
import unittest
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


def _options() -> argparse.Namespace:
    given = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]
    parser = argparse.ArgumentParser()
    parser.add_argument("--zip", type=Path, required=True, help="the built extension")
    parser.add_argument(
        "--engine-python", type=Path, required=True, help="the Python that has PyTorch"
    )
    parser.add_argument(
        "--model", default="suzanne", help="suzanne, or the path of another checkpoint"
    )
    parser.add_argument("--only", default="", help="run the tests whose names contain this")
    return parser.parse_args(given)


def _chosen(suite: unittest.TestSuite, part: str) -> list[unittest.TestCase]:
    """Return the tests whose names contain ``part``."""
    chosen: list[unittest.TestCase] = []
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            chosen += _chosen(test, part)
        elif isinstance(test, unittest.TestCase) and part in test.id():
            chosen.append(test)
    return chosen


class _TimedResult(unittest.TextTestResult):
    """A result that knows how long each test took, with what prepared and ended it."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.seconds: dict[str, float] = {}
        self._began_s = 0.0

    def startTest(self, test: unittest.TestCase) -> None:  # noqa: N802
        self._began_s = time.monotonic()
        super().startTest(test)

    def stopTest(self, test: unittest.TestCase) -> None:  # noqa: N802
        super().stopTest(test)
        self.seconds[test.id()] = time.monotonic() - self._began_s

    def print_slowest(self) -> None:
        """Print the slowest tests."""
        slowest = sorted(self.seconds.items(), key=lambda item: item[1], reverse=True)
        print("Slowest:", *(f"{took_s:6.1f} s  {name}" for name, took_s in slowest[:15]), sep="\n")


def main() -> int:
    """Install the extension, run the tests, disable it; return the exit code."""
    options = _options()
    own = None
    if "BLENDER_USER_RESOURCES" not in os.environ:
        own = tempfile.mkdtemp(prefix="draggan-user-")
        os.environ["BLENDER_USER_RESOURCES"] = own
    os.environ["DRAGGAN_ENGINE_PYTHON"] = str(options.engine_python.absolute())

    loader = unittest.TestLoader()
    loader.suiteClass = unittest.TestSuite
    suite = loader.discover(str(HERE), top_level_dir=str(HERE))
    import support  # ``discover`` has added this folder to the path

    support.install(options.zip.absolute(), options.model)
    runner = unittest.TextTestRunner(verbosity=2, resultclass=_TimedResult)
    # A test with the real engine that follows on one with the fake engine has to start it.
    tests = sorted(_chosen(suite, options.only), key=support.uses_fake_engine, reverse=True)
    result = runner.run(unittest.TestSuite(tests))
    if isinstance(result, _TimedResult):
        result.print_slowest()
    # The module of Blender 4.5 hangs when the process exits if a handler is still registered.
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
    # Not sys.exit: the exit of the ``bpy`` module can hang, and all tests have ended.
    os._exit(code)
