# SPDX-License-Identifier: GPL-3.0-or-later
"""Installations with the real uv from a local index: whole, resumed, repaired, and with faults."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from draggan_blender.installing import record
from draggan_blender.installing.locking import only_one
from draggan_blender.installing.places import python_in
from draggan_blender.installing.problems import CancelledError, InstallError
from draggan_blender.installing.variants import Locks

from .conftest import MACHINE, Bench
from .wheels import FAKE_ENGINE, Faults, sha256

SYSTEM_PATH = "/usr/bin:/bin:/usr/sbin:/sbin"
TORCH = "torch-1.0-py3-none-any.whl"


def state(bench: Bench) -> str:
    return record.state(bench.places, Locks(bench.root / "requirements"), MACHINE)


def test_an_installation_is_verified_recorded_and_told(bench: Bench) -> None:
    assert state(bench) == "absent"
    made = bench.installer().install()
    assert made.sentence == "Ready on CPU, 2 threads: 40 ms a step"
    assert record.read(bench.places) == made
    python = record.installed_python(bench.places, MACHINE)
    assert python is not None
    code = "import torch, small; print(torch.version, small.ok)"
    done = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "fake True"
    assert state(bench) == "ready"
    events = [json.loads(line) for line in bench.out.getvalue().splitlines()]
    steps_seen = list(dict.fromkeys(event["step"] for event in events))
    assert steps_seen == ["tools", "python", "list", "download", "install", "verify"]
    loads = [event for event in events if event["step"] == "download"]
    assert loads[0]["total"] == sum(len(data) for data in bench.index.wheels.values())


def test_the_total_is_known_where_the_index_says_no_sizes(bench: Bench) -> None:
    bench.index.says_sizes = False
    bench.installer().install()
    events = [json.loads(line) for line in bench.out.getvalue().splitlines()]
    loads = [event for event in events if event["step"] == "download"]
    # That of the lock, until more has arrived.
    assert loads[0]["total"] == 1000
    assert all(event["done"] <= event["total"] for event in loads)
    whole = sum(len(data) for data in bench.index.wheels.values())
    assert loads[-1]["total"] <= whole


def test_a_repair_needs_no_network_and_removes_the_old_environment(bench: Bench) -> None:
    first = bench.installer().install()
    torch = bench.places.environments / first.environment
    shutil.rmtree(python_in(torch, MACHINE.system).parent)
    assert state(bench) == "broken"
    served = bench.index.served
    bench.index.close()
    second = bench.installer(online=False).install()
    assert bench.index.served == served
    assert second.environment != first.environment
    assert bench.environments() == [second.environment]
    assert state(bench) == "ready"


def test_an_environment_in_use_stays_until_the_next_installation(bench: Bench) -> None:
    first = bench.installer().install()
    second = bench.installer(keep_old=True).install()
    assert bench.environments() == sorted([first.environment, second.environment])
    third = bench.installer().install()
    assert bench.environments() == [third.environment]


def test_a_download_goes_on_in_the_next_installation(bench: Bench) -> None:
    bench.index.faults = Faults("slow", after=100_000)
    bench.should_stop = lambda: bench.index.served > 900_000
    with pytest.raises(CancelledError):
        bench.installer().install()
    part = bench.places.downloads / f"{TORCH}.part"
    kept = part.stat().st_size
    assert kept > 500_000
    assert state(bench) == "absent" and bench.environments() == []
    bench.index.faults = Faults()
    bench.should_stop = lambda: False
    bench.installer().install()
    assert bench.index.ranges[-1] == f"bytes={kept}-"
    assert state(bench) == "ready"


# The fault, for how many requests of a wheel, what the sentence says, and the next try succeeds.
FAULTS = [
    pytest.param(Faults("cut", after=0), "cut|unreachable", id="cut"),
    pytest.param(Faults("404"), "missing", id="404"),
    pytest.param(Faults("500"), "server", id="500"),
    pytest.param(Faults("403"), "forbidden", id="403"),
    pytest.param(Faults("407"), "proxy", id="proxy asks for a password"),
    pytest.param(Faults("changed"), "hash", id="wrong hash"),
]


@pytest.mark.parametrize(("faults", "kind"), FAULTS)
def test_after_a_fault_the_old_engine_stays_and_the_next_try_succeeds(
    bench: Bench, faults: Faults, kind: str
) -> None:
    bench.index.faults = Faults(faults.kind, after=faults.after)
    with pytest.raises(InstallError) as caught:
        bench.installer().install()
    assert caught.value.kind in kind.split("|")
    assert str(caught.value).endswith(".") and "; " in str(caught.value)
    assert state(bench) == "absent" and bench.environments() == []
    bench.index.faults = Faults()
    assert bench.installer().install().device == "cpu"


def test_a_slow_index_is_waited_for(bench: Bench) -> None:
    bench.index.faults = Faults("slow", after=200_000)
    assert bench.installer().install().device == "cpu"


def test_an_update_that_fails_leaves_the_engine_before_it(bench: Bench) -> None:
    first = bench.installer().install()
    (bench.root / "engine" / "__main__.py").write_text("import sys; sys.exit('it is broken')")
    with pytest.raises(InstallError, match="it is broken") as caught:
        bench.installer().install()
    assert caught.value.kind == "verification"
    assert record.read(bench.places) == first
    assert bench.environments() == [first.environment]
    assert state(bench) == "ready"


def test_a_gpu_that_fails_is_named_and_the_cpu_used(bench: Bench) -> None:
    shutil.copy(
        bench.root / "requirements" / "engine-cpu.lock",
        bench.root / "requirements" / "engine-cuda.lock",
    )
    path = bench.root / "requirements" / "locks.json"
    table = json.loads(path.read_text())
    path.write_text(json.dumps({**table, "cuda": table["cpu"]}))
    (bench.root / "engine" / "__main__.py").write_text(FAKE_ENGINE.format(fail=("auto",)))
    made = bench.installer(variant="cuda").install()
    assert made.failed_device == "The GPU"
    assert "auto computes another image than the CPU" in made.sentence


def test_another_lock_makes_an_engine_outdated_and_a_variant_without_one_is_refused(
    bench: Bench,
) -> None:
    bench.installer().install()
    lock = bench.root / "requirements" / "engine-cpu.lock"
    lock.write_text(lock.read_text() + "# newer\n")
    assert state(bench) == "outdated"
    with pytest.raises(InstallError, match="cannot install ROCm") as caught:
        bench.installer(variant="rocm").install()
    assert caught.value.kind == "no_lock"


def test_without_online_access_nothing_is_asked(bench: Bench) -> None:
    with pytest.raises(InstallError, match="Allow Online Access") as caught:
        bench.installer(online=False).install()
    assert caught.value.kind == "online_access"
    assert bench.index.ranges == []
    assert bench.installer().install().device == "cpu"


def test_two_installers_do_not_work_at_once(bench: Bench) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from draggan_blender.installing.locking import only_one\n"
        "with only_one(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", code, str(bench.places.lock)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as other:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        with pytest.raises(InstallError, match="Another Blender") as caught:
            bench.installer().install()
        assert caught.value.kind == "busy"
        other.kill()
    with only_one(bench.places.lock):
        pass
    assert bench.installer().install().device == "cpu"


def test_a_disk_without_room_is_refused_before_anything_is_downloaded(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(bench.user)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=1000))
    with pytest.raises(InstallError, match="are needed, and 1 kB are free") as caught:
        bench.installer().install()
    assert caught.value.kind == "disk_full"
    assert bench.index.ranges == []
    monkeypatch.undo()


@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="needs the right to mount a small disk"
)
def test_a_full_disk_ends_in_a_sentence_and_the_next_try_goes_on(bench: Bench) -> None:
    disk = bench.places.downloads
    (wheel,) = disk.glob("uv-*.whl")
    moved = wheel.rename(bench.root / wheel.name)
    size = moved.stat().st_size + 1_000_000
    mount, umount = (shutil.which(name, path=SYSTEM_PATH) for name in ("mount", "umount"))
    if mount is None or umount is None:
        pytest.skip("there is no program that mounts disks")
    mounted = [mount, "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk)]
    if subprocess.run(mounted, capture_output=True).returncode:
        pytest.skip("a small disk cannot be mounted here")
    try:
        shutil.copy(moved, disk)
        with pytest.raises(InstallError, match="The disk is full") as caught:
            bench.installer().install()
        assert caught.value.kind == "disk_full"
        grown = [mount, "-o", f"remount,size={size + 20_000_000}", str(disk)]
        subprocess.run(grown, check=True)
        assert bench.installer().install().device == "cpu"
        assert bench.index.ranges[-1].startswith("bytes=")
    finally:
        subprocess.run([umount, str(disk)], check=True)


def test_a_folder_that_cannot_be_written_is_named(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Root may write everywhere, so the system's answer is made here.
    def refuse(self: Path, *_arguments: object, **_more: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "mkdir", refuse)
        with pytest.raises(InstallError, match="cannot be written") as caught:
            bench.installer().install()
    assert caught.value.kind == "not_writable"
    assert bench.installer().install().device == "cpu"


def test_remove_leaves_the_lock_file_only(bench: Bench) -> None:
    bench.installer().install()
    sentence = bench.installer("remove").remove()
    assert sentence.startswith("Removed the engine: ")
    assert [path.name for path in bench.places.engine.iterdir()] == [bench.places.lock.name]
    assert state(bench) == "absent"


def test_a_bundle_installs_without_a_network(bench: Bench, tmp_path: Path) -> None:
    bench.installer().install()
    folder = tmp_path / "the bundle"
    assert "Saved a bundle of" in bench.installer("save_bundle", bundle=str(folder)).save_bundle()
    bench.index.close()
    shutil.rmtree(bench.user)
    made = bench.installer(bundle=str(folder), online=False, index="").install()
    assert made.device == "cpu"
    # A repair finds everything in the downloads.
    shutil.rmtree(folder)
    assert bench.installer(online=False, index="").install().device == "cpu"


def test_a_bundle_that_was_changed_or_is_for_another_system_is_refused(
    bench: Bench, tmp_path: Path
) -> None:
    bench.installer().install()
    folder = tmp_path / "bundle"
    bench.installer("save_bundle", bundle=str(folder)).save_bundle()

    def refused(match: str) -> None:
        with pytest.raises(InstallError, match=match) as caught:
            bench.installer(bundle=str(folder), online=False).install()
        assert caught.value.kind in ("other_bundle", "no_bundle")

    wheel = folder / TORCH
    data = wheel.read_bytes()
    wheel.unlink()
    refused("is missing")
    wheel.write_bytes(data[:-1] + b"?")
    refused("was changed")
    wheel.write_bytes(data)
    manifest = folder / "bundle.json"
    facts = json.loads(manifest.read_text())
    for change, match in (
        ({"platform": "windows-x86_64"}, "it is for windows-x86_64"),
        ({"lock_sha256": "0" * 64}, "another version of the extension"),
        ({"files": {"../outside": "0" * 64}}, "a file is called"),
        ({"format": 2}, "an unknown bundle.json"),
    ):
        manifest.write_text(json.dumps({**facts, **change}))
        refused(match)
    manifest.unlink()
    refused("no bundle.json")


def test_a_bundle_with_other_packages_than_the_lock_s_is_refused(
    bench: Bench, tmp_path: Path
) -> None:
    bench.installer().install()
    folder = tmp_path / "bundle"
    bench.installer("save_bundle", bundle=str(folder)).save_bundle()
    shutil.rmtree(bench.user)
    wheel, manifest = folder / TORCH, folder / "bundle.json"
    facts = json.loads(manifest.read_text())
    wheel.write_bytes(wheel.read_bytes() + b" ")
    facts["files"][TORCH] = sha256(wheel.read_bytes())
    manifest.write_text(json.dumps(facts))
    with pytest.raises(InstallError) as caught:
        bench.installer(bundle=str(folder), online=False, index="").install()
    assert caught.value.kind == "hash"
    assert state(bench) == "absent"
