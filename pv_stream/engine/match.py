"""Match: which assessed episode is which published one (law 4).

An id is given once, from the patient and the fact that opened the episode at its first publication, and then found
again by shared evidence. Two published episodes that became one leave one survivor; one that became two keeps its
id where most of its evidence went. A sealed episode, closed under an earlier rulebook, gives way to all others.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pv_stream.domain.assessment import EpisodeAssessment, RestartAssessment
from pv_stream.domain.ids import EpisodeId, PatientId, derive_new_id
from pv_stream.domain.published import EpisodeState, PublishedEpisode, PublishedRestart


@dataclass(frozen=True, slots=True)
class Matched:
    """Hold, for each assessed episode, its id and its index among the published ones (None when it is new).

    `absorbed` maps the index of a published episode to the id of the one that took its evidence. `past` are the
    indexes of assessed episodes whose evidence belongs to sealed ones: nothing is new about them.
    """

    ids: tuple[EpisodeId, ...]
    known: tuple[int | None, ...]
    absorbed: dict[int, EpisodeId]
    past: frozenset[int] = frozenset()


def match_episodes(
    patient_id: PatientId,
    assessed: Sequence[EpisodeAssessment],
    published: Sequence[PublishedEpisode],
) -> Matched:
    """Find the identity of each assessed episode, or give it one."""
    overlaps = _overlaps(assessed, published)
    known: list[int | None] = [None] * len(assessed)
    taken: set[int] = set()
    living = {new for _, old, new in overlaps if not published[old].sealed}
    # What was taken over from a merged patient record, and never told of here, gives way to what was.
    for _, old, new in sorted(overlaps, key=lambda o: (published[o[1]].case_revision == 0, -o[0], *o[1:])):
        if published[old].sealed and new in living:
            continue
        if known[new] is None and old not in taken:
            known[new] = old
            taken.add(old)
    past = _past(assessed, published, known)
    used = {episode.episode_id for episode in published}
    ids: list[EpisodeId] = []
    for new, episode in enumerate(assessed):
        old_index = known[new]
        if old_index is not None:
            ids.append(published[old_index].episode_id)
            continue
        if new in past:
            ids.append(published[_sealed_home(new, overlaps)].episode_id)
            continue
        ids.append(_new_id(patient_id, episode, used))
        used.add(ids[-1])
    # Of several the last stands: the one that took most.
    absorbed = {old: ids[new] for _, old, new in sorted(overlaps) if old not in taken}
    return Matched(tuple(ids), tuple(known), absorbed, past)


def _past(
    assessed: Sequence[EpisodeAssessment],
    published: Sequence[PublishedEpisode],
    known: Sequence[int | None],
) -> frozenset[int]:
    sealed = {key for episode in published if episode.sealed for key in episode.members}
    if not sealed:
        return frozenset()
    return frozenset(
        new
        for new, (episode, old) in enumerate(zip(assessed, known, strict=True))
        if (old is None or published[old].sealed) and sealed.issuperset(episode.members)
    )


def _sealed_home(new: int, overlaps: Sequence[tuple[int, int, int]]) -> int:
    """Return the sealed episode that most of the evidence of an assessed one belongs to; of equals the first."""
    return min((-shared, old) for shared, old, part in overlaps if part == new)[1]


def _overlaps(
    assessed: Sequence[EpisodeAssessment], published: Sequence[PublishedEpisode]
) -> list[tuple[int, int, int]]:
    overlaps = []
    for new, episode in enumerate(assessed):
        members = frozenset(episode.members)
        for old, known in enumerate(published):
            shared = sum(key in members for key in known.members)
            if shared and known.state is not EpisodeState.SUPERSEDED:
                overlaps.append((shared, old, new))
    return overlaps


def _new_id(patient_id: PatientId, episode: EpisodeAssessment, used: set[EpisodeId]) -> EpisodeId:
    """Give an id from the opening evidence."""
    return EpisodeId(derive_new_id("ep", (patient_id, episode.members[0]), used))


def match_restarts(
    assessed: Sequence[RestartAssessment], published: Sequence[PublishedRestart]
) -> tuple[int | None, ...]:
    """Return, for each assessed restart, the index of the published one whose course it shares most of, if any."""
    overlaps = []
    for new, restart in enumerate(assessed):
        course = frozenset(restart.course)
        for old, told in enumerate(published):
            shared = sum(key in course for key in told.course)
            if shared and not set(told.last.drugs).isdisjoint(restart.drugs):
                overlaps.append((-shared, old, new))
    known: list[int | None] = [None] * len(assessed)
    for _, old, new in sorted(overlaps):
        if known[new] is None and old not in known:
            known[new] = old
    return tuple(known)
