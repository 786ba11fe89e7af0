"""The book of what is where: choices, evictions, and invariants under random histories."""

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

from mmectl.local.fleet.estimates import Sizes
from mmectl.local.fleet.placement import (
    LEAST_OUTSTANDING,
    RANDOM,
    Copy,
    Evictions,
    NoRoomError,
    Phase,
    Residency,
    TooWideError,
)

MB = 1 << 20


def book(
    *names: str, memory: int = 100, disk: int = 1000, spread_at: int = 2, routing: str = RANDOM
) -> Residency:
    residency = Residency(spread_at, routing, pick=min)
    for name in names:
        residency.add(name, memory, disk)
        residency.ready(name)
    return residency


def hold(residency: Residency, instance: str, target: str, memory: int, disk: int = 10) -> None:
    residency.begin_load(instance, target)
    residency.reserve(instance, target, memory, disk)
    residency.loaded(instance, target, memory)


def test_a_model_sticks_to_its_instance() -> None:
    residency = book("a", "b")
    assert residency.choose("m") == "a"
    hold(residency, "b", "m", 10)
    assert residency.choose("m") == "b"


def test_requests_go_where_the_model_is_being_loaded() -> None:
    residency = book("a", "b")
    residency.begin_load("b", "m")
    assert residency.choose("m") == "b"


def test_a_new_model_goes_where_most_memory_is_free() -> None:
    residency = book("a", "b")
    hold(residency, "a", "x", 50)
    assert residency.choose("m") == "b"


def test_a_known_model_goes_where_it_fits_before_where_its_files_are() -> None:
    residency = book("a", "b")
    hold(residency, "a", "m", 60)
    residency.begin_unload("a", "m")
    residency.unloaded("a", "m")
    assert residency.choose("m") == "a"
    hold(residency, "a", "x", 50)
    assert residency.choose("m") == "b"


def test_no_ready_instance_is_no_choice() -> None:
    residency = Residency()
    residency.add("a", 1, 1)
    assert residency.choose("m") is None
    residency.ready("a")
    residency.lost("a")
    assert residency.choose("m") is None


def test_the_instance_with_the_fewest_outstanding_requests_is_chosen() -> None:
    residency = book("a", "b", routing=LEAST_OUTSTANDING)
    hold(residency, "a", "m", 10)
    hold(residency, "b", "m", 10)
    hold(residency, "b", "x", 10)
    residency.acquire("a", "m")
    assert residency.choose("m") == "b"
    held = [residency.acquire("b", "x") for _ in range(2)]
    assert residency.choose("m") == "a"
    for copy in held:
        residency.release(copy)
    assert residency.choose("m") == "b"


def test_any_of_the_holders_is_chosen_at_random() -> None:
    asked: list[list[str]] = []

    def pick(names: Sequence[str]) -> str:
        asked.append(list(names))
        return names[-1]

    residency = Residency(pick=pick)
    for name in ("a", "b", "c"):
        residency.add(name, 100, 100)
        residency.ready(name)
    hold(residency, "a", "m", 10)
    assert residency.choose("m") == "a"
    hold(residency, "c", "m", 10)
    assert residency.choose("m") == "c"
    assert asked == [["a", "c"]]  # one holder needs no choice


def test_surplus_copies_go_one_at_a_time_and_the_last_one_stays() -> None:
    residency = book("a", "b", "c")
    for name in ("a", "b", "c"):
        hold(residency, name, "m", 10)
    held = [residency.acquire(name, "m") for name in ("a", "b", "b", "c")]
    for copy in held:
        residency.release(copy)
    assert residency.surplus() == [("a", "m")]  # four at once need two copies of two
    residency.begin_unload("a", "m")
    residency.unloaded("a", "m")
    assert residency.surplus() == [("b", "m")]  # nobody asked since
    residency.begin_unload("b", "m")
    residency.unloaded("b", "m")
    assert residency.surplus() == []


