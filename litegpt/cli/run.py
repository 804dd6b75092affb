"""`litegpt-run STUDY.toml`: run a study headless, from where it stands to its end."""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys

from litegpt import __version__
from litegpt.cli import plan as plan_command
from litegpt.cli.command import Exit, complain, guarded, narrator
from litegpt.plan.corpus import CorpusText, read_corpus
from litegpt.plan.errors import InputError
from litegpt.plan.study import Study, read_study
from litegpt.results.folder import StudyFolder
from litegpt.results.state import StudyState
from litegpt.run.devices import worker_places
from litegpt.run.ledger import RunnerError
from litegpt.run.lock import StudyHeldError, StudyLock
from litegpt.run.runner import Runner
from litegpt.run.view import view_for


def main(argv: list[str] | None = None) -> int:
    """Entry of the script `litegpt-run`."""
    parser = argparse.ArgumentParser(prog="litegpt-run", description="Run a study, or what is left of it, headless.")
    parser.add_argument("--version", action="version", version=__version__)
    add_arguments(parser)
    arguments = parser.parse_args(argv)
    return guarded(lambda: run(arguments))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    plan_command.add_arguments(parser)
    parser.add_argument("--phase", action="append", metavar="NAME", help="run only this phase (may be repeated)")
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda or cuda:N")
    parser.add_argument("--workers", type=int, metavar="N", help="worker processes (default: one a GPU or CPU core)")
    parser.add_argument("--dry-run", action="store_true", help="print the plan and stop")
    parser.add_argument("--detach", action="store_true", help="run in the background, in a session of its own")


def run(arguments: argparse.Namespace) -> Exit:
    """Run the study; narration goes to stderr, what came out of it to stdout."""
    if arguments.dry_run:
        return plan_command.run(arguments)
    study = read_study(arguments.study)
    phases = None if arguments.phase is None else [study.phase(name).name for name in arguments.phase]
    folder = StudyFolder(arguments.results, study.name)
    corpus = read_corpus(study.corpus, study.corpus_base)
    places = worker_places(arguments.device, arguments.workers)
    _check_blocks(study, corpus)
    if arguments.detach:
        return _detach(arguments, folder)
    try:
        with StudyLock(folder.lock):
            runner = Runner(study, corpus, folder, places, phases=phases, observe=lambda runner: view.observe(runner))
            _check_corpus(runner.state, corpus, folder)
            if not runner.has_work():
                narrator().print("Nothing to do: every trial of this study has ended.")
            else:
                for number in (signal.SIGINT, signal.SIGTERM):
                    signal.signal(number, lambda number, _: runner.interrupt(signal.Signals(number)))
                with view_for(narrator()) as view:
                    runner.run()
    except StudyHeldError as error:
        complain(str(error))
        return Exit.HELD
    except RunnerError as error:
        complain(str(error))
        return Exit.TRIALS_FAILED
    if runner.interrupted:
        narrator().print("Interrupted; the same command goes on from here.")
        return Exit.INTERRUPTED
    return _close(arguments, study, runner.state, folder)


def _close(arguments: argparse.Namespace, study: Study, state: StudyState, folder: StudyFolder) -> Exit:
    """Print what came out and return how it ended."""
    counts = state.counts()
    if arguments.json:
        print(json.dumps({"study": study.name, "results": str(folder.path), **counts}))
    else:
        from litegpt.cli.closing import print_closing

        print_closing(study, state, folder)
    return Exit.TRIALS_FAILED if counts["failed"] or counts["diverged"] else Exit.WELL


def _check_blocks(study: Study, corpus: CorpusText) -> None:
    """Refuse a corpus that is shorter than a block of any trial the study can have."""
    candidates = (bound.candidates for bound in study.bounds.values())
    blocks = [trial.block_size for candidate in candidates if candidate for trial in candidate.trials]
    corpus.check_length(max(blocks, default=1), study.validation_fraction)


def _check_corpus(state: StudyState, corpus: CorpusText, folder: StudyFolder) -> None:
    """Refuse to mix results of two texts."""
    if state.corpus is None and state.counts()["done"]:
        raise InputError("these results were imported from another program; name the study otherwise", folder.path)
    if state.corpus is not None and state.corpus.sha256 not in (None, corpus.sha256):
        raise InputError(
            "the corpus is not the text that these results were trained on; "
            "name the study otherwise in [study], or use another --results folder",
            folder.path,
        )


def _detach(arguments: argparse.Namespace, folder: StudyFolder) -> Exit:
    """Start the same run in a session of its own, so that a closed terminal does not end it."""
    command = [sys.executable, "-m", "litegpt.cli.run", str(arguments.study), "--results", str(arguments.results)]
    command += ["--device", arguments.device]
    for name in arguments.phase or ():
        command += ["--phase", name]
    if arguments.workers is not None:
        command += ["--workers", str(arguments.workers)]
    folder.path.mkdir(parents=True, exist_ok=True)
    with folder.log.open("ab") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    narrator().print(f"Running in the background as process {process.pid}; its log is {folder.log}", soft_wrap=True)
    return Exit.WELL


if __name__ == "__main__":
    sys.exit(main())
