"""Whatever goes wrong, and whenever: every record of the input is processed once, and nothing else is told.

A failure prints the plan that reproduces it and what happened; docs/simulation.md says how to repeat it.
"""

import random

import pytest
from hypothesis import HealthCheck, Phase, example, find, given, note, settings
from hypothesis.errors import NoSuchExample

from tests.simulation.checkers import check
from tests.simulation.faults import Fault, Kind, Plan, plans
from tests.simulation.jobs import Clinical, Counting
from tests.simulation.mutants import MUTANTS, Mutant
from tests.simulation.world import Job, simulate

#: Faults that each example has a few of make a run long: no finding.
patient = settings(suppress_health_check=[HealthCheck.too_slow])
#: A worker stands still while it opens a shard, and its successor commits before it asks for the group's offset.
STOOD_STILL_WHILE_OPENING = Plan(
    2535797847,
    (
        Fault(111, Kind.PAUSE, 1, 14.0),
        Fault(112, Kind.PAUSE, 0, 3.0),
        Fault(211, Kind.REBALANCE, 1, 7.0),
    ),
    workers=3,
    shards=3,
    records=30,
)
#: In this many runs every mutant is found; most are found in fewer than twenty.
MUTANT_EXAMPLES = 400
CLINICAL_EXAMPLES = settings().max_examples // 8


def run(plan: Plan, job: Job) -> None:
    """Simulate and check; when it fails, what happened is printed with the plan."""
    world = simulate(plan, job)
    for line in world.trace:
        note(line)
    check(world)


@patient
@example(STOOD_STILL_WHILE_OPENING)
@given(plans())
def test_counts_are_those_of_one_fold_of_the_log(plan: Plan) -> None:
    run(plan, Counting())


@settings(patient, max_examples=CLINICAL_EXAMPLES)
@given(plans())
def test_what_is_told_of_merged_patients_is_that_of_one_fold_of_the_log(plan: Plan) -> None:
    run(plan, Clinical())


def test_a_plan_gives_the_same_run_again() -> None:
    plan = Plan(7, (Fault(150, Kind.KILL), Fault(100, Kind.PAUSE, 1, 7.0)), workers=3, shards=3, records=12)
    first, second = simulate(plan, Counting()), simulate(plan, Counting())
    assert first.trace == second.trace
    assert first.awaits == second.awaits
    assert first.broker.logs == second.broker.logs


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "-"))
def test_the_simulation_sees_a_mutant(mutant: Mutant, rng: random.Random) -> None:
    """If this fails, the simulation has become blind to a fault, or that fault is none any more.

    The plan that shows it leaves the runtime as it is unharmed: what was seen is the mutant, not the plan.
    """
    searching = settings(
        max_examples=MUTANT_EXAMPLES,
        phases=(Phase.generate,),
        database=None,
        suppress_health_check=list(HealthCheck),
    )

    def is_wrong(plan: Plan) -> bool:
        try:
            check(simulate(plan, mutant.job()))
        except AssertionError:
            return True
        return False

    with mutant.applied():
        plan = next(filter(is_wrong, mutant.known), None)
        if plan is None:
            try:
                plan = find(plans(mutant.among), is_wrong, settings=searching, random=rng)
            except NoSuchExample:
                pytest.fail(f"not seen in {MUTANT_EXAMPLES} runs: {mutant.name}", pytrace=False)
    check(simulate(plan, mutant.job()))
