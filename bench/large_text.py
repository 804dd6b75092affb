"""Time and memory for the tokens of a large text, and the effect of its size on training speed.

The text is generated from the novella's words in random order. One word in fifty is invented, so that a gigabyte has a
million different words. Each tokenizer runs in a process of its own. Its peak memory includes the processes that it
starts. Training on a large, a small and a streamed text is measured in turns and compared by medians.

    python bench/large_text.py --megabytes 1000
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from litegpt.study.split import SplitRule
from litegpt.study.trial import Trial
from litegpt.text.corpus import read_corpus
from litegpt.text.split import SplitText

CORPUS = Path(__file__).parent.parent / "data" / "novella.txt"
TOKENIZERS = {"char": 0, "byte": 0, "word": 8192, "bpe": 8192}
INVENTED = 50  # one word of this many is invented
ROUNDS = 7
SAMPLED_SECONDS = 0.1  # between two measurements of the memory


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--part", choices=[*TOKENIZERS, "training"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part == "training":
        print(json.dumps(training(arguments.folder)))
        return 0
    if arguments.part:
        print(json.dumps(tokenising(arguments.part, arguments.folder)))
        return 0
    figures: dict[str, Any] = {"megabytes": arguments.megabytes}
    folder = Path(tempfile.mkdtemp(prefix="large-text-"))
    try:
        generate(folder / "text.txt", arguments.megabytes)
        for part in (*TOKENIZERS, "training"):
            figures[part] = run_part(part, folder)
            print(part, figures[part], flush=True)
    finally:
        shutil.rmtree(folder)
    if arguments.out:
        arguments.out.write_text(json.dumps(figures, indent=1) + "\n")
    return 0


def run_part(part: str, folder: Path) -> dict[str, float]:
    """Return the figures of a part and the peak memory of all its processes together."""
    command = [sys.executable, __file__, "--part", part, "--folder", str(folder)]
    peak = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            peak = max(peak, held_memory(psutil.Process(process.pid)))
            time.sleep(SAMPLED_SECONDS)
        assert process.stdout is not None
        figures: dict[str, float] = json.load(process.stdout)
    return {**figures, "peak_megabytes": round(peak / 1e6)}


def held_memory(process: psutil.Process) -> int:
    """Return the bytes that a process and its children hold; shared pages count for each of them."""
    held = 0
    with contextlib.suppress(psutil.NoSuchProcess):
        for each in (process, *process.children(recursive=True)):
            held += each.memory_info().rss
    return held


def generate(path: Path, megabytes: int) -> None:
    """Write a text of the given size."""
    rng = random.Random(1)
    words = CORPUS.read_text(encoding="utf-8").split(" ")
    with path.open("w", encoding="utf-8") as file:
        while file.tell() < megabytes * 10**6:
            line = rng.choices(words, k=100_000)
            for index in range(0, len(line), INVENTED):
                line[index] = "".join(rng.choices("etaoinshrdlu", k=rng.randint(3, 9)))
            file.write(" ".join(line) + "\n")


def tokenising(tokenizer: str, folder: Path) -> dict[str, float]:
    """Return the seconds for scanning a text, learning its vocabulary and encoding it."""
    import torch  # noqa: F401 - a worker has loaded it, so its memory counts

    from litegpt.train.tokens import tokenised
    from litegpt.train.vocabulary import tokenizer_for

    trial = Trial(2, 2, 64, 32, 32, 1e-3, 100, tokenizer=tokenizer, vocab_size=TOKENIZERS[tokenizer])
    started = time.perf_counter()
    text = SplitText(read_corpus("text.txt", folder), SplitRule())
    characters = text.corpus.characters
    scanned = time.perf_counter()
    learned_tokenizer = tokenizer_for(trial, text, folder)
    learned = time.perf_counter()
    train, validation = tokenised(text, learned_tokenizer, folder / "tokens")
    ended = time.perf_counter()
    return {
        "scan_seconds": round(scanned - started, 1),
        "vocabulary_seconds": round(learned - scanned, 1),
        "token_seconds": round(ended - learned, 1),
        "seconds": round(ended - started, 1),
        "million_tokens": round((len(train) + len(validation)) / 1e6, 1),
        "tokens_per_character": round((len(train) + len(validation)) / characters, 3),
    }


def training(folder: Path) -> dict[str, float]:
    """Return updates per second on the novella, on the large text and on the streamed text, and their ratios."""
    import torch
    from speed import in_turns, packs, read_novella, shape

    from litegpt.estimate.packs import Tuning
    from litegpt.train.pack import configure_torch, resolve_precision
    from litegpt.train.tokenized_corpus import TokenizedCorpus
    from litegpt.train.tokenizer import CharacterTokenizer
    from litegpt.train.tokens import tokenised

    trial = shape(128, 16, 64, 4)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    configure_torch()
    text = SplitText(read_corpus("text.txt", folder), SplitRule())
    tokens = tokenised(text, CharacterTokenizer(text.corpus.symbols), folder / "tokens")
    novella = read_novella(device)
    vocab_size = len(text.corpus.symbols)
    corpora = {
        "novella": novella,
        "large": TokenizedCorpus(*tokens, vocab_size, device),
        "streamed": TokenizedCorpus(*tokens, vocab_size, device, streamed=True),
    }
    precision = resolve_precision("auto", device)
    ways = {name: partial(packs, trial, corpus, precision, Tuning(1), 2.0) for name, corpus in corpora.items()}
    medians = in_turns(ways, ROUNDS)
    return {
        **{f"{name}_updates_per_second": round(median, 2) for name, median in medians.items()},
        "large_to_novella": round(medians["large"] / medians["novella"], 3),
        "streamed_to_large": round(medians["streamed"] / medians["large"], 3),
    }


if __name__ == "__main__":
    sys.exit(main())