def test_a_surplus_copy_with_a_request_stays() -> None:
    residency = book("a", "b")
    hold(residency, "a", "m", 10)
    hold(residency, "b", "m", 10)
    residency.acquire("a", "m")
    assert residency.surplus() == [("b", "m")]
    residency.acquire("b", "m")
    assert residency.surplus() == []


def test_what_a_model_is_expected_to_take() -> None:
    sizes = Sizes()
    assert sizes.expected("m", 40 * MB) is None
    sizes.learn("small", 10 * MB, 60 * MB)
    sizes.learn("large", 60 * MB, 200 * MB)
    sizes.learn("large too", 60 * MB, 190 * MB)
    assert sizes.expected("small", 1) == 60 * MB  # measured itself
    assert sizes.expected("m", 40 * MB) == 200 * MB  # the next larger one
    assert sizes.expected("m", 10 * MB + 5000) == 60 * MB  # an archive claims a little more
    assert sizes.expected("m", 20 * MB) is None  # all others are too small, or far larger
    assert sizes.expected("m", 90 * MB) is None
    sizes.forget("small")
    assert sizes.of("small") is None


def test_a_busy_model_spreads_once_and_only_where_it_fits() -> None:
    residency = book("a", "b", "c")
    hold(residency, "a", "m", 30)
    held = [residency.acquire("a", "m")]
    assert residency.spread("m") is None
    held.append(residency.acquire("a", "m"))
    hold(residency, "b", "x", 5)
    assert residency.spread("m") == "c"
    residency.begin_load("c", "m")
    assert residency.spread("m") is None
    residency.loaded("c", "m", 30)
    assert residency.spread("m") is None  # the new copy has nothing to do yet
    for copy in held:
        residency.release(copy)


def test_a_busy_model_does_not_spread_onto_a_full_instance() -> None:
    residency = book("a", "b")
    hold(residency, "a", "m", 30)
    hold(residency, "b", "x", 80)
    residency.acquire("a", "m")
    residency.acquire("a", "m")
    assert residency.spread("m") is None


def test_eviction_takes_the_least_recently_used_idle_models() -> None:
    residency = book("a")
    for target in ("old", "busy", "mid", "new"):
        hold(residency, "a", target, 25)
    residency.acquire("a", "busy")
    residency.release(residency.acquire("a", "old"))  # used again: now the youngest
    assert residency.evictions("a", memory=20) == Evictions(unload=("mid",))
    assert residency.evictions("a", memory=50) == Evictions(unload=("mid", "new"))
    assert residency.evictions("a", memory=90).enough is False
    assert residency.oldest_idle("a") == "mid"
    assert residency.oldest_idle("a", keep="mid") == "new"


def test_disk_eviction_prefers_files_of_models_not_in_memory() -> None:
    residency = book("a", disk=30)
    for target in ("loaded", "gone", "late"):
        hold(residency, "a", target, 10)
    residency.begin_unload("a", "late")
    residency.unloaded("a", "late")
    residency.begin_unload("a", "gone")
    residency.unloaded("a", "gone")
    assert residency.evictions("a", disk=5) == Evictions(delete=("gone",))
    plan = residency.evictions("a", disk=25)
    assert plan == Evictions(unload=("loaded",), delete=("gone", "late", "loaded"))


def test_memory_that_comes_free_is_waited_for() -> None:
    residency = book("a")
    hold(residency, "a", "x", 50)
    hold(residency, "a", "y", 50)
    residency.begin_unload("a", "x")
    assert residency.evictions("a", memory=40) == Evictions()
    with pytest.raises(NoRoomError):
        hold(residency, "a", "m", 40)
    residency.unloaded("a", "x")
    residency.reserve("a", "m", 40, 10)


def test_a_budget_can_shrink() -> None:
    residency = book("a")
    hold(residency, "a", "x", 50)
    hold(residency, "a", "y", 40)
    residency.limit("a", 60, 15)
    assert residency.evictions("a") == Evictions(unload=("x",), delete=("x",))
    residency.measured("a", "y", 55)
    assert residency.shelf("a").memory_used == 105
    assert residency.evictions("a") == Evictions(unload=("x",), delete=("x",))


