"""A process that answers questions about importance.

In a thread, the import of scikit-learn alone would block the keys for most of a second. The process also returns its
memory when it ends.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from litegpt.processes import module_command
from litegpt.results.state import TrialState
from tui.importance.answers import Answer, Question, answer

if TYPE_CHECKING:
    from litegpt.analysis.importance import Score


class Answerer:
    """Starts the process with the first question and keeps it. Use it from one thread at a time, except `close`."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, question: Question, trials: Iterable[TrialState], scores: tuple[Score, ...] = ()) -> Answer:
        """Return the answer, after waiting for it."""
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                module_command("tui.importance.answering"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            pickle.dump((question, list(trials), scores), self._process.stdin)
            self._process.stdin.flush()
            result: Answer = pickle.load(self._process.stdout)
        except (OSError, EOFError, ValueError, pickle.UnpicklingError):
            self.close()
            return Answer(problem="this cannot be computed: the process has ended")
        return result

    def close(self) -> None:
        """Kill the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


def main() -> None:
    """Answer questions from stdin until it is closed."""
    questions, answers = sys.stdin.buffer, sys.stdout.buffer
    # A library that prints must not write into an answer.
    sys.stdout = sys.stderr
    while True:
        try:
            question, trials, scores = pickle.load(questions)
        except EOFError:
            return
        pickle.dump(answer(question, trials, scores), answers)
        answers.flush()


if __name__ == "__main__":
    main()
