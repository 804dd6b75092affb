"""A generated study of the original's size: 1,689 finished trials with their curves."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from pathlib import Path

from litegpt.results.events import PhasePlanned, StudyStarted, TrialEnded, TrialQueued, TrialStarted
from litegpt.results.folder import StudyFolder
from litegpt.results.journal import Journal
from litegpt.results.lines import LineWriter
from litegpt.results.metric import TrialMetrics, bits_per_char
from litegpt.results.metrics import Evaluation
from litegpt.results.state import CorpusIdentity
from litegpt.study.expand import expand
from litegpt.study.study import read_study
from litegpt.study.trial import Trial

ROOT = Path(__file__).parents[1]

PHASES = (("phase1", 1316, 500, 5), ("phase2", 320, 1500, 15), ("phase3", 45, 5000, 50), ("phase4", 8, 10000, 100))
"""The name, trials, iterations and evaluations per trial of each phase of the original study."""


def loss_at(rng: random.Random, base: float, share: float) -> float:
    return base + (4.4 - base) * math.exp(-6 * share) + rng.gauss(0, 0.01)


def evaluations(trial: Trial, count: int, rng: random.Random) -> Iterator[Evaluation]:
    base = 1.6 + rng.random() + 0.3 / trial.n_layer
    for index in range(count):
        step = round(trial.max_iters * (index + 1) / count)
        val = loss_at(rng, base, (index + 1) / count)
        yield Evaluation(
            step=step,
            train_loss=val - 0.05,
            val_loss=val,
            final_loss=val - 0.02,
            bits_per_char=bits_per_char(val),
            seconds=step * 0.01,
            tokens_per_second=1e5,
            learning_rate=trial.learning_rate,
            pack_width=1,
            attempt=1,
        )


def generate_study(root: Path) -> tuple[StudyFolder, Path]:
    """Write the journal and the metrics of a finished study, and the study file."""
    text = (ROOT / "studies" / "four_phases.toml").read_text(encoding="utf-8")
    study_path = root / "four_phases.toml"
    study_path.write_text(text.replace("../data/", f"{ROOT}/data/"), encoding="utf-8")
    study = read_study(study_path)
    folder = StudyFolder(root / "results", study.name)
    rng = random.Random(0)
    expansion = expand(study.phases[0])
    assert expansion is not None
    with Journal(folder.journal, study.name) as journal:
        corpus = CorpusIdentity("novella.txt", "0" * 64, 112_191, 86)
        journal.append(
            StudyStarted(
                study=study.name, corpus=corpus, versions={}, host="bench", pid=1, devices=["cpu"], precision="fp32"
            )
        )
        for phase, count, iterations, points in PHASES:
            trials = [Trial(**{**t.settings(), "max_iters": iterations}) for t in expansion.trials[:count]]
            events = [PhasePlanned(phase=phase, trials=[t.id for t in trials])]
            journal.append(*events, *(TrialQueued(phase=phase, settings=trial) for trial in trials))
            for trial in trials:
                rows = list(evaluations(trial, points, rng))
                with LineWriter(folder.trial(phase, trial.id).metrics) as writer:
                    writer.append(*(row.record() for row in rows))
                best = min(rows, key=lambda row: row.val_loss or math.inf)
                journal.append(
                    TrialStarted(
                        phase=phase, trial=trial.id, attempt=1, worker="w", device="cpu", precision="fp32", pack="p",
                        pack_width=1,
                    )
                )  # fmt: skip
                journal.append(ended(phase, trial, rows[-1], best))
    return folder, study_path


def ended(phase: str, trial: Trial, last: Evaluation, best: Evaluation) -> TrialEnded:
    return TrialEnded(
        phase=phase,
        trial=trial.id,
        attempt=1,
        state="done",
        metrics=TrialMetrics(
            step=last.step,
            seconds=last.seconds,
            train_loss=last.train_loss,
            val_loss=last.val_loss,
            best_val_loss=best.val_loss,
            best_val_step=best.step,
            final_loss=last.final_loss,
            tokens_per_second=last.tokens_per_second,
        ),
    )
