# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What pip installed, as a bill of materials in the format of CycloneDX."""

from __future__ import annotations

import re
import typing as t
import uuid

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
EXTRA = re.compile(r"extra\s*==\s*['\"]([^'\"]+)['\"]")
ALGORITHMS = {"sha256": "SHA-256", "sha384": "SHA-384", "sha512": "SHA-512"}


def canonical(name: str) -> str:
    """The name of a package as indexes write it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def reference(metadata: dict[str, t.Any]) -> str:
    """The package URL of a package, which also identifies it inside the bill."""
    return f"pkg:pypi/{canonical(metadata['name'])}@{metadata['version']}"


def licenses(metadata: dict[str, t.Any]) -> list[dict[str, t.Any]]:
    """The licence of a package, by its expression, its classifiers or its short name."""
    if metadata.get("license_expression"):
        return [{"expression": metadata["license_expression"]}]
    classified = [entry.split(" :: ")[-1] for entry in metadata.get("classifier", []) if entry.startswith("License :: ")]
    # Some packages have the whole text there.
    stated = [entry for entry in (metadata.get("license") or "",) if entry and "\n" not in entry and len(entry) < 80]
    return [{"license": {"name": name}} for name in sorted(set(classified or stated))]


def component(item: dict[str, t.Any]) -> dict[str, t.Any]:
    """A package of pip's report; of where it came from only the hash is kept, because an address may hold credentials."""
    metadata = item["metadata"]
    archive = item.get("download_info", {}).get("archive_info", {})
    hashes = archive.get("hashes") or dict([archive["hash"].split("=", 1)] if "=" in archive.get("hash", "") else [])
    made: dict[str, t.Any] = {
        "type": "library",
        "bom-ref": reference(metadata),
        "name": canonical(metadata["name"]),
        "version": metadata["version"],
        "purl": reference(metadata),
    }
    if metadata.get("summary"):
        made["description"] = metadata["summary"]
    known = [{"alg": ALGORITHMS[name], "content": digest} for name, digest in sorted(hashes.items()) if name in ALGORITHMS]
    if known:
        made["hashes"] = known
    if licenses(metadata):
        made["licenses"] = licenses(metadata)
    return made


def needed(item: dict[str, t.Any]) -> set[str]:
    """The names of the packages that a package asks for, with the extras that it was installed with."""
    extras = set(item.get("requested_extras") or ())
    found = set()
    for requirement in item["metadata"].get("requires_dist", []):
        name, wanted = NAME.match(requirement), EXTRA.search(requirement)
        if name and (not wanted or wanted[1] in extras):
            found.add(canonical(name[0]))
    return found


def sbom(name: str, version: str, reports: list[dict[str, t.Any]], moment: str) -> dict[str, t.Any]:
    """Return the bill of materials of a release.

    :param reports: what pip reported, one for each call; a package of a later one replaces an earlier one.
    :param moment: when the release was installed, as ISO 8601 in UTC.
    """
    items = {canonical(item["metadata"]["name"]): item for report in reports for item in report.get("install", [])}
    references = {key: reference(item["metadata"]) for key, item in items.items()}
    release = f"release:{name}@{version}"
    graph = [{"ref": release, "dependsOn": sorted(references[key] for key, item in items.items() if item.get("requested"))}]
    for key, item in sorted(items.items()):
        graph.append({"ref": references[key], "dependsOn": sorted(references[other] for other in needed(item) & set(items) - {key})})
    environment: dict[str, t.Any] = next((report["environment"] for report in reports if "environment" in report), {})
    properties = {"python": environment.get("python_full_version"), "platform": environment.get("platform_machine")}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid4()}",
        "version": 1,
        "metadata": {
            "timestamp": moment,
            "component": {"type": "application", "bom-ref": release, "name": name, "version": version},
            "properties": [{"name": f"multinode.celery:{key}", "value": value} for key, value in properties.items() if value],
        },
        "components": [component(item) for _key, item in sorted(items.items())],
        "dependencies": graph,
    }
