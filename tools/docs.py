# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the variable tables of every role's README and docs/variables.md from the argument specs, SECURITY.md's table, and the counts in README.md.

docs.py          write what differs
docs.py --check  write nothing, name what differs, exit 1 if anything does
"""

from __future__ import annotations

import argparse
import json
import pathlib
import re
import runpy
import sys
import typing as t

import yaml

CHECKOUT = pathlib.Path(__file__).resolve().parents[1]
BEGIN = "<!-- variables: begin (written by `make docs`) -->"
END = "<!-- variables: end -->"
VARIABLES_PAGE = "docs/variables.md"
SECURITY_PAGE = "SECURITY.md"
README_PAGE = "README.md"
RULES = "roles/prometheus/templates/etc/prometheus/rules/*.yml.j2"
COUNT = re.compile(r"(<!-- count: ([a-z ]+) -->)[^<]*(<!-- end -->)")
ATTACK_CASES = "molecule/security/attack_cases.py"
ATTACK_CASES_BEGIN = "<!-- attack cases: begin (written by `make docs`) -->"
ATTACK_CASES_END = "<!-- attack cases: end -->"


def paragraphs(text: str | list[str]) -> list[str]:
    """Turn a description of an argument spec into Markdown paragraphs."""
    return [markdown(part) for part in ([text] if isinstance(text, str) else text)]


def markdown(text: str) -> str:
    """Translate Ansible's markup into Markdown."""
    text = re.sub(r"\bL\(([^,)]+),\s*([^)]+)\)", r"[\1](\2)", text)
    text = re.sub(r"\bU\(([^)]+)\)", r"<\1>", text)
    text = re.sub(r"\bI\(([^)]+)\)", r"*\1*", text)
    text = re.sub(r"\bB\(([^)]+)\)", r"**\1**", text)
    return re.sub(r"\b(?:C|E|M|O|P|RV|V)\(((?:[^()\\]|\\.|\([^()]*\))+)\)", lambda found: f"`{found[1]}`", text)


def cell(text: str) -> str:
    """Make a text fit one cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def code(value: object) -> str:
    """Show a value as it would be written in YAML's flow style."""
    text = value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
    return f"`{cell(text)}`"


def type_of(option: dict[str, t.Any]) -> str:
    kind = option.get("type", "str")
    if kind == "list":
        kind = f"list of {option.get('elements', 'str')}"
    if "choices" in option:
        kind += ": " + ", ".join(code(choice) for choice in option["choices"])
    return kind


def default_of(option: dict[str, t.Any]) -> str:
    if option.get("required"):
        return "required"
    return code(option["default"]) if "default" in option else "unset"


def table(heading: str, options: dict[str, t.Any]) -> list[str]:
    """One table of options, followed by one for each option that has options itself."""
    lines = [f"| {heading} | Type | Default | Meaning |", "| --- | --- | --- | --- |"]
    nested: list[str] = []
    for name, option in options.items():
        meaning = " ".join(paragraphs(option["description"]))
        lines.append(f"| `{name}` | {type_of(option)} | {default_of(option)} | {cell(meaning)} |")
        if "options" in option:
            of_what = f"Each entry of `{name}`" if option.get("type") == "list" else f"`{name}`"
            # What a YAML merge adds comes before an entry's own keys, which a reader wants first.
            keys = dict(sorted(option["options"].items(), key=lambda key: not key[1].get("required")))
            nested += ["", f"{of_what}:", "", *table("Key", keys)]
    return lines + nested


def specs(role: pathlib.Path) -> dict[str, t.Any]:
    return yaml.safe_load((role / "meta/argument_specs.yml").read_text())["argument_specs"]


def variables(role: pathlib.Path, level: str) -> list[str]:
    """The tables of all entry points of a role."""
    lines: list[str] = []
    for entry_point, spec in specs(role).items():
        if entry_point != "main":
            lines += [f"{level} Entry point `{entry_point}`", "", *paragraphs(spec["short_description"]), ""]
        options = spec.get("options") or {}
        lines += [*(table("Variable", options) if options else ["No variables."]), ""]
    return lines[:-1]


