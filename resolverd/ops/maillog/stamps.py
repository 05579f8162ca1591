"""The clock of a log line: ``Nov 30 06:25:33`` (RFC 3164 §4.1.2) and ``2026-11-30T06:25:33.123456+01:00`` (RFC 3339).

A moment is a whole number of seconds on the clock that the line shows, as if that were UTC: days and hours are those in
which the admin lives, and are had by division. `seconds_of` gives the same of a moment on this machine's clock.
"""

from datetime import date, datetime
from typing import Final

DAY: Final = 86_400
_NAMES: Final = "JanFebMarAprMayJunJulAugSepOctNovDec"
_MONTHS: Final = {_NAMES[at : at + 3]: at // 3 + 1 for at in range(0, 36, 3)}
_EPOCH: Final = date(1970, 1, 1).toordinal()


class Stamps:
    """Reads them; classic ones have no year, and get the latest in which they are not after `now` (and a day: clocks differ).

    `now`: when the last line was written at the latest, so for an old file the time of its last change.
    """

    def __init__(self, now: int) -> None:
        self.now = now
        self._days: dict[str, int] = {}

    def classic(self, text: str) -> int | None:
        """Of 15 characters; None where they aren't one."""
        day = self._days.get(text[:6])
        if day is None:
            if len(self._days) > 1000:
                self._days.clear()
            day = self._days[text[:6]] = self._day(text[:3], text[3:6])
        return _at(day, text[7:15])

    def iso(self, text: str) -> int | None:
        """Of the first 19 characters or more; None where they aren't one."""
        day = self._days.get(text[:10])
        if day is None:
            if len(self._days) > 1000:
                self._days.clear()
            try:
                day = date.fromisoformat(text[:10]).toordinal() - _EPOCH
            except ValueError:
                day = -1
            self._days[text[:10]] = day
        return _at(day, text[11:19])

    def _day(self, month: str, day: str) -> int:
        number = _MONTHS.get(month)
        if number is None or not day.strip().isdecimal() or not day.isascii():
            return -1
        last = date.fromordinal(self.now // DAY + 1 + _EPOCH)
        # (29 February is at most eight years ago)
        for year in range(last.year, last.year - 9, -1):
            try:
                found = date(year, number, int(day))
            except ValueError:
                continue
            if found <= last:
                return found.toordinal() - _EPOCH
        return -1


def seconds_of(moment: datetime) -> int:
    """The second that a clock on the wall shows."""
    return (moment.toordinal() - _EPOCH) * DAY + moment.hour * 3600 + moment.minute * 60 + moment.second


def _at(day: int, text: str) -> int | None:
    """`text`: HH:MM:SS; a leap second is one like others."""
    if day < 0 or text[2:3] != ":" or text[5:6] != ":" or not text.isascii():
        return None
    hour, minute, second = text[:2], text[3:5], text[6:]
    if not (hour.isdecimal() and minute.isdecimal() and second.isdecimal() and len(second) == 2):
        return None
    if hour > "23" or minute > "59" or second > "60":
        return None
    return day * DAY + int(hour) * 3600 + int(minute) * 60 + int(second)
