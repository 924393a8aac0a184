#!/usr/bin/python
# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: file_set
short_description: Manage a set of files, directories and links in one round trip
version_added: "1.0.0"
description:
  - Renders the templates of a role on the controller, and creates directories, writes files,
    sets links and removes paths on the target in a single module run.
  - Entries are applied in the order directories, files, links, absent; within each in the order given.
  - A file is replaced atomically and only when its content differs, so the modification time of
    an unchanged file never moves.
extends_documentation_fragment:
  - multinode.celery.attributes
options:
  owner:
    description: Owner of every entry that names none.
    type: str
    default: root
  group:
    description: Group of every entry that names none.
    type: str
    default: root
  mode:
    description: Mode of every file that names none, as four octal digits.
    type: str
    default: "0644"
  directory_mode:
    description: Mode of every directory that names none, as four octal digits.
    type: str
    default: "0755"
  directories:
    description: Directories that must exist.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Absolute path on the target.
        type: str
        required: true
      owner:
        description: Owner of the directory.
        type: str
      group:
        description: Group of the directory.
        type: str
      mode:
        description: Mode of the directory, as four octal digits.
        type: str
  files:
    description: Files that must exist, rendered from a template or given literally.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Absolute path on the target.
        type: str
        required: true
      src:
        description:
          - Template, looked up like the C(src) of M(ansible.builtin.template).
          - Where neither O(files[].src) nor O(files[].content) is given, the template is under
            the path of its target, for example C(templates/etc/app/app.conf.j2) for C(/etc/app/app.conf).
        type: str
      content:
        description: Literal content instead of a template.
        type: str
      vars:
        description: Variables for this template alone.
        type: dict
        default: {}
      owner:
        description: Owner of the file.
        type: str
      group:
        description: Group of the file.
        type: str
      mode:
        description: Mode of the file, as four octal digits.
        type: str
      force:
        description: With V(false) the file is written only where it does not exist, and then left to its software.
        type: bool
        default: true
      sensitive:
        description: Whether the content is kept out of diffs.
        type: bool
        default: false
      validate:
        description: Command that must succeed on the new content before it is put in place; C(%s) is its path.
        type: str
  links:
    description: Symbolic links that must exist.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Absolute path of the link.
        type: str
        required: true
      target:
        description: What the link points to.
        type: str
        required: true
  absent:
    description: Paths that must not exist. Directories are removed with their content.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    details: Can run in check mode and report what would change, even where owners or parents do not exist yet.
  diff_mode:
    support: full
    details: Returns the differences of files that are not sensitive.
author:
  - multinode.celery contributors (@multinode)
"""

EXAMPLES = r"""
- name: Write the files of the service
  multinode.celery.file_set:
    directories:
      - path: /etc/app
        group: app
        mode: "0750"
    files:
      - path: /etc/app/app.conf
        group: app
        mode: "0640"
        sensitive: true
      - path: /etc/systemd/system/app.service
    links:
      - path: /etc/systemd/system/packaged.service
        target: /dev/null
"""

RETURN = r"""
changed_paths:
  description: Paths that were created, changed or removed, or would be in check mode.
  returned: always
  type: list
  elements: str
