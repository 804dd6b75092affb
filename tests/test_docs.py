"""Links and names in the documentation exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from litegpt.cli.main import COMMANDS

ROOT = Path(__file__).parents[1]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("data/*.md")]
PAGES_ON_CODE = [ROOT / "CONTRIBUTING.md", ROOT / "docs" / "architecture.md"]
PAGES_WITH_MODULES = [*PAGES_ON_CODE, ROOT / "docs" / "reliability.md"]
PACKAGES = (ROOT / "litegpt", ROOT / "tui")


def code_spans(page: Path) -> list[str]:
    return re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL))


def defined_names() -> set[str]:
    names = set()
    for package in PACKAGES:
        for file in package.rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                match node:
                    case ast.ClassDef(name) | ast.FunctionDef(name) | ast.AsyncFunctionDef(name):
                        names.add(name)
                    case ast.Assign([ast.Name(name)]) | ast.AnnAssign(ast.Name(name)):
                        names.add(name)
    return names


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_lead_to_files(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES_WITH_MODULES, ids=lambda page: page.name)
def test_modules_exist(page: Path) -> None:
    modules = [span for span in code_spans(page) if re.fullmatch(r"[\w/]+\.py", span)]
    assert modules
    assert [module for module in modules if not any((base / module).is_file() for base in (ROOT, *PACKAGES))] == []


@pytest.mark.parametrize("page", PAGES_ON_CODE, ids=lambda page: page.name)
def test_classes_functions_and_constants_exist(page: Path) -> None:
    names = [
        name
        for span in code_spans(page)
        if re.fullmatch(r"(\w+\.)?\w+\(\)|[A-Z][A-Za-z]\w+", span)
        for name in span.removesuffix("()").split(".")
    ]
    assert names
    defined = defined_names()
    assert [name for name in names if name not in defined] == []


def test_the_readme_lists_every_command() -> None:
    section = (ROOT / "README.md").read_text(encoding="utf-8").partition("\n## Commands\n")[2].partition("\n## ")[0]
    listed = {
        name for names in re.findall(r"^    litegpt[ -]([a-z|]+)", section, re.MULTILINE) for name in names.split("|")
    }
    assert sorted(COMMANDS.keys() - listed) == []
    assert sorted(listed - COMMANDS.keys() - {"tui"}) == []
