# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads model files, each in a process of its own: ``python corpus_runner.py FILE ...``.

For each file one line of JSON is printed: ``file``, ``seconds`` (of the processor), ``megabytes``
(what reading it added to the greatest memory use), ``message`` (the refusal; null if it was
loaded), ``error`` (the name of any other exception) and ``ran`` (what the file made Python do). The
processes are forks of one that has torch loaded.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time

import numpy as np
import torch

from stylegan2 import ModelError, load_generator

WATCHED = ("exec", "compile", "import", "os.system", "subprocess.Popen", "pickle.find_class")


def read(path: str) -> dict[str, object]:
    """Read a file and return what it cost."""
    ran: list[str] = []
    watching = [True]

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        if watching[0] and event in WATCHED:
            ran.append(event)

    sys.addaudithook(watch)
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    message, error = None, None
    try:
        load_generator(path)
    except ModelError as refusal:
        message = refusal.message
    except BaseException as other:
        error = type(other).__name__
    watching[0] = False
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {
        "file": os.path.basename(path),
        "seconds": time.process_time() - start,
        "megabytes": used / unit,
        "message": message,
        "error": error,
        "ran": ran,
    }


def main(paths: list[str]) -> None:
    """Read every file in a fork of this process."""
    torch.set_num_threads(1)
    warm = np.frombuffer(bytes(4), "<f4").astype(np.float32)
    torch.from_numpy(warm).as_strided((1,), (1,)).isfinite().all()
    for path in paths:
        sys.stdout.flush()
        child = os.fork()
        if not child:
            print(json.dumps(read(path)), flush=True)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status:
            print(json.dumps({"file": os.path.basename(path), "error": f"status {status}"}))


if __name__ == "__main__":
    main(sys.argv[1:])
