# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts list of a release: what *Install Engine* installs, in the format CycloneDX.

It is made of the locks alone, so it names exactly the versions and the files that the installer
accepts. Who looks for a vulnerable package finds it there, with the variants that have it.
"""

from __future__ import annotations

import datetime
import json
import re
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

_REQUIREMENT = re.compile(
    r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;\\]+)(?:\s*;\s*(?P<marker>[^\\]+))?"
)
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


@dataclass
class Package:
    """A version of a package in one or more locks.

    Attributes:
        name: Its name in the package index.
        version: Its version.
        hashes: The SHA-256 of each file that may be installed.
        uses: For each lock that has it, the condition under which it is installed; may be empty.
    """

    name: str
    version: str
    hashes: set[str] = field(default_factory=set)
    uses: dict[str, str] = field(default_factory=dict)


def read_locks(requirements: Path) -> list[Package]:
    """Return the packages of all locks in a folder, by name and version.

    Raises:
        ValueError: A line of a lock is not understood, or a package has no hash.
    """
    found: dict[tuple[str, str], Package] = {}
    for lock in sorted(requirements.glob("*.lock")):
        package: Package | None = None
        for number, line in enumerate(lock.read_text(encoding="utf-8").splitlines(), start=1):
            hashes = _HASH.findall(line)
            if start := _REQUIREMENT.match(line):
                key = start["name"].lower(), start["version"]
                package = found.setdefault(key, Package(*key))
                package.uses[lock.stem] = (start["marker"] or "").strip()
            elif line.strip() and not line.startswith("#") and not hashes:
                raise ValueError(f"{lock.name}, line {number}: expected a package or a hash")
            if package is not None:
                package.hashes.update(hashes)
    bare = [package.name for package in found.values() if not package.hashes]
    if bare:
        raise ValueError(f"packages without a hash: {', '.join(bare)}")
    return [found[key] for key in sorted(found)]


def bill(packages: list[Package], version: str, time_s: int) -> str:
    """Return the parts list as JSON, CycloneDX 1.5; equal for equal arguments.

    Args:
        packages: What is installed.
        version: That of the extension.
        time_s: The time of the release, seconds since 1970.
    """
    made = datetime.datetime.fromtimestamp(time_s, datetime.UTC)
    document: dict[str, Any] = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": made.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": {
                "type": "application",
                "bom-ref": f"draggan_blender@{version}",
                "name": "draggan_blender",
                "version": version,
                "licenses": [{"license": {"id": "GPL-3.0-or-later"}}],
            },
        },
        "components": [_component(package) for package in packages],
    }
    text = json.dumps(document, sort_keys=True)
    document["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, text)}"
    return json.dumps(document, indent=1) + "\n"


def _component(package: Package) -> dict[str, Any]:
    purl = f"pkg:pypi/{package.name}@{quote(package.version)}"
    uses = [
        {"name": f"draggan:{lock}", "value": marker or "always"}
        for lock, marker in sorted(package.uses.items())
    ]
    return {
        "type": "library",
        "bom-ref": purl,
        "name": package.name,
        "version": package.version,
        "purl": purl,
        "scope": "required",
        "hashes": [{"alg": "SHA-256", "content": value} for value in sorted(package.hashes)],
        "properties": uses,
    }
