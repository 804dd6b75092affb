"""`litegpt-run STUDY.toml`: run or resume a study without the console."""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import subprocess
import sys
import threading

from litegpt import __version__
from litegpt.arguments import Parser
from litegpt.cli import plan as plan_command
from litegpt.cli.command import Exit, complain, guarded, narrator
from litegpt.cli.preflight import check_blocks, check_memory, check_results
from litegpt.display import inert
from litegpt.errors import InputError
from litegpt.extras import require
from litegpt.processes import module_command
from litegpt.results.folder import StudyFolder
from litegpt.results.state import StudyState
from litegpt.run.device_discovery import worker_slots
from litegpt.run.edited import edits
from litegpt.run.failures import failed_trials
from litegpt.run.lock import StudyHeldError, StudyLock, describe_holder, require_locks
from litegpt.run.packing import Packing
from litegpt.run.phases import resolve_study
from litegpt.run.runner import Runner
from litegpt.run.runner_journal import RunnerError
from litegpt.run.view import view_for
from litegpt.run.watch import Patience, Watch
from litegpt.run.workers import open_log
from litegpt.study.remarks import remarks
from litegpt.study.study import Study, read_study
from litegpt.text.corpus import Corpus, read_corpus
from litegpt.text.split import SplitText

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def main(argv: list[str] | None = None) -> int:
    """Run the script `litegpt-run`."""
    parser = Parser(prog="litegpt-run", description="Run or resume a study without the console.")
    parser.add_argument("--version", action="version", version=__version__)
    add_arguments(parser)
    arguments = parser.parse_args(argv)
    return guarded(lambda: run(arguments))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    plan_command.add_arguments(parser)
    parser.add_argument("--phase", action="append", metavar="NAME", help="run only this phase (may be repeated)")
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda or cuda:N")
    parser.add_argument("--workers", type=int, metavar="N", help="worker processes (default: one per GPU or CPU core)")
    parser.add_argument(
        "--patience",
        type=float,
        default=Patience.progress_seconds,
        metavar="SECONDS",
        help=f"end a worker that makes no progress for this long (default: {Patience.progress_seconds:g})",
    )
    parser.add_argument(
        "--pack-width", type=int, metavar="N", help="train at most N trials of one shape together (default: automatic)"
    )
    parser.add_argument("--dry-run", action="store_true", help="print the plan and stop")
    parser.add_argument("--detach", action="store_true", help="run in the background, even after the terminal closes")


def run(arguments: argparse.Namespace) -> Exit:
    """Run the study; progress goes to stderr, the result to stdout."""
    require_locks()
    study = read_study(arguments.study)
    phases = None if arguments.phase is None else [study.phase(name).name for name in arguments.phase]
    slots = worker_slots(arguments.device, arguments.workers)
    patience = _patience(arguments.patience)
    if arguments.pack_width is not None and arguments.pack_width < 1:
        raise InputError(f"--pack-width {arguments.pack_width}: a pack holds at least one trial")
    if arguments.dry_run:
        return plan_command.run(arguments)
    require("torch", "training")
    folder = StudyFolder(arguments.results, study.name)
    corpus = read_corpus(study.corpus, study.corpus_base)
    check_blocks(study, corpus)
    packing = Packing(slots, len(corpus.symbols), arguments.results, arguments.pack_width)
    check_memory(study, corpus, packing.device, len(slots))
    if arguments.detach:
        return _detach(arguments, folder)
    try:
        with StudyLock(folder) as lock:

            def observe(runner: Runner) -> None:
                lock.renew()
                lock.set_waiting(runner.waiting_for_disk)
                view.observe(runner)

            runner = Runner(study, corpus, folder, packing, phases=phases, watch=Watch(patience))
            _answer_signals(runner)
            check_results(study, runner.state, corpus, folder)
            if lock.left_by is not None:
                _narrate(f"The last runner, {describe_holder(lock.left_by)}, was killed; resuming from its results.")
            for remark in remarks(resolve_study(study, runner.state)):
                _narrate(remark)
            _report_edits("The study file was edited since the last run", study, runner.state, folder)
            if not runner.has_work():
                _narrate("Nothing to do: every trial of this study has ended.")
            else:
                _start_measuring_baselines(study, corpus, folder)
                with view_for(narrator()) as view:
                    runner.run(observe)
                for failed in failed_trials(runner.state, folder):
                    _narrate(failed.line)
                _report_edits("The study file was edited during the run", study, runner.state, folder, reread=True)
    except StudyHeldError as error:
        complain(str(error))
        return Exit.HELD
    except (RunnerError, OSError) as error:
        complain(f"the run cannot continue: {error}")
        return Exit.TRIALS_FAILED
    if runner.interrupted:
        # A further signal must not end the process before it has returned its exit code.
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        _narrate("Interrupted; the same command resumes the run.")
        return Exit.INTERRUPTED
    return _close(arguments, study, runner.state, folder)


