"""A crowd of requests: so many are worked on at once, and nobody is left out."""

import asyncio

import pytest

from ezstream.turns import in_turns

START = {"type": "http.response.start", "status": 200}


class Kitchen:
    """An application whose requests wait until they are let go on."""

    def __init__(self, most: int) -> None:
        self.inside = 0
        self.answered: list[int] = []
        self.cook = asyncio.Event()
        self.deliver = asyncio.Event()
        self.app = in_turns(self._serve, most)

    async def _serve(self, scope, receive, send) -> None:
        self.inside += 1
        await self.cook.wait()
        if scope.get("fails"):
            raise ValueError("burnt")
        await send(START)
        await self.deliver.wait()

    def order(self, number: int, **scope) -> asyncio.Task[None]:
        async def send(message) -> None:
            self.answered.append(number)

        return asyncio.create_task(self.app({"type": "http", **scope}, None, send))


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.mark.asyncio
async def test_so_many_are_worked_on_and_the_others_have_their_turn_when_an_answer_begins():
    kitchen = Kitchen(most=2)
    orders = [kitchen.order(number) for number in range(5)]
    await settle()
    assert kitchen.inside == 2
    kitchen.cook.set()
    await settle()
    assert kitchen.answered == [0, 1, 2, 3, 4], "whoever is slow to take an answer holds up nobody"
    kitchen.deliver.set()
    await asyncio.gather(*orders)


@pytest.mark.asyncio
@pytest.mark.parametrize("how", ["fails", "is cancelled", "is cancelled while it waits"])
async def test_a_turn_that_ends_badly_is_over_too(how):
    kitchen = Kitchen(most=1)
    first = kitchen.order(0, fails=how == "fails")
    await settle()
    second = kitchen.order(1)
    await settle()
    if how == "is cancelled":
        first.cancel()
    if how == "is cancelled while it waits":
        second.cancel()
        second = kitchen.order(2)
    kitchen.cook.set()
    kitchen.deliver.set()
    await asyncio.gather(first, return_exceptions=True)
    await second
    assert kitchen.answered[-1] == (2 if "waits" in how else 1)
