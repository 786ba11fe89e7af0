"""The placed of what is where: choices, evictions, and invariants under random histories."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from mmectl.local.fleet.estimates import FootprintEstimates
from mmectl.local.fleet.placement import (
    LEAST_OUTSTANDING,
    RANDOM,
    Evictions,
    ExceedsInstanceError,
    OverBudgetError,
    Phase,
    Placement,
    Replica,
)

MB = 1 << 20


def placed(
    *names: str, memory: int = 100, disk: int = 1000, spread_at: int = 2, routing: str = RANDOM
) -> Placement:
    placement = Placement(spread_at, routing, pick=min)
    for name in names:
        placement.add(name, memory, disk)
        placement.ready(name)
    return placement


def hold(placement: Placement, instance: str, target: str, memory: int, disk: int = 10) -> None:
    placement.begin_load(instance, target)
    placement.reserve(instance, target, memory, disk)
    placement.loaded(instance, target, memory)


def test_a_model_sticks_to_its_instance() -> None:
    placement = placed("a", "b")
    assert placement.choose("m") == "a"
    hold(placement, "b", "m", 10)
    assert placement.choose("m") == "b"


def test_requests_go_where_the_model_is_being_loaded() -> None:
    placement = placed("a", "b")
    placement.begin_load("b", "m")
    assert placement.choose("m") == "b"


def test_a_new_model_goes_where_most_memory_is_free() -> None:
    placement = placed("a", "b")
    hold(placement, "a", "x", 50)
    assert placement.choose("m") == "b"


def test_a_known_model_goes_where_it_fits_before_where_its_files_are() -> None:
    placement = placed("a", "b")
    hold(placement, "a", "m", 60)
    placement.begin_unload("a", "m")
    placement.unloaded("a", "m")
    assert placement.choose("m") == "a"
    hold(placement, "a", "x", 50)
    assert placement.choose("m") == "b"


def test_no_ready_instance_is_no_choice() -> None:
    placement = Placement()
    placement.add("a", 1, 1)
    assert placement.choose("m") is None
    placement.ready("a")
    placement.lost("a")
    assert placement.choose("m") is None


def test_the_instance_with_the_fewest_outstanding_requests_is_chosen() -> None:
    placement = placed("a", "b", routing=LEAST_OUTSTANDING)
    hold(placement, "a", "m", 10)
    hold(placement, "b", "m", 10)
    hold(placement, "b", "x", 10)
    placement.acquire("a", "m")
    assert placement.choose("m") == "b"
    held = [placement.acquire("b", "x") for _ in range(2)]
    assert placement.choose("m") == "a"
    for replica in held:
        placement.release(replica)
    assert placement.choose("m") == "b"


def test_any_of_the_holders_is_chosen_at_random() -> None:
    asked: list[list[str]] = []

    def pick(names: Sequence[str]) -> str:
        asked.append(list(names))
        return names[-1]

    placement = Placement(pick=pick)
    for name in ("a", "b", "c"):
        placement.add(name, 100, 100)
        placement.ready(name)
    hold(placement, "a", "m", 10)
    assert placement.choose("m") == "a"
    hold(placement, "c", "m", 10)
    assert placement.choose("m") == "c"
    assert asked == [["a", "c"]]  # one holder needs no choice


def test_surplus_copies_go_one_at_a_time_and_the_last_one_stays() -> None:
    placement = placed("a", "b", "c")
    for name in ("a", "b", "c"):
        hold(placement, name, "m", 10)
    held = [placement.acquire(name, "m") for name in ("a", "b", "b", "c")]
    for replica in held:
        placement.release(replica)
    assert placement.surplus() == [("a", "m")]  # four at once need two replicas of two
    placement.begin_unload("a", "m")
    placement.unloaded("a", "m")
    assert placement.surplus() == [("b", "m")]  # nobody asked since
    placement.begin_unload("b", "m")
    placement.unloaded("b", "m")
    assert placement.surplus() == []


def test_a_surplus_copy_with_a_request_stays() -> None:
    placement = placed("a", "b")
    hold(placement, "a", "m", 10)
    hold(placement, "b", "m", 10)
    placement.acquire("a", "m")
    assert placement.surplus() == [("b", "m")]
    placement.acquire("b", "m")
    assert placement.surplus() == []


def test_what_a_model_is_expected_to_take() -> None:
    estimates = FootprintEstimates()
    assert estimates.expected("m", 40 * MB) is None
    estimates.learn("small", 10 * MB, 60 * MB)
    estimates.learn("large", 60 * MB, 200 * MB)
    estimates.learn("large too", 60 * MB, 190 * MB)
    assert estimates.expected("small", 1) == 60 * MB  # measured itself
    assert estimates.expected("m", 40 * MB) == 200 * MB  # the next larger one
    assert estimates.expected("m", 10 * MB + 5000) == 60 * MB  # an archive claims a little more
    assert estimates.expected("m", 20 * MB) is None  # all others are too small, or far larger
    assert estimates.expected("m", 90 * MB) is None
    estimates.forget("small")
    assert estimates.of("small") is None


def test_a_busy_model_spreads_once_and_only_where_it_fits() -> None:
    placement = placed("a", "b", "c")
    hold(placement, "a", "m", 30)
    held = [placement.acquire("a", "m")]
    assert placement.spread("m") is None
    held.append(placement.acquire("a", "m"))
    hold(placement, "b", "x", 5)
    assert placement.spread("m") == "c"
    placement.begin_load("c", "m")
    assert placement.spread("m") is None
    placement.loaded("c", "m", 30)
    assert placement.spread("m") is None  # the new replica has nothing to do yet
    for replica in held:
        placement.release(replica)


def test_a_busy_model_does_not_spread_onto_a_full_instance() -> None:
    placement = placed("a", "b")
    hold(placement, "a", "m", 30)
    hold(placement, "b", "x", 80)
    placement.acquire("a", "m")
    placement.acquire("a", "m")
    assert placement.spread("m") is None


def test_eviction_takes_the_least_recently_used_idle_models() -> None:
    placement = placed("a")
    for target in ("old", "busy", "mid", "new"):
        hold(placement, "a", target, 25)
    placement.acquire("a", "busy")
    placement.release(placement.acquire("a", "old"))  # used again: now the youngest
    assert placement.evictions("a", memory=20) == Evictions(unload=("mid",))
    assert placement.evictions("a", memory=50) == Evictions(unload=("mid", "new"))
    assert placement.evictions("a", memory=90).enough is False
    assert placement.oldest_idle("a") == "mid"
    assert placement.oldest_idle("a", keep="mid") == "new"


def test_disk_eviction_prefers_files_of_models_not_in_memory() -> None:
    placement = placed("a", disk=30)
    for target in ("loaded", "gone", "late"):
        hold(placement, "a", target, 10)
    placement.begin_unload("a", "late")
    placement.unloaded("a", "late")
    placement.begin_unload("a", "gone")
    placement.unloaded("a", "gone")
    assert placement.evictions("a", disk=5) == Evictions(delete=("gone",))
    plan = placement.evictions("a", disk=25)
    assert plan == Evictions(unload=("loaded",), delete=("gone", "late", "loaded"))


def test_memory_that_comes_free_is_waited_for() -> None:
    placement = placed("a")
    hold(placement, "a", "x", 50)
    hold(placement, "a", "y", 50)
    placement.begin_unload("a", "x")
    assert placement.evictions("a", memory=40) == Evictions()
    with pytest.raises(OverBudgetError):
        hold(placement, "a", "m", 40)
    placement.unloaded("a", "x")
    placement.reserve("a", "m", 40, 10)


def test_a_budget_can_shrink() -> None:
    placement = placed("a")
    hold(placement, "a", "x", 50)
    hold(placement, "a", "y", 40)
    placement.limit("a", 60, 15)
    assert placement.evictions("a") == Evictions(unload=("x",), delete=("x",))
    placement.measured("a", "y", 55)
    assert placement.cache("a").memory_used == 105
    assert placement.evictions("a") == Evictions(unload=("x",), delete=("x",))


def test_a_model_wider_than_an_instance_is_refused() -> None:
    placement = placed("a")
    with pytest.raises(ExceedsInstanceError, match="memory: needs 101 bytes, an instance has 100"):
        placement.evictions("a", memory=101)
    with pytest.raises(ExceedsInstanceError, match="disk"):
        placement.evictions("a", disk=1001)


def test_one_load_at_a_time() -> None:
    placement = placed("a")
    placement.begin_load("a", "m")
    with pytest.raises(ValueError, match="loading"):
        placement.begin_load("a", "m")


def test_what_a_model_took_after_answers_counts_when_it_is_loaded_again() -> None:
    placement = placed("a")
    hold(placement, "a", "m", 10)
    placement.measured("a", "m", 30)
    placement.begin_unload("a", "m")
    placement.unloaded("a", "m")
    hold(placement, "a", "m", 10)
    assert placement.cache("a").memory_used == 30
    placement.measured("a", "m", 20)
    assert placement.cache("a").memory_used == 20


def test_a_busy_model_is_unloaded_only_when_broken() -> None:
    placement = placed("a")
    hold(placement, "a", "m", 10)
    replica = placement.acquire("a", "m")
    with pytest.raises(ValueError, match="1 in flight"):
        placement.begin_unload("a", "m")
    placement.begin_unload("a", "m", busy=True)
    placement.unloaded("a", "m")
    placement.release(replica)
    assert placement.cache("a").memory_used == 0


def test_a_dead_server_forgets_memory_and_keeps_files() -> None:
    placement = placed("a", "b")
    hold(placement, "a", "m", 10)
    placement.begin_load("a", "n")
    placement.lost("a")
    assert placement.choose("m") == "b"
    placement.ready("a")
    found = placement.replica("a", "m")
    assert found is not None
    assert (found.phase, found.memory, found.disk) == (Phase.DISK, 0, 10)
    assert placement.replica("a", "n") is None


def test_reports_about_a_removed_instance_are_ignored() -> None:
    placement = placed("a")
    placement.begin_load("a", "m")
    placement.remove("a")
    placement.load_failed("a", "m")
    placement.unloaded("a", "m")
    placement.deleted("a", "m")
    assert placement.choose("m") is None


MODELS = ("m1", "m2", "m3", "m4", "m5")
TARGETS = st.sampled_from(MODELS)
ROUTINGS = st.sampled_from([RANDOM, LEAST_OUTSTANDING])
INSTANCES = st.sampled_from(["a", "b"])
SIZES = st.integers(1, 60)


class Histories(RuleBasedStateMachine):
    """Random loads, requests, evictions and deaths, done the way a fleet does them."""

    @initialize(disk=st.integers(60, 200), cached=st.booleans(), routing=ROUTINGS)
    def begin(self, disk: int, cached: bool, routing: str) -> None:
        self.disk, self.cached = disk, cached
        self.placement = placed("a", "b", memory=100, disk=disk, routing=routing)
        self.held: list[tuple[str, str, Replica]] = []
        self.servers = {"a", "b"}

    @rule(model=TARGETS, memory=SIZES, disk=SIZES)
    def load(self, model: str, memory: int, disk: int) -> None:
        target, instance = model, self.placement.choose(model)
        if instance is None:
            return
        found = self.placement.replica(instance, target)
        if found is not None and found.phase is not Phase.DISK:
            with pytest.raises(ValueError, match=found.phase.value):
                self.placement.begin_load(instance, target)
            return
        self.bring(instance, target, memory, disk)

    @rule(model=TARGETS, memory=SIZES, disk=SIZES)
    def spread(self, model: str, memory: int, disk: int) -> None:
        instance = self.placement.spread(model)
        if instance is None:
            return
        assert any(self.placement.in_memory(name, model) for name in self.servers)
        known = self.placement.estimates.of(model)
        assert known is not None
        assert self.placement.cache(instance).memory_used + known <= 100  # nobody is evicted for it
        self.bring(instance, model, known, disk)

    @rule()
    def scale_in(self) -> None:
        counts = {model: self.holders(model) for model in MODELS}
        for instance, target in self.placement.surplus():
            assert len(counts[target]) > 1
            self.unload(instance, target)
            assert len(self.holders(target)) == len(counts[target]) - 1

    def holders(self, target: str) -> list[str]:
        return [name for name in self.servers if self.placement.in_memory(name, target)]

    def unload(self, instance: str, target: str) -> None:
        replica = self.placement.replica(instance, target)
        assert replica is not None
        assert replica.busy == 0
        assert replica.phase is Phase.MEMORY
        self.placement.begin_unload(instance, target)

    @rule(instance=INSTANCES, model=TARGETS)
    def unloaded(self, instance: str, model: str) -> None:
        replica = self.placement.replica(instance, model)
        if replica is not None and replica.phase is Phase.UNLOADING:
            self.placement.unloaded(instance, model)
            if not self.cached:
                self.placement.deleted(instance, model)

    def bring(self, instance: str, target: str, memory: int, disk: int) -> None:
        found = self.placement.replica(instance, target)
        files = found.disk if found is not None else 0
        self.placement.begin_load(instance, target)
        plan = self.placement.evictions(
            instance, memory=memory, disk=max(disk - files, 0), keep=target
        )
        assert target not in plan.unload
        assert target not in plan.delete
        self.evict(instance, plan)
        leaving = self.placement.cache(instance).memory_leaving
        if not plan.enough or leaving:
            if plan.enough:  # it would wait for what is being unloaded
                self.placement.load_failed(instance, target, disk=files)
                return
            with pytest.raises(OverBudgetError):
                self.placement.reserve(instance, target, memory, max(disk, files))
            self.placement.load_failed(instance, target, disk=files)
            return
        self.placement.reserve(instance, target, memory, max(disk, files))

    def evict(self, instance: str, plan: Evictions) -> None:
        for victim in plan.unload:
            self.unload(instance, victim)
            if victim in plan.delete or len(plan.unload) % 2:
                self.placement.unloaded(instance, victim)
        for victim in plan.delete:
            replica = self.placement.replica(instance, victim)
            assert replica is not None
            assert replica.phase is Phase.DISK  # never of a model that is loaded or being loaded
            self.placement.deleted(instance, victim)

    @rule(instance=INSTANCES, model=TARGETS, works=st.booleans())
    def finish(self, instance: str, model: str, works: bool) -> None:
        target, replica = model, self.placement.replica(instance, model)
        if replica is None or replica.phase is not Phase.LOADING:
            return
        if works and replica.memory:
            self.placement.loaded(instance, target, replica.memory)
        else:
            self.placement.load_failed(instance, target)

    @rule(model=TARGETS)
    def request(self, model: str) -> None:
        target, instance = model, self.placement.choose(model)
        if instance is not None and self.placement.in_memory(instance, target):
            self.held.append((instance, target, self.placement.acquire(instance, target)))

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        index = data.draw(st.integers(0, len(self.held) - 1))
        instance, target, replica = self.held.pop(index)
        self.placement.release(replica)
        held = self.placement.replica(instance, target) is replica and replica.phase is Phase.MEMORY
        if held and not self.cached and replica.busy == 0:
            self.unload(instance, target)
            self.placement.unloaded(instance, target)
            self.placement.deleted(instance, target)

    @rule(instance=INSTANCES)
    def die(self, instance: str) -> None:
        self.placement.lost(instance)
        self.servers.discard(instance)

    @rule(instance=INSTANCES)
    def rise(self, instance: str) -> None:
        if instance not in self.servers:
            self.servers.add(instance)
            self.placement.ready(instance)

    @invariant()
    def within_budget(self) -> None:
        for name in ("a", "b"):
            cache = self.placement.cache(name)
            assert cache.memory_used <= 100
            assert cache.disk_used <= self.disk

    @invariant()
    def memory_is_held_only_by_what_is_in_memory(self) -> None:
        for name in ("a", "b"):
            for replica in self.placement.cache(name).replicas.values():
                assert replica.busy >= 0
                if replica.phase is Phase.DISK:
                    assert replica.memory == 0

    @invariant()
    def a_loaded_model_is_sticky(self) -> None:
        for target in MODELS:
            if self.holders(target):
                assert self.placement.choose(target) in self.holders(target)

    @invariant()
    def a_busy_model_keeps_its_memory(self) -> None:
        for instance, target, replica in self.held:
            if self.placement.replica(instance, target) is replica and instance in self.servers:
                assert replica.busy > 0
                assert replica.phase is not Phase.UNLOADING

    @invariant()
    def without_a_cache_only_what_serves_or_will_serve_is_kept(self) -> None:
        if self.cached:
            return
        for name in self.servers:
            for replica in self.placement.cache(name).replicas.values():
                assert replica.served == 0 or replica.busy or replica.phase is not Phase.MEMORY


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
