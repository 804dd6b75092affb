"""The bar on top of every tab: the tabs, the study and the state of its runner."""

from __future__ import annotations

from rich.markup import escape
from textual.content import Content
from textual.widgets import Static

from litegpt.display import inert
from tui.feed import Feed
from tui.view import TABS, StudyView

RUNNER_SENTENCES = {
    "crashed": ("$error", "the runner crashed; r resumes"),
    "replay": ("$accent", "replay"),
}


class TopBar(Static):
    """One line. Clicking a tab opens it."""

    def show(self, feed: Feed, view: StudyView) -> None:
        """Draw the tabs, the study and its state."""
        narrow = self.app.size.width < 110
        tabs = []
        for number, (name, title) in enumerate(TABS.items(), start=1):
            is_shown = name == view.tab
            label = title if is_shown or not narrow else title[:4]
            style = "bold $text on $primary 35%" if is_shown else "$text-muted"
            tabs.append(f"[{style} @click=app.switch_tab('{name}')] {number} {label} [/]")
        state = status(feed, "" if narrow else " trials ended")
        room = self.app.size.width - Content.from_markup("".join(tabs)).cell_length - 3
        right = Content.from_markup(state)
        if right.cell_length > room:
            right = right.truncate(max(0, room), ellipsis=True)
        gap = max(1, self.app.size.width - Content.from_markup("".join(tabs)).cell_length - right.cell_length - 1)
        self.update(Content.assemble(Content.from_markup("".join(tabs)), " " * gap, right, " "), layout=False)


def status(feed: Feed, ended_word: str) -> str:
    """Return the study's name, its runner's state and its progress as markup."""
    name = f"[bold]{escape(inert(feed.location.name or 'no study'))}[/]"
    counts = feed.state.counts()
    total, ended = counts.total, counts.ended
    parts = [name]
    if feed.runner.state in RUNNER_SENTENCES:
        style, sentence = RUNNER_SENTENCES[feed.runner.state]
        parts.append(f"[{style}]{sentence}[/]")
    if feed.runner.state in ("running", "replay"):
        training = next((phase.name for phase in feed.state.phases.values() if phase.counts()["running"]), None)
        phase = f"{escape(inert(training))} " if training else ""
        style, sign = ("$warning", "❚❚ paused") if feed.state.paused else ("$success", "●")
        if feed.runner.waiting:
            style, sign = "$error", "❚❚ waits for the disk"
        parts.append(f"[{style}]{sign} {phase}{ended:,}/{total:,}[/]")
    elif total:
        parts.append(f"[$text-muted]{ended:,}/{total:,}{ended_word}[/]")
    return " [$text-muted]·[/] ".join(parts)