def role_page(role: pathlib.Path) -> str:
    """A role's README: what a person wrote stays, the tables between the marks are replaced."""
    block = "\n".join([BEGIN, "", *variables(role, "###"), "", END])
    page = role / "README.md"
    text = page.read_text() if page.exists() else ""
    if BEGIN in text and END in text:
        return text[: text.index(BEGIN)] + block + text[text.index(END) + len(END) :]
    if not text:
        main = specs(role)["main"]
        intro = [main["short_description"].rstrip(".") + ".", *paragraphs(main.get("description", []))]
        text = f"# multinode.celery.{role.name}\n\n" + "\n\n".join(intro)
    return text.rstrip() + "\n\n## Variables\n\n" + block + "\n"


def variables_page(roles: list[pathlib.Path]) -> str:
    lines = [
        "# Variables",
        "",
        "Every input of every role, written by `make docs` from the roles' argument specs.",
        "A role refuses an unknown key or a wrong type before it changes anything.",
    ]
    for role in roles:
        short = specs(role)["main"]["short_description"].rstrip(".") + "."
        lines += ["", f"## {role.name}", "", short, "", *variables(role, "###")]
    return "\n".join(lines) + "\n"


def security_page() -> str:
    """SECURITY.md with the table of what is tried on the test hosts; the rest is written by a person."""
    text = (CHECKOUT / SECURITY_PAGE).read_text()
    tried = runpy.run_path(str(CHECKOUT / ATTACK_CASES))
    block = "\n".join([ATTACK_CASES_BEGIN, "", *tried["table"](), "", f"{len(tried['ATTACK_CASES'])} attempts in all.", "", ATTACK_CASES_END])
    return text[: text.index(ATTACK_CASES_BEGIN)] + block + text[text.index(ATTACK_CASES_END) + len(ATTACK_CASES_END) :]


def counts() -> dict[str, int]:
    """The numbers that README.md states, by the name that is in its marks.

    :raises SystemExit: where one is 0, because what is counted has moved.
    """
    rules = "\n".join(path.read_text() for path in CHECKOUT.glob(RULES))
    found = {
        "alerts": len(re.findall(r"^ *- alert: \w+$", rules, flags=re.MULTILINE)),
        "attack cases": len(runpy.run_path(str(CHECKOUT / ATTACK_CASES))["ATTACK_CASES"]),
    }
    if missing := [name for name, number in found.items() if not number]:
        sys.exit(f"Nothing to count for {', '.join(missing)}: tools/docs.py looks in the wrong place.")
    return found


def counted(text: str, numbers: dict[str, int]) -> str:
    """Put the numbers between their marks.

    :raises SystemExit: where a mark names something that is not counted, or a number has no mark.
    """
    marks = {found[2] for found in COUNT.finditer(text)}
    if marks != numbers.keys():
        sys.exit(f"{README_PAGE} has marks for {sorted(marks)}, tools/docs.py counts {sorted(numbers)}.")
    return COUNT.sub(lambda found: f"{found[1]}{numbers[found[2]]}{found[3]}", text)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing and fail on a difference")
    check = parser.parse_args().check
    roles = sorted(spec.parents[1] for spec in CHECKOUT.glob("roles/*/meta/argument_specs.yml"))
    if not roles:
        sys.exit("No role has an argument spec.")
    pages = {role / "README.md": role_page(role) for role in roles}
    pages[CHECKOUT / VARIABLES_PAGE] = variables_page(roles)
    pages[CHECKOUT / SECURITY_PAGE] = security_page()
    pages[CHECKOUT / README_PAGE] = counted((CHECKOUT / README_PAGE).read_text(), counts())
    stale = [page for page, text in pages.items() if not page.exists() or page.read_text() != text]
    for page in stale:
        print(f"{'differs' if check else 'written'}: {page.relative_to(CHECKOUT)}")
        if not check:
            page.parent.mkdir(parents=True, exist_ok=True)
            page.write_text(pages[page])
    print(f"{len(pages)} pages of {len(roles)} roles, {len(stale)} {'differ' if check else 'written'}")
    if check and stale:
        print("Run `make docs` and commit the result.")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
