"""Without the extra `nats` these tests are left out, and the head of the run says so."""

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("nats") else ["test_*.py"]


def pytest_report_header():
    return [] if find_spec("nats") else ["tests/nodes skipped: nats-py is not here; pip install 'ironcrab[nats]'"]
