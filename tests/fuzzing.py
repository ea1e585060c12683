"""A corpus mutator: real messages, damaged in the ways in which messages are damaged, through the whole of ingest.

    python -m tests.fuzzing --mutants 100000 [--seed N] [FILE...]      (make fuzz)

Each mutant is made from a message of the corpus by a few changes: bytes turned over, pieces cut out, doubled, moved,
taken from another message, numbers and words made extreme, brackets and delimiters put in, nesting made deep. It goes
through files, formats and readers as `pv-stream ingest` takes it. What fails is written beside its seed.
"""

import argparse
import random
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pv_stream.codec.events import Rejection, decode_event, encode_event
from pv_stream.domain.times import parse_instant
from pv_stream.ingest.drugs import DrugList
from pv_stream.ingest.feed import Feed
from pv_stream.ingest.intake import Intake
from pv_stream.ingest.outcomes import RejectCode
from pv_stream.ingest.pseudonyms import Pseudonyms
from pv_stream.ingest.rejects import RejectStore
from pv_stream.rulebooks import load_default

FIXTURES: Final = Path(__file__).parent / "fixtures"
_SUFFIXES: Final = frozenset({".hl7", ".json", ".jsonl", ".ndjson", ".xml", ".sgm"})
_RECORD_BYTES_MAX: Final = 1_048_576
_MUTANT_BYTES_MAX: Final = 400_000
_CHANGES_MAX: Final = 6
_WORD: Final = re.compile(rb"[A-Za-z0-9.]{1,30}")
_NUMBER: Final = re.compile(rb"\d+(?:\.\d+)?")
_HOSTILE: Final = (
    b"", b"0", b"-1", b"1e999", b"9" * 400, b"0." + b"0" * 300 + b"1", b"NaN", b"Infinity", b"null", b"true", b"[]",
    b"{}", b'""', b"\x00", b"\xff\xfe", b"\xed\xa0\x80", "\u202e".encode(), "\u00b5".encode(), b"\\", b"\\X0D\\",
    b"\\u0000", b"|" * 200, b"^~\\&", b"\r", b"\n", b"\r\n", b"\x0b", b"\x1c\r", b"<", b"&a;", b"&#0;", b"]]>",
    b"<![CDATA[", b"<!DOCTYPE x [<!ENTITY a 'a'>]>", b"<?xml version='1.0' encoding='utf-7'?>",
    b"20210230250000+9999", b"99991231235959", b"0000", b"00010101", b"2021-02-30T25:61:61Z", b"[" * 3000,
    b'{"a":' * 3000, b"<a>" * 3000,
)  # fmt: skip

Change = Callable[[bytes, random.Random, Sequence[bytes]], bytes]


def _piece(content: bytes, rng: random.Random) -> tuple[int, int]:
    start = rng.randrange(len(content) + 1)
    return start, min(len(content), start + rng.choice((1, 2, 8, 40, 400)))


def _turn_over(content: bytes, rng: random.Random, _: Sequence[bytes]) -> bytes:
    if not content:
        return content
    at = rng.randrange(len(content))
    return content[:at] + bytes([content[at] ^ (1 << rng.randrange(8))]) + content[at + 1 :]


def _cut_out(content: bytes, rng: random.Random, _: Sequence[bytes]) -> bytes:
    start, end = _piece(content, rng)
    return content[:start] + content[end:]


def _cut_off(content: bytes, rng: random.Random, _: Sequence[bytes]) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def _double(content: bytes, rng: random.Random, _: Sequence[bytes]) -> bytes:
    start, end = _piece(content, rng)
    return content[:end] + content[start:end] * rng.choice((1, 2, 50)) + content[end:]


def _move(content: bytes, rng: random.Random, _: Sequence[bytes]) -> bytes:
    start, end = _piece(content, rng)
    rest = content[:start] + content[end:]
    at = rng.randrange(len(rest) + 1)
    return rest[:at] + content[start:end] + rest[at:]


def _take_from_another(content: bytes, rng: random.Random, corpus: Sequence[bytes]) -> bytes:
    other = rng.choice(corpus)
    start, end = _piece(other, rng)
    at = rng.randrange(len(content) + 1)
    return content[:at] + other[start:end] + content[at:]


def _exchange_words(content: bytes, rng: random.Random, corpus: Sequence[bytes]) -> bytes:
    return _replaced(_WORD, content, rng, _any_word(rng.choice(corpus), rng))


def _make_extreme(content: bytes, rng: random.Random, _: Sequence[bytes]) -> bytes:
    return _replaced(rng.choice((_NUMBER, _WORD)), content, rng, rng.choice(_HOSTILE))


def _put_in(content: bytes, rng: random.Random, _: Sequence[bytes]) -> bytes:
    at = rng.randrange(len(content) + 1)
    return content[:at] + rng.choice(_HOSTILE) + content[at:]


