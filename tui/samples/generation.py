"""Generates text from a trial's weights in another process, because the console never loads torch."""

from __future__ import annotations

import asyncio
import codecs
import os
from collections.abc import AsyncIterator
from contextlib import suppress

from litegpt.display import inert
from litegpt.errors import InputError
from litegpt.processes import module_command
from litegpt.results.folder import StudyFolder
from tui.messages import TrialKey

READ_BYTES = 4096


def sample_command(folder: StudyFolder, key: TrialKey, prompt: str, length: int, temperature: float) -> list[str]:
    """Return the command that streams the prompt and its continuation to stdout."""
    command = module_command("litegpt.cli.main", "sample", str(folder.trial(*key).path), "--stream")
    return [*command, "--length", str(length), "--temperature", f"{temperature:g}", f"--prompt={prompt}"]


async def generate(command: list[str]) -> AsyncIterator[str]:
    """Yield the command's output as inert text. Leaving early ends the process. InputError: its last error line."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    assert process.stderr is not None
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    errors = asyncio.create_task(process.stderr.read())
    try:
        while data := await process.stdout.read(READ_BYTES):
            yield inert(decoder.decode(data), newlines=True)
        if await process.wait():
            lines = (await errors).decode(errors="replace").strip().splitlines()
            raise InputError(inert(lines[-1]) if lines else f"generation ended with code {process.returncode}")
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.terminate()
            await process.wait()
        errors.cancel()