def test_a_model_wider_than_an_instance_is_refused() -> None:
    residency = book("a")
    with pytest.raises(TooWideError, match="memory: needs 101 bytes, an instance has 100"):
        residency.evictions("a", memory=101)
    with pytest.raises(TooWideError, match="disk"):
        residency.evictions("a", disk=1001)


def test_one_load_at_a_time() -> None:
    residency = book("a")
    residency.begin_load("a", "m")
    with pytest.raises(ValueError, match="loading"):
        residency.begin_load("a", "m")


def test_a_busy_model_is_unloaded_only_when_broken() -> None:
    residency = book("a")
    hold(residency, "a", "m", 10)
    copy = residency.acquire("a", "m")
    with pytest.raises(ValueError, match="1 in flight"):
        residency.begin_unload("a", "m")
    residency.begin_unload("a", "m", broken=True)
    residency.unloaded("a", "m")
    residency.release(copy)
    assert residency.shelf("a").memory_used == 0


def test_a_dead_server_forgets_memory_and_keeps_files() -> None:
    residency = book("a", "b")
    hold(residency, "a", "m", 10)
    residency.begin_load("a", "n")
    residency.lost("a")
    assert residency.choose("m") == "b"
    residency.ready("a")
    found = residency.copy("a", "m")
    assert found is not None
    assert (found.phase, found.memory, found.disk) == (Phase.DISK, 0, 10)
    assert residency.copy("a", "n") is None


