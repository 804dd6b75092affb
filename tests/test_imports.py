"""Import rules that only a separate process can prove: what loads torch, and what the training core needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

WITHOUT_TORCH = (
    "litegpt/study/**/*.py",
    "litegpt/estimate/**/*.py",
    "litegpt/results/**/*.py",
    "litegpt/run/**/*.py",
    "litegpt/text/copied.py",
    "litegpt/cli/main.py",
    "litegpt/cli/run.py",
    "tui/**/*.py",
)
"""The modules that the processes of the runner and the console import."""

IMPORT_AND_WATCH = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
    if "torch" in sys.modules:
        sys.exit(f"importing {name} loads torch")
"""

SLOW_PACKAGES = ("numpy", "pandas", "sklearn", "textual", "tokenizers", "torch")
"""Packages that would delay the start of a command."""

DRY_RUN = f"""
import runpy, sys
sys.argv[0] = "litegpt-run"
try:
    runpy.run_module("litegpt.cli.run", run_name="__main__")
except SystemExit as ending:
    assert not ending.code, f"exit code {{ending.code}}"
assert not sys.modules.keys() & {set(SLOW_PACKAGES)!r}
"""

IMPORT_WITH_LITTLE = """
import importlib, re, sys
from importlib.metadata import PackageNotFoundError, packages_distributions, requires

def plain(distribution):
    return re.sub(r"[-_.]+", "-", distribution).lower()

installed, wanted = set(), ["torch", "numpy", "safetensors"]
while wanted:
    distribution = plain(wanted.pop())
    if distribution in installed:
        continue
    try:
        needs = requires(distribution) or []
    except PackageNotFoundError:
        # A requirement for another platform.
        continue
    installed.add(distribution)
    wanted += [re.match(r"[\\w.-]+", need)[0] for need in needs if "extra ==" not in need]

missing = {
    package
    for package, distributions in packages_distributions().items()
    if package not in ("litegpt", "tui") and not installed & {plain(name) for name in distributions}
}
assert "rich" in missing, "the test has nothing to hide"

class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in missing:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Hide())
for name in sys.argv[1:]:
    importlib.import_module(name)
"""


def modules(*patterns: str) -> list[str]:
    """Return the names of the modules that match; a pattern that matches no file fails the test."""
    names = []
    for pattern in patterns:
        files = sorted(ROOT.glob(pattern))
        assert files, f"no module matches {pattern}"
        for file in files:
            names.append(".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"))
    return names


def run_python(code: str, *arguments: str, cwd: Path = ROOT) -> None:
    environment_path = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
    process = subprocess.run(
        [sys.executable, "-c", environment_path + code, *arguments],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert process.returncode == 0, process.stderr


def test_the_runner_and_the_console_load_no_torch() -> None:
    run_python(IMPORT_AND_WATCH, *modules(*WITHOUT_TORCH))


def test_a_dry_run_loads_no_slow_package_and_writes_nothing(tmp_path: Path) -> None:
    results = tmp_path / "results"
    run_python(DRY_RUN, "--dry-run", "--results", str(results), str(ROOT / "experiments.toml"), cwd=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_training_core_needs_only_torch_numpy_and_safetensors() -> None:
    run_python(IMPORT_WITH_LITTLE, *modules("litegpt/train/**/*.py"))