"""

import base64
import os
import shutil
import tempfile
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.text.converters import to_bytes


class FileSet:
    """Applies the entries of one module run and collects what changed."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.changed_paths: list[str] = []
        self.before: dict[str, str] = {}

    def apply(self) -> None:
        """Apply every entry in order, failing the module on the first that cannot be."""
        params = self.module.params
        for entry in params["directories"]:
            self._directory(entry)
        for entry in params["files"]:
            self._file(entry)
        for entry in params["links"]:
            self._link(entry["path"], entry["target"])
        for path in params["absent"]:
            self._absent(path)

    def _mark(self, path: str) -> None:
        if path not in self.changed_paths:
            self.changed_paths.append(path)

    def _attributes(self, entry: dict[str, t.Any], default_mode: str) -> None:
        """Set owner, group and mode of an existing path."""
        wanted = {
            "path": entry["path"],
            "owner": entry["owner"] or self.module.params["owner"],
            "group": entry["group"] or self.module.params["group"],
            "mode": entry["mode"] or default_mode,
            "secontext": self.module.selinux_default_context(entry["path"]) if self.module.selinux_enabled() else [],
            "attributes": None,
        }
        if self.module.set_fs_attributes_if_different(wanted, False):
            self._mark(entry["path"])

    def _directory(self, entry: dict[str, t.Any]) -> None:
        path = entry["path"]
        if not os.path.isdir(path):
            if os.path.lexists(path):
                self.module.fail_json(msg=f"{path} exists and is not a directory: move it away")
            self._mark(path)
            if self.module.check_mode:
                return
            os.makedirs(path)
        self._attributes(entry, self.module.params["directory_mode"])

    def _file(self, entry: dict[str, t.Any]) -> None:
        path = entry["path"]
        if os.path.isdir(path):
            self.module.fail_json(msg=f"{path} is a directory where a file belongs: move it away")
        regular = os.path.isfile(path) and not os.path.islink(path)
        if not regular or entry["force"]:
            current = self._read(path) if regular else None
            wanted = to_bytes(entry["content"])
            if current != wanted:
                self._mark(path)
                if self.module._diff and not entry["sensitive"]:
                    self.before[path] = base64.b64encode(current or b"").decode("ascii")
                self._write(entry, wanted, regular)
                if self.module.check_mode:
                    return
        self._attributes(entry, self.module.params["mode"])

    def _write(self, entry: dict[str, t.Any], content: bytes, regular: bool) -> None:
        path = entry["path"]
        if not self.module.check_mode and not os.path.isdir(os.path.dirname(path)):
            self.module.fail_json(msg=f"{os.path.dirname(path)} does not exist: add it to directories")
        handle, temporary = tempfile.mkstemp(dir=self.module.tmpdir)
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        self._validate(entry, temporary)
        if self.module.check_mode:
            os.unlink(temporary)
            return
        if os.path.lexists(path) and not regular:
            # atomic_move would copy the attributes of what a link points to.
            os.unlink(path)
        # A new file is born closed and opened by its mode afterwards.
        umask = os.umask(0o077)
        self.module.atomic_move(temporary, path)
        os.umask(umask)

    def _validate(self, entry: dict[str, t.Any], temporary: str) -> None:
        command = entry["validate"]
        if not command:
            return
        if "%s" not in command:
            self.module.fail_json(msg=f"validate of {entry['path']} must contain %s, which stands for the path of the new content")
        if self.module.check_mode and not shutil.which(command.split()[0]):
            return
        rc, out, err = self.module.run_command(command.replace("%s", temporary))
        if rc != 0:
            detail = "" if entry["sensitive"] else f": {(err or out).strip()}"
            self.module.fail_json(msg=f"{entry['path']} was left as it is, its new content is refused by '{command}'{detail}", rc=rc)

    def _link(self, path: str, target: str) -> None:
        if os.path.islink(path) and os.readlink(path) == target:
            return
        if os.path.isdir(path) and not os.path.islink(path):
            self.module.fail_json(msg=f"{path} is a directory where a link belongs: move it away")
        self._mark(path)
        if self.module.check_mode:
            return
        # Renaming a finished link leaves no moment without one.
        workshop = tempfile.mkdtemp(prefix=".link-", dir=os.path.dirname(path))
        temporary = os.path.join(workshop, "link")
        os.symlink(target, temporary)
        os.rename(temporary, path)
        os.rmdir(workshop)

    def _absent(self, path: str) -> None:
        if not os.path.lexists(path):
            return
        self._mark(path)
        if self.module.check_mode:
            return
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            os.unlink(path)

    @staticmethod
    def _read(path: str) -> bytes:
        with open(path, "rb") as stream:
            return stream.read()


class Module(AnsibleModule):
    """A module that tells the journal nothing of its arguments.

    In what Ansible would write there, a content of several lines is escaped, so that it is not recognised as one to hide.
    """

    def _log_invocation(self) -> None:
        self.log("Invoked with files whose content is not logged")


def main() -> None:
    attributes = {"owner": {"type": "str"}, "group": {"type": "str"}, "mode": {"type": "str"}}
    module = Module(
        argument_spec={
            "owner": {"type": "str", "default": "root"},
            "group": {"type": "str", "default": "root"},
            "mode": {"type": "str", "default": "0644"},
            "directory_mode": {"type": "str", "default": "0755"},
            "directories": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {"path": {"type": "str", "required": True}, **attributes},
            },
            "files": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "path": {"type": "str", "required": True},
                    "src": {"type": "str"},
                    "content": {"type": "str", "no_log": True},
                    "vars": {"type": "dict", "default": {}},
                    "force": {"type": "bool", "default": True},
                    "sensitive": {"type": "bool", "default": False},
                    "validate": {"type": "str"},
                    **attributes,
                },
            },
            "links": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {"path": {"type": "str", "required": True}, "target": {"type": "str", "required": True}},
            },
            "absent": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    file_set = FileSet(module)
    file_set.apply()
    module.exit_json(changed=bool(file_set.changed_paths), changed_paths=file_set.changed_paths, before=file_set.before)


if __name__ == "__main__":
    main()