def _change_characters(content: bytes, rng: random.Random, _: Sequence[bytes]) -> bytes:
    text = content.decode("utf-8", errors="replace")
    return text.encode(
        rng.choice(("utf-16", "utf-16-le", "utf-32", "latin-1", "utf-8-sig")), errors="replace"
    )


def _replaced(pattern: re.Pattern[bytes], content: bytes, rng: random.Random, by: bytes) -> bytes:
    found = list(pattern.finditer(content))
    if not found:
        return content + by
    match = rng.choice(found)
    return content[: match.start()] + by + content[match.end() :]


def _any_word(content: bytes, rng: random.Random) -> bytes:
    found = _WORD.findall(content)
    word: bytes = rng.choice(found) if found else b""
    return word


_CHANGES: Final[tuple[Change, ...]] = (
    _turn_over, _cut_out, _cut_off, _double, _move, _take_from_another, _exchange_words, _make_extreme, _put_in,
    _change_characters,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Seen:
    """Hold what one mutant led to: how its messages ended, and what was wrong (empty: nothing)."""

    ended: Counter[str]
    wrong: str


def corpus_of(paths: Sequence[Path]) -> list[tuple[str, bytes]]:
    """Return suffix and bytes of every message file among, or below, some paths, in a fixed order."""
    files = (file for path in paths for file in ([path] if path.is_file() else sorted(path.rglob("*"))))
    return [(file.suffix, file.read_bytes()) for file in files if file.suffix in _SUFFIXES]


def mutants(corpus: Sequence[tuple[str, bytes]], seed: str, count: int) -> Iterator[tuple[str, str, bytes]]:
    """Yield (name, suffix, bytes) of some mutants; the same for the same seed."""
    contents = [content for _, content in corpus]
    for number in range(count):
        name = f"{seed}-{number}"
        rng = random.Random(name)
        suffix, content = rng.choice(corpus)
        for _ in range(min(rng.randint(1, _CHANGES_MAX), rng.randint(1, _CHANGES_MAX))):
            content = rng.choice(_CHANGES)(content, rng, contents)[:_MUTANT_BYTES_MAX]
        yield name, suffix, content


def new_intake() -> Intake:
    """Return what readers need, with a fixed key and clock."""
    rulebook = load_default()
    now = parse_instant("2026-11-21T12:00:00Z")
    return Intake(Pseudonyms(b"a key of the fuzzing"), rulebook, DrugList(rulebook), now, received_at=now)


def check(content: bytes, suffix: str, intake: Intake, folder: Path) -> Seen:
    """Take one mutant through ingest: a reason for each message, no fault of ours, events that the log takes."""
    path = folder / f"mutant{suffix}"
    path.write_bytes(content)
    feed = Feed(intake, RejectStore(folder / "rejects"), _RECORD_BYTES_MAX)
    wrong = ""
    try:
        for event in feed.read([path]):
            line = encode_event(event)
            back = decode_event(line)
            if isinstance(back, Rejection) or encode_event(back) != line:
                wrong = "an event that the log does not take as it was written"
    except Exception as error:  # noqa: BLE001 - any exception is the finding
        wrong = f"{type(error).__name__} came out of ingest"
    report = feed.report
    if RejectCode.INTERNAL_ERROR.value in {*report.rejected, *report.entries_rejected}:
        wrong = wrong or "internal_error"
    if not report.messages.total():
        wrong = wrong or "no outcome"
    return Seen(report.messages, wrong)


def main(arguments: Sequence[str] | None = None) -> int:
    """Make mutants, say how they ended, and keep those that went wrong; return how many did."""
    parser = argparse.ArgumentParser(
        description="Damage real messages and see that ingest gives a reason for each."
    )
    parser.add_argument("paths", nargs="*", type=Path, help="files or folders (default: the fixtures)")
    parser.add_argument("--mutants", type=int, default=20_000)
    parser.add_argument("--seed", default="1")
    chosen = parser.parse_args(arguments)
    corpus = corpus_of(chosen.paths or [FIXTURES])
    intake, ended, wrong = new_intake(), Counter[str](), 0
    kept = Path(tempfile.gettempdir()) / "pv-stream-mutants"
    with tempfile.TemporaryDirectory() as folder:
        for done, (name, suffix, content) in enumerate(mutants(corpus, chosen.seed, chosen.mutants), start=1):
            seen = check(content, suffix, intake, Path(folder))
            ended += seen.ended
            if seen.wrong:
                wrong += 1
                kept.mkdir(exist_ok=True)
                (kept / f"{name}{suffix}").write_bytes(content)
                sys.stdout.write(f"{kept / name}{suffix}: {seen.wrong}\n")
            if done % 1000 == 0 and sys.stderr.isatty():
                sys.stderr.write(f"\r{done:,} of {chosen.mutants:,} mutants")
    told = ", ".join(f"{count:,} {name}" for name, count in sorted(ended.items()))
    sys.stdout.write(f"{chosen.mutants:,} mutants of {len(corpus)} messages: {told}; {wrong} went wrong\n")
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main())
