# SPDX-License-Identifier: GPL-3.0-or-later
"""The command lines and environments of the programs that an installation runs.

Pure functions of their arguments, so that those for Windows and macOS can be tested anywhere. An
argument is an item of a list, never a part of a shell's line, so blanks and other characters in
paths need no quotes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

CREATE_NO_WINDOW = 0x08000000
CREATE_NEW_PROCESS_GROUP = 0x00000200

# Variables of pip that uv has under another name. What the person has set for pip counts for both.
_OF_PIP = {
    "PIP_INDEX_URL": "UV_DEFAULT_INDEX",
    "PIP_EXTRA_INDEX_URL": "UV_INDEX",
    "PIP_FIND_LINKS": "UV_FIND_LINKS",
    "PIP_CERT": "SSL_CERT_FILE",
    "PIP_PROXY": "ALL_PROXY",
}
# Variables that would lead another Python, or another environment, into the installation.
_SCRUBBED = ("LD_PRELOAD", "DYLD_INSERT_LIBRARIES", "VIRTUAL_ENV", "CONDA_PREFIX", "UV_PYTHON")


@dataclass(frozen=True, slots=True)
class Network:
    """How the person wants packages to be fetched; empty texts for the usual way.

    Attributes:
        index: The address of a package index that replaces the usual one, or a folder of wheels.
        proxy: The address of a proxy, possibly with a name and a password.
    """

    index: str = ""
    proxy: str = ""

    @property
    def is_folder(self) -> bool:
        """Whether ``index`` is a folder of wheels and not an address."""
        return bool(self.index) and "://" not in self.index


def environment(
    inherited: Mapping[str, str], network: Network, *, pythons: PurePath, cache: PurePath
) -> dict[str, str]:
    """Return the environment of pip and uv.

    Args:
        inherited: The environment of this process: proxies, certificates and indexes in it count.
        network: The person's settings, which come before it.
        pythons: The folder for a downloaded Python.
        cache: The folder for uv's own files, on the same disk as the environment.
    """
    kept = {
        name: value
        for name, value in inherited.items()
        if not name.upper().startswith("PYTHON") and name not in _SCRUBBED
    }
    for of_pip, of_uv in _OF_PIP.items():
        if kept.get(of_pip):
            kept.setdefault(of_uv, kept[of_pip])
    if network.proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"):
            kept[name] = network.proxy
    if network.is_folder:
        kept["UV_FIND_LINKS"] = kept["PIP_FIND_LINKS"] = network.index
        kept["UV_NO_INDEX"] = kept["PIP_NO_INDEX"] = "1"
    elif network.index:
        kept["UV_DEFAULT_INDEX"] = kept["PIP_INDEX_URL"] = network.index
    return {
        **kept,
        "PYTHONNOUSERSITE": "1",
        "UV_PYTHON_INSTALL_DIR": str(pythons),
        "UV_PYTHON_CACHE_DIR": str(pythons / "archives"),
        "UV_CACHE_DIR": str(cache),
        "UV_NO_CONFIG": "1",
        "UV_NO_PROGRESS": "1",
        "UV_SYSTEM_CERTS": kept.get("UV_SYSTEM_CERTS", "1"),
        "NO_COLOR": "1",
    }


def has_own_source(env: Mapping[str, str]) -> bool:
    """Return whether packages come from an index or folder of the person's, by ``environment``."""
    return any(env.get(name) for name in ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_FIND_LINKS"))


def popen_options(system: str) -> dict[str, Any]:
    """Return the options of ``Popen``: no console window, and a group that can be ended."""
    if system == "windows":
        return {"creationflags": CREATE_NO_WINDOW | CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def installer_command(python: PurePath | str, root: PurePath) -> list[str]:
    """Return the command of the installer's own process.

    Args:
        python: Blender's own Python.
        root: The folder that holds ``draggan_blender``.
    """
    main = root / "draggan_blender" / "installing" / "__main__.py"
    # -I: neither the current folder nor PYTHONPATH decide which code runs.
    return [str(python), "-I", "-u", str(main)]


def make_pip(python: PurePath | str, folder: PurePath) -> list[str]:
    """Return the command that makes an environment with the pip that Python brings."""
    return [str(python), "-I", "-m", "venv", "--clear", str(folder)]


def pip_download(python: PurePath | str, lock: PurePath, folder: PurePath) -> list[str]:
    """Return the command that downloads the pinned wheel of uv with pip."""
    checked = ["--require-hashes", "--only-binary", ":all:", "--no-deps", "-r", str(lock)]
    quiet = ["--disable-pip-version-check", "--no-input", "--progress-bar", "off"]
    return [str(python), "-I", "-m", "pip", "download", *quiet, *checked, "-d", str(folder)]


def python_install(uv: PurePath, version: str) -> list[str]:
    """Return the command that downloads a Python for the engine."""
    return [str(uv), "python", "install", "--managed-python", "--no-bin", version]


def python_find(uv: PurePath, version: str, *, managed: bool) -> list[str]:
    """Return the command that prints the path of a Python, downloaded or the system's."""
    kind = "--managed-python" if managed else "--no-managed-python"
    return [str(uv), "python", "find", "--no-project", "--no-python-downloads", kind, version]


def make_environment(uv: PurePath, python: PurePath | str, folder: PurePath) -> list[str]:
    """Return the command that makes an empty environment, which may be moved later."""
    base = ["--no-project", "--no-python-downloads", "--relocatable", "--clear"]
    return [str(uv), "venv", *base, "--python", str(python), str(folder)]


def list_packages(
    uv: PurePath, lock: PurePath, python: PurePath, out: PurePath, backend: str
) -> list[str]:
    """Return the command that writes the addresses of a lock's packages as a ``pylock.toml``.

    Args:
        uv: The program.
        lock: The lock file.
        python: The environment's interpreter, which decides which files fit.
        out: The file to write.
        backend: uv's name of PyTorch's own index for the variant; empty for none.
    """
    own = ["--torch-backend", backend] if backend else []
    what = ["--no-deps", "--generate-hashes", "--only-binary", ":all:", "--no-header", *own]
    form = ["--format", "pylock.toml", "-o", str(out)]
    return [str(uv), "pip", "compile", *what, "--python", str(python), *form, str(lock)]


def install_packages(uv: PurePath, lock: PurePath, python: PurePath, folder: PurePath) -> list[str]:
    """Return the command that installs a lock's packages from a folder, without the network."""
    source = ["--offline", "--no-index", "--find-links", str(folder), "--only-binary", ":all:"]
    checked = ["--no-deps", "--require-hashes", "--reinstall"]
    return [str(uv), "pip", "install", *source, *checked, "--python", str(python), "-r", str(lock)]


def self_test(python: PurePath, root: PurePath, device: str) -> list[str]:
    """Return the command that drags a point of the built-in model in the new environment."""
    main = root / "engine" / "__main__.py"
    return [str(python), "-I", "-u", str(main), "selftest", "--device", device]


# Run with a Python that the person has chosen; prints one line of JSON.
_CHECK = """
import importlib.util, json, sys
names = sys.argv[1].split(",")
lacks = [name for name in names if importlib.util.find_spec(name) is None]
print(json.dumps({"version": list(sys.version_info[:3]), "lacks": lacks}))
"""


def check_python(python: PurePath, modules: tuple[str, ...]) -> list[str]:
    """Return the command with which a Python says its version and which modules it lacks."""
    return [str(python), "-I", "-c", _CHECK, ",".join(modules)]
