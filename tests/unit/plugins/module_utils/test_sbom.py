# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

from ansible_collections.multinode.celery.plugins.module_utils._sbom import sbom

MOMENT = "2026-11-22T10:00:00Z"


def item(name, version, requested=False, requires=(), extras=(), download=None, **metadata):
    """A package as pip reports it."""
    return {
        "download_info": download or {"url": f"https://user:secret@index.example/{name}.whl", "archive_info": {"hashes": {"sha256": "ab" * 32}}},
        "requested": requested,
        "requested_extras": list(extras),
        "metadata": {"name": name, "version": version, "requires_dist": list(requires), **metadata},
    }


CELERY = item(
    "Celery", "5.7.0", requested=True, extras=["redis"], license="BSD-3-Clause",
    requires=["kombu>=5.7", "redis>=6.4; extra == 'redis'", "boto3; extra == 'sqs'", "tzdata"],
)  # fmt: skip
REDIS = item("redis", "8.1.0", license="MIT License\n\nPermission is hereby", classifier=["License :: OSI Approved :: MIT License"])
BOTO = item("boto3", "1.0", license_expression="Apache-2.0")


def made(*reports):
    return sbom("proj", "1.0.0", [{"install": list(items), "environment": {"python_full_version": "3.13.5"}} for items in reports], MOMENT)


def test_every_package_is_there_with_version_hash_and_licence():
    boto, celery, redis = made([REDIS, CELERY], [BOTO])["components"]
    assert (celery["purl"], celery["hashes"]) == ("pkg:pypi/celery@5.7.0", [{"alg": "SHA-256", "content": "ab" * 32}])
    assert celery["licenses"] == [{"license": {"name": "BSD-3-Clause"}}]
    assert redis["licenses"] == [{"license": {"name": "MIT License"}}]
    assert boto["licenses"] == [{"expression": "Apache-2.0"}]


def test_what_depends_on_what_respects_extras():
    graph = {entry["ref"]: entry["dependsOn"] for entry in made([CELERY, REDIS, BOTO])["dependencies"]}
    assert graph["release:proj@1.0.0"] == ["pkg:pypi/celery@5.7.0"]
    assert graph["pkg:pypi/celery@5.7.0"] == ["pkg:pypi/redis@8.1.0"]


def test_the_release_itself_is_named_with_its_moment_and_interpreter():
    metadata = made([CELERY])["metadata"]
    assert metadata["component"] == {"type": "application", "bom-ref": "release:proj@1.0.0", "name": "proj", "version": "1.0.0"}
    assert metadata["timestamp"] == MOMENT
    assert {"name": "multinode.celery:python", "value": "3.13.5"} in metadata["properties"]


def test_no_address_is_kept_because_it_may_hold_credentials():
    assert "secret" not in json.dumps(made([CELERY]))


def test_a_project_from_a_folder_has_no_hash():
    (project,) = made([item("proj", "1.0.0", requested=True, download={"url": "file:///src", "dir_info": {}})])["components"]
    assert "hashes" not in project


def test_a_release_without_packages_has_an_empty_sbom():
    assert sbom("proj", "1.0.0", [], MOMENT)["components"] == []
