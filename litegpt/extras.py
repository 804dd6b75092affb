"""Optional packages: what needs them, and how to install one that is missing.

A light install can show results but not train. `pyproject.toml` groups the optional packages into extras.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

from litegpt.errors import InputError

DISTRIBUTION = "litegpt-console"
EXTRAS = {
    "aiohttp": "viewer",
    "matplotlib": "viewer",
    "pyarrow": "export",
    "sklearn": "train",
    "tensorboardX": "viewer",
    "textual_serve": "viewer",
    "tokenizers": "train",
    "torch": "train",
}
"""The extra that installs each optional package, by the name under which it is imported."""


@contextmanager
def optional_imports(purpose: str) -> Iterator[None]:
    """Turn the failed import of an optional package into an InputError that says how to install it."""
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRAS:
            raise
        raise InputError(f"{purpose} needs {package}, which is not installed: {install_command(package)}") from None


def require(package: str, purpose: str) -> None:
    """Raise InputError if an optional package is missing. It is not imported."""
    with optional_imports(purpose):
        if find_spec(package) is None:
            raise ModuleNotFoundError(name=package)


def install_command(package: str) -> str:
    """Return the command that installs an optional package into this environment, at its pinned version."""
    extra = EXTRAS[package]
    pip = f"{shlex.quote(_from_here(Path(sys.executable)))} -m pip install"
    checkout = Path(__file__).parents[1]
    if not (checkout / "constraints.txt").is_file():
        return f"{pip} {shlex.quote(f'{DISTRIBUTION}[{extra}]{_origin()}')}"
    constraints = shlex.quote(_from_here(checkout / "constraints.txt"))
    return f"{pip} -c {constraints} -e {shlex.quote(f'{_from_here(checkout)}[{extra}]')}"


def _origin() -> str:
    """Return where this program was installed from, as pip writes it; empty if that was an index."""
    try:
        record = distribution(DISTRIBUTION).read_text("direct_url.json")
        return f" @ {json.loads(record)['url']}" if record else ""
    except (PackageNotFoundError, ValueError, LookupError, TypeError):
        return ""


def _from_here(path: Path) -> str:
    """Return a path below the current folder relative to it, and others as they are."""
    try:
        return str(path.relative_to(os.getcwd()))
    except (OSError, ValueError):
        return str(path)
