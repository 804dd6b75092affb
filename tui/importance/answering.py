"""Questions about importance, answered in a process of its own.

In a thread, the import of scikit-learn alone would hold the keys up for most of a second; and its memory ends with it.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from litegpt.results.state import TrialState
from tui.importance.answers import Answer, Question, answer

if TYPE_CHECKING:
    from litegpt.analysis.importance import Score


class Answerer:
    """Starts the process with the first question and keeps it; for one thread at a time, but for `close`."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, question: Question, trials: Iterable[TrialState], scores: tuple[Score, ...] = ()) -> Answer:
        """Return the answer; waits for it."""
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tui.importance.answering"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            pickle.dump((question, list(trials), scores), self._process.stdin)
            self._process.stdin.flush()
            found: Answer = pickle.load(self._process.stdout)
        except (OSError, EOFError, ValueError, pickle.UnpicklingError):
            self.close()
            return Answer(problem="this cannot be computed: its process has ended")
        return found

    def close(self) -> None:
        """End the process, whatever it is at."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


def main() -> None:
    """Answer what comes in until there is no more."""
    questions, answers = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # a library that prints must not print into an answer
    while True:
        try:
            question, trials, scores = pickle.load(questions)
        except EOFError:
            return
        pickle.dump(answer(question, trials, scores), answers)
        answers.flush()


if __name__ == "__main__":
    main()