def _narrate(line: str) -> None:
    narrator().print(inert(line), soft_wrap=True)


def _patience(seconds: float) -> Patience:
    if not seconds > 0:
        raise InputError(f"--patience {seconds:g}: must be a number of seconds above 0")
    return Patience(progress_seconds=seconds, silence_seconds=min(seconds, Patience.silence_seconds))


def _answer_signals(runner: Runner) -> None:
    """Write checkpoints on INT, TERM and HUP; under `nohup`, which ignores HUP, HUP stays ignored."""

    def answer(number: int, _: object) -> None:
        # A second HUP may arrive while Python exits and has already removed its handlers.
        if number == signal.SIGHUP:
            signal.signal(number, signal.SIG_IGN)
        runner.interrupt(signal.Signals(number))

    numbers = list(STOP_SIGNALS)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    for number in numbers:
        signal.signal(number, answer)


def _report_edits(what: str, study: Study, state: StudyState, folder: StudyFolder, reread: bool = False) -> None:
    try:
        differences = edits(read_study(study.path) if reread else study, state, folder)
    except InputError as error:
        differences = [str(error)]
    if differences:
        _narrate(f"{what}: {'; '.join(differences)}.")


def _close(arguments: argparse.Namespace, study: Study, state: StudyState, folder: StudyFolder) -> Exit:
    """Print the result of the run and return its exit code."""
    counts = state.counts()
    if arguments.json:
        print(json.dumps({"study": study.name, "results": str(folder.path), **counts}))
    else:
        from litegpt.cli.closing import print_closing

        print_closing(study, state, folder)
    return Exit.TRIALS_FAILED if counts["failed"] or counts["diverged"] else Exit.WELL


def _start_measuring_baselines(study: Study, corpus: Corpus, folder: StudyFolder) -> None:
    """Measure the n-gram baselines, which the console draws, while the trials run."""
    from litegpt.analysis.baselines import measure_baselines

    def measure() -> None:
        with contextlib.suppress(InputError):
            measure_baselines(folder, SplitText(corpus, study.split))

    threading.Thread(target=measure, name="baselines", daemon=True).start()


def _detach(arguments: argparse.Namespace, folder: StudyFolder) -> Exit:
    """Start the same run in a new session, so that it survives a closed terminal."""
    command = module_command("litegpt.cli.run", str(arguments.study), "--results", str(arguments.results))
    command += ["--device", arguments.device, "--patience", str(arguments.patience)]
    for name in arguments.phase or ():
        command += ["--phase", name]
    if arguments.workers is not None:
        command += ["--workers", str(arguments.workers)]
    if arguments.pack_width is not None:
        command += ["--pack-width", str(arguments.pack_width)]
    folder.path.mkdir(parents=True, exist_ok=True)
    # The runner inherits the ignored HUP, so that only a request, INT or TERM stops it.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with open_log(folder.log) as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    narrator().print(f"Running in the background as process {process.pid}; its log is {folder.log}", soft_wrap=True)
    return Exit.WELL


if __name__ == "__main__":
    sys.exit(main())