def test_reports_about_a_removed_instance_are_ignored() -> None:
    residency = book("a")
    residency.begin_load("a", "m")
    residency.remove("a")
    residency.load_failed("a", "m")
    residency.unloaded("a", "m")
    residency.deleted("a", "m")
    assert residency.choose("m") is None


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
        self.book = book("a", "b", memory=100, disk=disk, routing=routing)
        self.held: list[tuple[str, str, Copy]] = []
        self.servers = {"a", "b"}

    @rule(model=TARGETS, memory=SIZES, disk=SIZES)
    def load(self, model: str, memory: int, disk: int) -> None:
        target, instance = model, self.book.choose(model)
        if instance is None:
            return
        found = self.book.copy(instance, target)
        if found is not None and found.phase is not Phase.DISK:
            with pytest.raises(ValueError, match=found.phase.value):
                self.book.begin_load(instance, target)
            return
        self.bring(instance, target, memory, disk)

    @rule(model=TARGETS, memory=SIZES, disk=SIZES)
    def spread(self, model: str, memory: int, disk: int) -> None:
        instance = self.book.spread(model)
        if instance is None:
            return
        assert any(self.book.in_memory(name, model) for name in self.servers)
        known = self.book.sizes.of(model)
        assert known is not None
        assert self.book.shelf(instance).memory_used + known <= 100  # nobody is evicted for it
        self.bring(instance, model, known, disk)

    @rule()
    def scale_in(self) -> None:
        counts = {model: self.holders(model) for model in MODELS}
        for instance, target in self.book.surplus():
            assert len(counts[target]) > 1
            self.unload(instance, target)
            assert len(self.holders(target)) == len(counts[target]) - 1

    def holders(self, target: str) -> list[str]:
        return [name for name in self.servers if self.book.in_memory(name, target)]

    def unload(self, instance: str, target: str) -> None:
        copy = self.book.copy(instance, target)
        assert copy is not None
        assert copy.busy == 0
        assert copy.phase is Phase.MEMORY
        self.book.begin_unload(instance, target)

    @rule(instance=INSTANCES, model=TARGETS)
    def unloaded(self, instance: str, model: str) -> None:
        copy = self.book.copy(instance, model)
        if copy is not None and copy.phase is Phase.UNLOADING:
            self.book.unloaded(instance, model)
            if not self.cached:
                self.book.deleted(instance, model)

    def bring(self, instance: str, target: str, memory: int, disk: int) -> None:
        found = self.book.copy(instance, target)
        files = found.disk if found is not None else 0
        self.book.begin_load(instance, target)
        plan = self.book.evictions(instance, memory=memory, disk=max(disk - files, 0), keep=target)
        assert target not in plan.unload
        assert target not in plan.delete
        self.evict(instance, plan)
        leaving = self.book.shelf(instance).memory_leaving
        if not plan.enough or leaving:
            if plan.enough:  # it would wait for what is being unloaded
                self.book.load_failed(instance, target, disk=files)
                return
            with pytest.raises(NoRoomError):
                self.book.reserve(instance, target, memory, max(disk, files))
            self.book.load_failed(instance, target, disk=files)
            return
        self.book.reserve(instance, target, memory, max(disk, files))

    def evict(self, instance: str, plan: Evictions) -> None:
        for victim in plan.unload:
            self.unload(instance, victim)
            if victim in plan.delete or len(plan.unload) % 2:
                self.book.unloaded(instance, victim)
        for victim in plan.delete:
            copy = self.book.copy(instance, victim)
            assert copy is not None
            assert copy.phase is Phase.DISK  # never of a model that is loaded or being loaded
            self.book.deleted(instance, victim)

    @rule(instance=INSTANCES, model=TARGETS, works=st.booleans())
    def finish(self, instance: str, model: str, works: bool) -> None:
        target, copy = model, self.book.copy(instance, model)
        if copy is None or copy.phase is not Phase.LOADING:
            return
        if works and copy.memory:
            self.book.loaded(instance, target, copy.memory)
        else:
            self.book.load_failed(instance, target)

    @rule(model=TARGETS)
    def request(self, model: str) -> None:
        target, instance = model, self.book.choose(model)
        if instance is not None and self.book.in_memory(instance, target):
            self.held.append((instance, target, self.book.acquire(instance, target)))

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        index = data.draw(st.integers(0, len(self.held) - 1))
        instance, target, copy = self.held.pop(index)
        self.book.release(copy)
        held = self.book.copy(instance, target) is copy and copy.phase is Phase.MEMORY
        if held and not self.cached and copy.busy == 0:
            self.unload(instance, target)
            self.book.unloaded(instance, target)
            self.book.deleted(instance, target)

    @rule(instance=INSTANCES)
    def die(self, instance: str) -> None:
        self.book.lost(instance)
        self.servers.discard(instance)

    @rule(instance=INSTANCES)
    def rise(self, instance: str) -> None:
        if instance not in self.servers:
            self.servers.add(instance)
            self.book.ready(instance)

    @invariant()
    def within_budget(self) -> None:
        for name in ("a", "b"):
            shelf = self.book.shelf(name)
            assert shelf.memory_used <= 100
            assert shelf.disk_used <= self.disk

    @invariant()
    def memory_is_held_only_by_what_is_in_memory(self) -> None:
        for name in ("a", "b"):
            for copy in self.book.shelf(name).copies.values():
                assert copy.busy >= 0
                if copy.phase is Phase.DISK:
                    assert copy.memory == 0

    @invariant()
    def a_loaded_model_is_sticky(self) -> None:
        for target in MODELS:
            if self.holders(target):
                assert self.book.choose(target) in self.holders(target)

    @invariant()
    def a_busy_model_keeps_its_memory(self) -> None:
        for instance, target, copy in self.held:
            if self.book.copy(instance, target) is copy and instance in self.servers:
                assert copy.busy > 0
                assert copy.phase is not Phase.UNLOADING

    @invariant()
    def without_a_cache_only_what_serves_or_will_serve_is_kept(self) -> None:
        if self.cached:
            return
        for name in self.servers:
            for copy in self.book.shelf(name).copies.values():
                assert copy.served == 0 or copy.busy or copy.phase is not Phase.MEMORY


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
