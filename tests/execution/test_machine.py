"""The state machine of `machine`, bounded; the nightly runs many times as many sequences."""

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.execution.machine import STEPS, EngineMachine


def test_any_sequence_holds():
    run_state_machine_as_test(
        EngineMachine,
        settings=settings(
            derandomize=True, deadline=None, max_examples=60, stateful_step_count=STEPS, database=None,
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        ),
        _min_steps=50,
    )  # fmt: skip
