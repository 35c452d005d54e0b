"""Which item plays next. Pure.

A round is one pass over the list. `_pending` holds what the round has still to play, in the order it will be
played: what cannot play yet stays in it and gets its turn as soon as it can, so a list that does not loop
never ends without it. An item that was asked for out of its turn (`play_next`) has had it: the round goes on where
it was, and does not play it again.
"""

import random
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from .plan import Item, Order

HISTORY: Final = 100
Playable = Callable[[Item], bool]


class Playlist:
    def __init__(self, items: Sequence[Item], order: Order, loop: bool, rng: random.Random) -> None:
        self._rng = rng
        self._items = list(items)
        self._order: Order = order
        self._loop = loop
        self.current: Item | None = None
        self._turn: Item | None = None
        """The last item played in its turn: where the round goes on."""
        self._asked: list[int] = []
        """Items asked for next, by id; they lead `_pending`."""
        self._early: set[int] = set()
        """Items of this round that were played before their turn."""
        self._played: deque[int] = deque(maxlen=HISTORY)
        self._begins: tuple[int, int] | None = None
        self._pending = self._round()

    def begin_with(self, item_id: int, position_ms: int) -> None:
        """The run begins there: in a list in order what comes before has been played."""
        if (item := self.find(item_id)) is None:
            return
        self._begins = (item_id, position_ms)
        place = self._pending.index(item)
        if self._order == "sequential":
            self._pending = self._pending[place:]
        else:
            self._pending.insert(0, self._pending.pop(place))

    def begins_at(self, item: Item) -> int:
        """How far into it, in ms: asked once of each item that is opened, and only the first one can be another than
        0."""
        begins, self._begins = self._begins, None
        return begins[1] if begins is not None and begins[0] == item.item_id else 0

    def advance(self, playable: Playable, spent: Playable) -> Item | None:
        """The item to play now, which becomes current. None: nothing can play now, or (see `finished`) ever.

        `spent` says of an item that it never will play as it is.
        """
        chosen = self._first(self._pending, playable)
        if chosen is None and self._loop:
            waiting = [item for item in self._pending if not spent(item)]
            fresh = self._round()
            chosen = self._first(fresh, playable)
            self._pending = fresh if chosen else waiting
            if chosen is not None:
                self._early.clear()
        if chosen is not None:
            self._take(chosen)
        return chosen

    def opening(self, spent: Playable) -> Item | None:
        """The item a list in order begins with, as long as nothing has begun."""
        if self.current is not None or self._order != "sequential":
            return None
        return next((item for item in self._pending if not spent(item)), None)

    def finished(self, spent: Playable) -> bool:
        """The list does not loop and nothing of it is left to play."""
        return not self._loop and bool(self._items) and all(spent(item) for item in self._pending)

    def upcoming(self, count: int, playable: Playable) -> list[int]:
        """The item IDs that would follow, were nothing to change; a random next round is not foretold."""
        following = [item.item_id for item in self._pending if playable(item)]
        if self._loop and self._order == "sequential":
            again = [item.item_id for item in self._items if playable(item)]
            while again and len(following) < count:
                following += again
        return following[:count]

    def upcoming_items(self, spent: Playable) -> list[Item]:
        """What the round still has to play, ready or not."""
        return [item for item in self._pending if not spent(item)]

    def items(self) -> Sequence[Item]:
        return self._items

    def find(self, item_id: int) -> Item | None:
        return next((item for item in self._items if item.item_id == item_id), None)

    def jump(self, item: Item) -> None:
        """Makes the item current; what follows it follows, in a random round all not played yet."""
        if self._order == "sequential":
            self._early.clear()
            self._pending = self._asked_first(self._items[self._items.index(item) :])
        self._asked = [item_id for item_id in self._asked if item_id != item.item_id]
        self._take(item)

    def play_next(self, item: Item) -> None:
        """The item follows the current one, then the round goes on as it would have."""
        self._asked = [item.item_id, *(other for other in self._asked if other != item.item_id)]
        self._pending = self._asked_first([item, *self._pending])

    def previous(self, playable: Playable) -> Item | None:
        """The item to go back to: the one before in the list, or the one played before; None: there is none.

        Makes it current. In a list in order all that follows it follows again, in a random round the item left does.
        """
        item = self._before_in_list(playable) if self._order == "sequential" else self._before_in_time(playable)
        if item is None:
            return None
        left = self.current
        self.jump(item)
        if self._order == "random" and left is not None:
            self._pending.insert(0, left)
        return item

    def _before_in_list(self, playable: Playable) -> Item | None:
        at = self._index_of_turn(self._items)
        if at < 0:
            return None
        if self.current is not self._turn:  # it was played out of its turn: back to where the round is
            at += 1
        before = self._items[:at][::-1] + (self._items[at:][::-1] if self._loop else [])
        return self._first(before, playable)

    def _before_in_time(self, playable: Playable) -> Item | None:
        while self._played:
            item = self.find(self._played.pop())
            if item is not None and playable(item) and item is not self.current:
                return item
        return None

    def edit(self, items: Sequence[Item], order: Order, loop: bool) -> bool:
        """Puts a new list in place of the old one; whether the current item is still in it."""
        old, self._items = self._items, list(items)
        before, self._order, self._loop = self._order, order, loop
        current = self.current and self._match(self.current)
        turn = self._turn and self._match(self._turn)
        if order == "random":
            self._edit_random(old, current, reshuffle=before != order)
        else:
            self._edit_sequential(old, turn)
        known = {item.item_id: item for item in self._items}
        self._asked = [item_id for item_id in self._asked if item_id in known]
        self._pending = self._asked_first([*(known[item_id] for item_id in self._asked), *self._pending])
        self.current, self._turn = current, turn
        return current is not None

    def _first(self, items: Sequence[Item], playable: Playable) -> Item | None:
        return next((item for item in items if playable(item)), None)

    def _take(self, item: Item) -> None:
        if item.item_id in self._asked:
            self._asked.remove(item.item_id)
            self._early.add(item.item_id)
        else:
            self._turn = item
        self.current = item
        self._played.append(item.item_id)
        self._pending = [other for other in self._pending if other.item_id != item.item_id]

    def _asked_first(self, items: Sequence[Item]) -> list[Item]:
        """What was asked for, in that order, then the rest without it."""
        by_id = {item.item_id: item for item in items}
        asked = [by_id[item_id] for item_id in self._asked if item_id in by_id]
        return asked + [item for item in items if item.item_id not in self._asked]

    def _round(self) -> list[Item]:
        if self._order == "sequential":
            return list(self._items)
        shuffled = self._rng.sample(self._items, len(self._items))
        if len(shuffled) > 1 and self.current and shuffled[0].item_id == self.current.item_id:
            shuffled.append(shuffled.pop(0))
        return shuffled

    def _match(self, item: Item) -> Item | None:
        same = (other for other in self._items if other.item_id == item.item_id)
        same_file = (other for other in self._items if other.file_id == item.file_id)
        return next(same, None) or next(same_file, None)

    def _edit_random(self, old: Sequence[Item], current: Item | None, *, reshuffle: bool) -> None:
        """What was pending keeps its turn, new items get one at random, nothing is played again."""
        known = {item.item_id for item in old}
        by_id = {item.item_id: item for item in self._items}
        kept = [by_id[item.item_id] for item in self._pending if item.item_id in by_id]
        new = [item for item in self._items if item.item_id not in known and item is not current]
        for item in new:
            kept.insert(self._rng.randint(0, len(kept)), item)
        self._pending = self._rng.sample(kept, len(kept)) if reshuffle else kept

    def _edit_sequential(self, old: Sequence[Item], turn: Item | None) -> None:
        """What follows in the new list, after what was passed over and comes before it."""
        if self._turn is None:
            self._pending = self._still_to_play(old)
            return
        passed = {item.item_id for item in self._passed_over(old)}
        start = self._items.index(turn) + 1 if turn else self._start_without_turn(old)
        earlier = [item for item in self._items[:start] if item.item_id in passed and item is not turn]
        self._pending = [item for item in earlier + self._items[start:] if item.item_id not in self._early]

    def _still_to_play(self, old: Sequence[Item]) -> list[Item]:
        played = {item.item_id for item in old} - {item.item_id for item in self._pending}
        return [item for item in self._items if item.item_id not in played]

    def _passed_over(self, old: Sequence[Item]) -> list[Item]:
        at = self._index_of_turn(old)
        before = {item.item_id for item in old[: max(at, 0)]} - set(self._asked)
        return [item for item in self._pending if item.item_id in before]

    def _index_of_turn(self, items: Sequence[Item]) -> int:
        wanted = self._turn.item_id if self._turn else None
        return next((at for at, item in enumerate(items) if item.item_id == wanted), -1)

    def _start_without_turn(self, old: Sequence[Item]) -> int:
        """Go on at what followed the item whose turn it was, else after what came before it, else at the top."""
        at = self._index_of_turn(old)
        places = {item.item_id: index for index, item in enumerate(self._items)}
        following = (places[item.item_id] for item in old[at + 1 :] if item.item_id in places)
        preceding = (places[item.item_id] + 1 for item in reversed(old[: max(at, 0)]) if item.item_id in places)
        return next(following, next(preceding, 0))
