"""Damaged messages: each ends with a reason, none with a fault of ours."""

from pathlib import Path

import pytest

from pv_stream.ingest.intake import Intake
from tests.fuzzing import FIXTURES, check, corpus_of, mutants, new_intake

MUTANTS = 1_000


@pytest.fixture(scope="module")
def intake() -> Intake:
    """What readers need, with a fixed key and clock."""
    return new_intake()


def test_a_damaged_message_ends_with_a_reason(intake: Intake, seed: int, tmp_path: Path) -> None:
    wrong = {}
    accepted = rejected = 0
    for name, suffix, content in mutants(corpus_of([FIXTURES]), str(seed), MUTANTS):
        seen = check(content, suffix, intake, tmp_path)
        accepted, rejected = accepted + seen.ended["accepted"], rejected + seen.ended["rejected"]
        if seen.wrong:
            wrong[name] = seen.wrong
    assert wrong == {}
    assert min(accepted, rejected) > MUTANTS // 10, "the mutants must be some of both, or they show nothing"


def test_damaged_public_samples_end_with_a_reason(
    intake: Intake, seed: int, sample_data: Path, tmp_path: Path
) -> None:
    corpus = corpus_of([sample_data])
    wrong = {
        name: seen.wrong
        for name, suffix, content in mutants(corpus, f"samples-{seed}", MUTANTS // 5)
        if (seen := check(content, suffix, intake, tmp_path)).wrong
    }
    assert wrong == {}
