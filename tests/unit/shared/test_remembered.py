from __future__ import annotations

from datetime import timedelta

from shared.remembered import Remembered


class Store:
    def __init__(self) -> None:
        self.asked = 0
        self.value: str | None = "a"

    async def find(self) -> str | None:
        self.asked += 1
        return self.value


class Seconds:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_a_value_is_asked_for_once_while_it_is_fresh() -> None:
    store, seconds = Store(), Seconds()
    remembered: Remembered[str, str] = Remembered(timedelta(seconds=1), seconds=seconds)
    assert [await remembered.get("k", store.find) for _ in range(3)] == ["a"] * 3
    assert store.asked == 1
    store.value, seconds.now = "b", 1.0
    assert await remembered.get("k", store.find) == "b"


async def test_what_is_not_there_is_asked_for_every_time() -> None:
    store = Store()
    store.value = None
    remembered: Remembered[str, str] = Remembered(timedelta(seconds=1))
    assert await remembered.get("k", store.find) is None
    store.value = "a"
    assert await remembered.get("k", store.find) == "a"


async def test_a_forgotten_value_is_asked_for_again_and_the_oldest_make_room() -> None:
    store = Store()
    remembered: Remembered[int, str] = Remembered(timedelta(hours=1), most=2)
    for key in (1, 2, 3):
        await remembered.get(key, store.find)
    await remembered.get(3, store.find)
    assert store.asked == 3
    await remembered.get(1, store.find)
    assert store.asked == 4
    remembered.forget(1)
    await remembered.get(1, store.find)
    assert store.asked == 5
