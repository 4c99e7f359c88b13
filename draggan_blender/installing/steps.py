# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of an installation, in order: each can be repeated, and what it has done is kept.

A new environment is made beside the one in use. It becomes the one in use when it has passed its
self-test, by the replacement of one small file; only then the old one is removed.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

from . import bundle, checks, commands, packages, pythons, record, uv
from .commands import Network
from .downloads import PAUSE_S, Wanted, Watcher, fetch, is_whole, make_opener
from .locking import only_one
from .machine import Machine
from .places import WINDOWS_LONGEST, Places, longest_path, python_in
from .problems import InstallError, from_os_error, from_tool_output
from .progress import Progress
from .record import Record
from .request import InstallRequest
from .running import run
from .sizes import size_in_words
from .variants import Facts, Lock, Locks, backend, read_lock

# What an installation needs beside the packages: uv and a Python.
_TOOLS_BYTES = 150_000_000


class Installer:
    """One installation.

    Args:
        request: What the person asked for.
        machine: This computer.
        progress: Progress and cancelling.
        pause_s: The pause before a download is tried again, in seconds.
    """

    def __init__(
        self,
        request: InstallRequest,
        machine: Machine,
        progress: Progress,
        *,
        pause_s: float = PAUSE_S,
    ) -> None:
        self._request, self._machine, self._progress = request, machine, progress
        self._places = Places(Path(request.user))
        self._pause_s = pause_s
        self._env = commands.environment(
            os.environ,
            Network(request.index, request.proxy),
            pythons=self._places.pythons,
            cache=self._places.scratch / "uv",
        )
        if not request.online:
            self._env["UV_OFFLINE"] = "1"
        # The same settings for urllib.
        os.environ.update({key: self._env[key] for key in self._env if key.endswith("_PROXY")})
        os.environ.update({key: self._env[key] for key in self._env if key.endswith("_proxy")})

    # ------------------------------------------------------------ what can be asked for

    def install(self) -> Record:
        """Install the engine, or install it anew, and return its record.

        Raises:
            InstallError: It cannot be installed; the engine before it is still in use.
            CancelledError: The person has cancelled; what was downloaded is kept.
        """
        with self._at_work():
            facts = bundle.read(Path(self._request.bundle)) if self._request.bundle else None
            variant = facts["variant"] if facts else self._variant()
            lock, known = self._locks().require(variant, self._machine)
            before = record.read(self._places)
            self._check_room(known)
            self._sweep()
            wanted = self._taken_over(facts, lock) if facts else None
            program = self._uv()
            self._progress.step("python", "Finding a Python for the engine")
            base, version = self._python(program, known, facts)
            environment = self._places.environments / f"e{secrets.token_hex(4)}"
            if self._machine.system == "windows":
                self._check_length(environment)
            try:
                self._make_environment(program, base, environment)
                if wanted is None:
                    wanted = self._packages(program, lock, variant, environment, version)
                    path = packages.list_path(self._places.downloads, lock, version)
                    self._download(wanted, path, known)
                packages.save_list(
                    packages.list_path(self._places.downloads, lock, version), wanted
                )
                self._fill(program, lock, wanted, environment)
                made = self._verified(environment, variant, lock, version)
                record.write(self._places, made)
            finally:
                stays = before is not None and self._request.keep_old
                self._sweep(keep=before.environment if before is not None and stays else "")
            return made

    def save_bundle(self) -> str:
        """Write a bundle of the installed variant and return a sentence.

        Raises:
            InstallError: A file is missing and cannot be downloaded, or the folder is not writable.
            CancelledError: The person has cancelled.
        """
        with self._at_work():
            stored = record.read(self._places)
            python = record.installed_python(self._places, self._machine)
            if stored is None or python is None:
                raise InstallError("other_bundle", detail="no engine is installed here")
            lock, known = self._locks().require(stored.variant, self._machine)
            path = packages.list_path(self._places.downloads, lock, stored.python)
            program = self._uv()
            environment = self._places.environments / stored.environment
            wanted = self._packages(program, lock, stored.variant, environment, stored.python)
            self._download(wanted, path, known)
            allowed_uv = self._uv_hashes()
            wheel = uv.kept_wheel(self._places.downloads, allowed_uv)
            if wheel is None:
                raise InstallError("other_bundle", detail="the program uv was not downloaded here")
            self._progress.step("bundle", "Writing the bundle")
            size = bundle.save(
                Path(self._request.bundle),
                variant=stored.variant,
                machine=self._machine,
                python=stored.python,
                lock=lock,
                wanted=wanted,
                uv_wheel=wheel,
                places=self._places,
                should_stop=self._progress.should_stop,
            )
            return f"Saved a bundle of {size_in_words(size)} in {self._request.bundle}"

    def remove(self) -> str:
        """Remove all that was installed and downloaded, and return a sentence.

        Raises:
            InstallError: A file cannot be removed, or another installer is at work.
        """
        with self._at_work():
            self._progress.step("remove", "Removing the engine")
            folder, freed = self._places.engine, 0
            # First the record: an engine of which files are missing must not be started.
            self._places.record.unlink(missing_ok=True)
            for path in sorted(folder.iterdir()):
                if path != self._places.lock:
                    freed += _size_of(path)
                    _remove(path)
            return f"Removed the engine: {size_in_words(freed)} in {folder}"

    # ------------------------------------------------------------ steps

    @contextlib.contextmanager
    def _at_work(self) -> Iterator[None]:
        places = self._places
        try:
            with only_one(places.lock):
                for folder in (places.environments, places.downloads, places.tools, places.scratch):
                    folder.mkdir(parents=True, exist_ok=True)
                yield
        except OSError as error:
            raise from_os_error(error, str(places.engine)) from error

    def _locks(self) -> Locks:
        return Locks(self._request.requirements)

    def _variant(self) -> str:
        return self._request.variant or self._locks().best(self._machine)

    def _uv_hashes(self) -> frozenset[str]:
        return read_lock(self._request.requirements / "uv.lock").hashes["uv"]

    def _uv(self) -> Path:
        self._progress.step("tools", "Getting the program that installs packages (uv)")
        if not self._request.online and not self._has_uv():
            raise InstallError("online_access")
        return uv.ensure_uv(
            self._places, self._request.requirements, self._machine, self._env, self._progress
        )

    def _has_uv(self) -> bool:
        kept = uv.kept_wheel(self._places.downloads, self._uv_hashes())
        return kept is not None or self._places.uv(self._machine.system).is_file()

    def _python(
        self, program: Path, known: Facts, facts: dict[str, object] | None
    ) -> tuple[str, str]:
        versions = (str(facts["python"]),) if facts else known.pythons
        # A bundle may have brought the archive of a Python.
        may_fetch = self._request.online or any((self._places.pythons / "archives").glob("*.tar.*"))
        return pythons.find_python(
            program,
            versions,
            self._places,
            self._machine,
            self._env,
            self._progress,
            online=may_fetch,
        )

    def _taken_over(self, facts: dict[str, object], lock: Lock) -> list[Wanted]:
        files = facts["files"]
        assert isinstance(files, dict)
        folder = Path(self._request.bundle)
        total = sum(_size_of(folder / name) for name in files)
        self._progress.step("download", "Copying the bundle", total=total)
        return bundle.take_over(
            folder,
            facts,
            lock,
            self._machine,
            self._places,
            self._progress.add_bytes,
            self._progress.should_stop,
        )

    def _make_environment(self, program: Path, base: str, environment: Path) -> None:
        self._run(commands.make_environment(program, base, environment), "the environment")

    def _packages(
        self, program: Path, lock: Lock, variant: str, environment: Path, version: str
    ) -> list[Wanted]:
        """Return the files that the lock needs, from the kept list or from the index."""
        kept = packages.kept_list(packages.list_path(self._places.downloads, lock, version), lock)
        if kept is not None and (self._request.online or self._are_whole(kept)):
            return kept
        if not self._request.online:
            raise InstallError("online_access")
        self._progress.step("list", "Asking the package index")
        own_source = commands.has_own_source(self._env)
        out = self._places.scratch / "pylock.toml"
        command = commands.list_packages(
            program,
            lock.path,
            python_in(environment, self._machine.system),
            out,
            "" if own_source else backend(variant, self._machine),
        )
        out.unlink(missing_ok=True)
        self._run(command, "the packages")
        return packages.read_pylock(out.read_text(encoding="utf-8"), lock)

    def _are_whole(self, wanted: list[Wanted]) -> bool:
        return all(is_whole(self._places.downloads / item.name, item) for item in wanted)

    def _download(self, wanted: list[Wanted], list_path: Path, known: Facts) -> None:
        total = sum(item.size for item in wanted)
        if not all(item.size for item in wanted):  # an index of a person's own need not say them
            total = max(total, known.download_bytes)
        self._progress.step("download", "Downloading packages", total=total)
        watcher = Watcher(self._progress.add_bytes, self._progress.should_stop, self._pause_s)
        opener = make_opener()
        # The largest last: a problem of the index or the disk shows early.
        for item in sorted(wanted, key=lambda item: item.size):
            self._progress.detail(item.name.split("-")[0])
            try:
                fetch(item, self._places.downloads, watcher, opener)
            except InstallError as error:
                if error.kind == "missing":
                    # The list may be older than the index: ask it again the next time.
                    list_path.unlink(missing_ok=True)
                raise

    def _fill(self, program: Path, lock: Lock, wanted: list[Wanted], environment: Path) -> None:
        """Install the packages into the environment, if the disk has room for them."""
        unpacked = sum(_unpacked_size(self._places.downloads / item.name) for item in wanted)
        self._require_free(unpacked)
        self._progress.step("install", f"Unpacking packages, {size_in_words(unpacked)}")
        python = python_in(environment, self._machine.system)
        folder = self._places.downloads
        self._run(commands.install_packages(program, lock.path, python, folder), "the packages")

    def _verified(self, environment: Path, variant: str, lock: Lock, version: str) -> Record:
        self._progress.step("verify", "Testing the engine with a drag")
        verdict = checks.self_test(
            python_in(environment, self._machine.system),
            Path(self._request.root),
            device="cpu" if variant == "cpu" else "auto",
            env=self._env,
            folder=self._places.scratch,
            progress=self._progress,
            system=self._machine.system,
        )
        return Record(
            environment=environment.name,
            variant=variant,
            lock_sha256=lock.sha256,
            python=version,
            torch=verdict.torch,
            device=verdict.device,
            device_name=verdict.device_name,
            step_ms=verdict.step_ms,
            failed_device=verdict.failed_device,
            failure=verdict.failure,
        )

    # ------------------------------------------------------------ helpers

    def _run(self, command: list[str], name: str) -> None:
        code, text = run(
            command,
            env=self._env,
            folder=self._places.engine,
            progress=self._progress,
            system=self._machine.system,
        )
        if code:
            raise from_tool_output(text, name=name)

    def _check_room(self, known: Facts) -> None:
        have = _size_of(self._places.downloads)
        self._require_free(max(0, known.disk_bytes + _TOOLS_BYTES - have))

    def _require_free(self, needed: int) -> None:
        free = shutil.disk_usage(self._places.engine).free
        if free < needed:
            detail = f"{size_in_words(needed)} are needed, and {size_in_words(free)} are free"
            raise InstallError("disk_full", detail=detail)

    def _check_length(self, environment: Path) -> None:
        length = longest_path(environment)
        if length > WINDOWS_LONGEST and not _allows_long_paths():
            raise InstallError("long_path", detail=str(length))

    def _sweep(self, keep: str = "") -> None:
        """Remove environments that are not in use, and what only an installation needs."""
        stored = record.read(self._places)
        used = {keep, stored.environment if stored is not None else ""}
        for path in self._places.environments.iterdir():
            if path.name not in used:
                # One that another Blender still uses (Windows) is removed the next time.
                with contextlib.suppress(InstallError):
                    _remove(path)
        with contextlib.suppress(InstallError):
            _remove(self._places.scratch)
        self._places.scratch.mkdir(exist_ok=True)


def _unpacked_size(wheel: Path) -> int:
    with zipfile.ZipFile(wheel) as archive:
        return sum(entry.file_size for entry in archive.infolist())


def _size_of(path: Path) -> int:
    if path.is_file() and not path.is_symlink():
        return path.stat().st_size
    return sum(
        file.stat().st_size for file in path.rglob("*") if file.is_file() and not file.is_symlink()
    )


def _remove(path: Path) -> None:
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise from_os_error(error, str(path)) from error


def _allows_long_paths() -> bool:
    """Return whether this Windows is set to allow paths of more than 259 characters."""
    try:
        import winreg

        key = r"SYSTEM\CurrentControlSet\Control\FileSystem"
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, key) as opened:  # type: ignore[attr-defined,unused-ignore]
            value, _ = winreg.QueryValueEx(opened, "LongPathsEnabled")  # type: ignore[attr-defined,unused-ignore]
    except (ImportError, OSError):
        return False
    return bool(value)
