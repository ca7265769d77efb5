"""Ray behind the same executor: the same table, what is done stands, and one sentence where there is none."""

import importlib.util
import os
import signal
import sys

import pytest

from ironcrab.domain.fault import InputFault
from ironcrab.mode import cluster
from ironcrab.mode.anew import Span
from ironcrab.mode.axes import Part, axis, rows
from ironcrab.mode.generating import generate
from ironcrab.mode.sweeping import Partial, plan, sweep
from ironcrab.mode.synthetic import MarketParams

TREE = {"strategies": ["ema"], "outlets": [], "wallet": {"native_sol_lamports": 0}}
needs_ray = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="skipped: ray is not installed (extra `ray`)"),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cluster") / "market"
    generate(MarketParams(events=1_500, coins=4, venues=("raydium",), states=False, launch_every=0), folder)
    return plan("tests", TREE, rows((axis("ema.fast=2..7"),)), (str(folder),), ((Part(0, "whole", Span()),),))


def test_without_ray_it_says_what_to_install(made, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputFault, match=r"pip install 'ironcrab\[ray\]'"):
        sweep(made, tmp_path / "t.parquet", 2, None, cluster.over_ray("local"))


@pytest.mark.parametrize("jobs", [pytest.param(jobs, marks=needs_ray) for jobs in (1, 2)])
def test_the_same_table(made, tmp_path, jobs):
    assert sweep(made, tmp_path / "a", jobs, None, cluster.over_ray("local")) == sweep(made, tmp_path / "b", 1)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def die(_planned, _task):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("address", [pytest.param("local", marks=needs_ray)])
def test_a_worker_that_dies(made, tmp_path, monkeypatch, address):
    with monkeypatch.context() as patch:
        patch.setattr(cluster, "_work", die)
        with pytest.raises(InputFault, match=r"a worker died .* 0 of 6 lines done"):
            sweep(made, tmp_path / "t", 2, None, cluster.over_ray(address))
    assert Partial(tmp_path / "t.partial", made).lines == []
    assert len(sweep(made, tmp_path / "t", 2, None, cluster.over_ray(address))) == 6


@pytest.mark.parametrize("address", [pytest.param("127.0.0.1:1", marks=needs_ray)])
def test_a_cluster_that_is_not_there(made, tmp_path, address):
    with pytest.raises(InputFault, match=r"--ray 127\.0\.0\.1:1: ") as fault:
        sweep(made, tmp_path / "t", 2, None, cluster.over_ray(address))
    assert "\n" not in str(fault.value)
