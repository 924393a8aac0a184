# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import os
import typing as t

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.template import trust_as_template

MODULE = "multinode.celery.file_set"


class ActionModule(ActionBase):
    """Renders the templates of a file set on the controller and places all of them in one module run."""

    _requires_connection = True

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Render, execute, and turn what the module reports into Ansible's diff form.

        :param task_vars: variables of the task.
        :returns: the module's result with C(diff) where diff mode is on.
        :raises AnsibleActionFail: when a file entry has no usable source.
        """
        super().run(tmp, task_vars)
        task_vars = task_vars or {}
        args = dict(self._task.args)
        args["files"] = [self._rendered(entry, task_vars) for entry in args.get("files") or []]
        result = self._execute_module(module_name=MODULE, module_args=args, task_vars=task_vars)
        # The arguments hold the whole content of every file.
        result.pop("invocation", None)
        before = result.pop("before", {})
        if self._task.diff:
            result["diff"] = self._diff(args, result.get("changed_paths", []), before)
        return result

    def _rendered(self, entry: t.Any, task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        """Replace the template of a file entry by the content it renders to."""
        if not isinstance(entry, dict) or not entry.get("path"):
            raise AnsibleActionFail("each entry of files must be a dictionary with a path")
        entry = {key: value for key, value in entry.items() if value is not None}
        variables = entry.pop("vars", {})
        source = entry.pop("src", None)
        if "content" in entry:
            if source:
                raise AnsibleActionFail(f"{entry['path']}: give either src or content")
            return entry
        template = self._find_needle("templates", source or f"{entry['path'].lstrip('/')}.j2")
        entry["content"] = self._render(template, {"ansible_managed": "Ansible managed", **task_vars, **variables}, task_vars)
        return entry

    def _render(self, template: str, variables: dict[str, t.Any], task_vars: dict[str, t.Any]) -> str:
        """Render one template file as M(ansible.builtin.template) would."""
        roots = [*task_vars.get("ansible_search_path", []), self._loader.get_basedir(), os.path.dirname(template)]
        searchpath = [path for root in roots for path in (os.path.join(root, "templates"), root)]
        templar = self._templar.copy_with_new_env(searchpath=searchpath, available_variables=variables)
        text = trust_as_template(self._loader.get_text_file_contents(template))
        overrides = {"trim_blocks": True, "lstrip_blocks": True}
        rendered = templar.template(text, escape_backslashes=False, overrides=overrides)
        return "" if rendered is None else str(rendered)

    @staticmethod
    def _diff(args: dict[str, t.Any], changed_paths: list[str], before: dict[str, str]) -> list[dict[str, str]]:
        """Describe each changed path; content is shown only where the module gave the previous one."""
        after = {entry["path"]: entry["content"] for entry in args["files"]}
        diffs = []
        for path in changed_paths:
            if path in before:
                previous = base64.b64decode(before[path]).decode("utf-8", "replace")
                diffs.append({"before_header": path, "after_header": path, "before": previous, "after": after[path]})
            else:
                diffs.append({"prepared": f"{path}: would differ\n" if path not in after else f"{path}: content or attributes differ, not shown\n"})
        return diffs
