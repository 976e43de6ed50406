"""The inside of a run: one thread gives items to workers, and writes down what came of them."""

from __future__ import annotations

import heapq
import logging
import queue
import time
from array import array
from collections import deque
from collections.abc import Iterable, Sized
from concurrent.futures import Future
from typing import Any, Callable, Optional

from ..errors import QAFetchError
from .attempt import Outcome, lost, not_done
from .executors import Workers, is_last_loss, is_loss
from .items import DONE, FAILED, WAITING, Item
from .ledger import Ledger
from .outage import Outage, backoff
from .pace import Hold, Keeper
from .progress import Meter
from .reading import Reader
from .stopping import Stop

LOG = logging.getLogger("qa_fetch.bulk")
_TICK = 0.2  # seconds after which a caller's event is looked at
_SLICE = 256  # items taken from the list before somebody looks for results
_LOSSES = 3  # workers that an item may lose; before the last one it is tried alone, so that no other is blamed

Intact = Callable[[Any, Any], bool]


class Engine:
    """What is under way."""

    attempts: int
    outage: Outage
    intact: Optional[Intact]
    meter: Meter

    def __init__(self, items: Iterable[Item], ledger: Ledger, workers: Workers, keeper: Keeper, stop: Stop) -> None:
        self._ended: queue.SimpleQueue[tuple[int, Optional[Future[Outcome]]]] = queue.SimpleQueue()
        self._reader = Reader(items, lambda: self._ended.put((0, None)))
        self._expected = len(items) if isinstance(items, Sized) else None
        self._offered = self._doubles = 0
        self.read = False
        self._ledger, self._workers, self._keeper, self._stop = ledger, workers, keeper, stop
        self._order, self._next = array("q"), 0  # what has not been tried yet: 8 bytes an item
        self._later: list[tuple[float, int]] = []  # what is tried again, by when
        self._tries: dict[int, int] = {}
        self._losses: dict[int, int] = {}
        self._suspects: deque[int] = deque()  # tried one at a time with nothing beside
        self._going: dict[int, Future[Outcome]] = {}
        self._broken = False
        self._opened = False
        self._alone = 0

    def to_the_end(self) -> int:
        """Work until nothing is left or somebody stops it; the number of the run."""
        try:
            number = self._ledger.begin_run()
            while self._turn():
                continue
        except KeyboardInterrupt:
            self._reader.stop(wait=False)
            self._workers.close(wait=False)
            self._give_back_all()
            raise
        except BaseException:  # of the list, of the ledger, or of who watches
            self._finish_begun()
            raise
        self._reader.stop()
        self._workers.close()
        self.meter.tell(0, self._stop.why, now=True)
        return number

    def _finish_begun(self) -> None:
        """Lose nothing of what is being worked on, whatever ends the run."""
        try:
            while self._going:
                self._collect(_TICK)
                self._look_after_workers()
            self._ledger.commit()
        finally:
            self._reader.stop()
            self._workers.close()

    def _turn(self) -> bool:
        """Once around; False at the end."""
        hold = self._hold()
        if not self.read or hold is not None:
            self._ledger.commit()  # else at once with what begins next
        if not self._stop.why:
            self._read(hold)
            if hold is None:
                self._begin()
        self._ledger.commit()
        if not self._going and (self._stop.why or not self._left):
            return False
        self.meter.tell(len(self._going), self._says(hold))
        self._collect(self._pause(hold))
        self._look_after_workers()
        return True

    @property
    def _left(self) -> bool:
        """Whether anything is still to be begun, now or later."""
        return not self.read or self._next < len(self._order) or bool(self._later or self._suspects)

    def _says(self, hold: Optional[Hold]) -> str:
        if self._stop.why:
            return f"{self._stop.why}: finishing what was begun" if self._going else self._stop.why
        return hold.says if hold and self._left else ""

    def _hold(self) -> Optional[Hold]:
        """What speaks against beginning something."""
        if self.outage.over:
            self._stop.because("the archive could not be reached any more")
        hold = self._keeper.hold()
        self.meter.sleep(hold is not None and hold.asleep)
        return hold or self.outage.hold(len(self._going))

    def _pause(self, hold: Optional[Hold]) -> float:
        """How long to wait for a result before looking around."""
        if self._reader.waiting and not self._stop.why and not (hold and hold.asleep):
            return 0.0
        due = [hold.seconds if hold else 0.0, self._later[0][0] - time.monotonic() if self._later else 0.0]
        return max(0.001, min([_TICK, *(seconds for seconds in due if seconds > 0)]))  # what is due waits for room

    # The list

    def _read(self, hold: Optional[Hold]) -> None:
        """Take what was read of the list; one that asks the archive keeps to the allowed hours too."""
        if hold and hold.asleep:
            self._reader.pause()
            return
        if not self.read:
            for item in self._reader.take(_SLICE):
                self._offer(item)
            self.read = self._reader.done
        if self.read:
            self.meter.total = self._offered
        elif self._expected is not None:
            self.meter.total = self._expected - self._doubles

    def _offer(self, item: Item) -> None:
        number, state, again = self._ledger.offer(item)
        if again:
            self._doubles += 1
            return
        self._offered += 1
        if state == DONE:
            if self.intact is None or self.intact(item.payload, self._ledger.detail(number)):
                self.meter.already += 1
                return
            self._ledger.reopen(number)
        self._order.append(number)

    # Beginning

    def _begin(self) -> None:
        """Give work to whoever is free; it is noted first."""
        if self._broken or not self._is_due() or not self._open():
            return
        chosen: list[int] = []
        for _ in range(self._room()):
            if not self._is_due():
                break
            chosen.append(self._choose())
        begun = [(number, self._ledger.begin(number)) for number in chosen]
        self._ledger.commit()
        for number, payload in begun:
            self._submit(number, payload)

    def _open(self) -> bool:
        """Have workers; where they cannot be had again, the run ends with what it has."""
        if not self._workers.is_open:
            self._ledger.commit()
            try:
                self._workers.open()
            except QAFetchError as error:
                if not self._opened:
                    raise
                self._stop.because(str(error))
                return False
            self._opened = True
        return True

    def _room(self) -> int:
        """For how many more items there are workers; a suspect works alone."""
        if self._suspects or self._alone in self._going:
            return 0 if self._going else 1
        return (1 if self.outage.away else self._workers.size) - len(self._going)

    def _is_due(self) -> bool:
        if self._suspects or self._next < len(self._order):
            return True
        return bool(self._later) and self._later[0][0] <= time.monotonic()

    def _choose(self) -> int:
        """The next item; what is due again comes before what is new."""
        if self._suspects:
            self._alone = self._suspects.popleft()
            return self._alone
        if self._later and self._later[0][0] <= time.monotonic():
            return heapq.heappop(self._later)[1]
        self._next += 1
        return self._order[self._next - 1]

    def _submit(self, number: int, payload: str) -> None:
        try:
            future = self._workers.submit(payload)
        except RuntimeError:  # the pool broke a moment ago
            self._broken = True
            self._put_back(number)
            return
        self._going[number] = future
        future.add_done_callback(lambda ended: self._ended.put((number, ended)))

    def _put_back(self, number: int) -> None:
        """Do an item again that nobody is to blame for."""
        self._ledger.put_back(number)
        heapq.heappush(self._later, (time.monotonic(), number))

    # What came of it

    def _collect(self, pause: float) -> None:
        """Wait for a result, and take all that are there."""
        try:
            number, future = self._ended.get(block=pause > 0, timeout=pause or None)
            while True:
                if (
                    future is not None and self._going.get(number) is future
                ):  # else of workers that are gone, and is done anew
                    del self._going[number]
                    self._take(number, future)
                number, future = self._ended.get_nowait()
        except queue.Empty:
            return

    def _take(self, number: int, future: Future[Outcome]) -> None:
        if is_loss(future):
            self._broken = True
            self._lose(number)
            return
        error = future.exception()
        if error is None:
            self._settle(number, future.result())
        elif is_last_loss(error):
            self._end(number, lost(_LOSSES), FAILED)
        else:
            self._end(number, not_done(error), FAILED)

    def _lose(self, number: int) -> None:
        """An item whose worker ended: perhaps because of it, perhaps because of another one beside it."""
        losses = self._losses[number] = self._losses.get(number, 0) + 1
        if losses >= _LOSSES:
            self._end(number, lost(losses), FAILED)
            return
        self._ledger.finish(number, lost(losses), WAITING)
        if losses == _LOSSES - 1:
            self._suspects.append(number)
        else:
            heapq.heappush(self._later, (time.monotonic(), number))

    def _settle(self, number: int, outcome: Outcome) -> None:
        """Done, failed, or once more later."""
        self.outage.note(outcome.unreachable, self._workers.size)
        if not outcome.error_class:
            self._end(number, outcome, DONE)
            return
        if outcome.frames:
            LOG.error("item %d of the ledger stopped at a mistake of the program:\n%s", number, outcome.frames)
        tries = self._tries.get(number, 0)
        if outcome.unreachable and self.outage.away:
            self._again(number, outcome, 0.0)
        elif outcome.retriable and tries + 1 < self.attempts:
            self._tries[number] = tries + 1
            self._again(number, outcome, backoff(tries + 1))
        else:
            self._end(number, outcome, FAILED)

    def _again(self, number: int, outcome: Outcome, seconds: float) -> None:
        self._ledger.finish(number, outcome, WAITING)
        heapq.heappush(self._later, (time.monotonic() + seconds, number))

    def _end(self, number: int, outcome: Outcome, state: str) -> None:
        """Write down the last word on an item, once."""
        self._tries.pop(number, None)
        self._losses.pop(number, None)
        if not self._ledger.finish(number, outcome, state):
            return
        if state == DONE:
            self.meter.done += 1
            self.meter.bytes += outcome.bytes
        else:
            self.meter.failed += 1
        self._keeper.finished(outcome.bytes)

    # Workers that end

    def _look_after_workers(self) -> None:
        """Begin anew with other workers where these are gone."""
        if self._workers.lost:
            self._give_back_all()
            self._broken = True
        if self._broken and not self._going:
            self._workers.close(wait=False)
            self._broken = False

    def _give_back_all(self) -> None:
        going, self._going = list(self._going), {}
        for number in going:
            self._put_back(number)
        self._ledger.commit()
