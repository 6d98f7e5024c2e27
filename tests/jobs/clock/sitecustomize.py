"""On the path of a process, this sets its clock wrong by TESTS_CLOCK_OFFSET_S seconds, as far as Python can tell."""

import datetime as dt
import os
import time

_offset_s = float(os.environ.get("TESTS_CLOCK_OFFSET_S", "0"))
_time, _time_ns = time.time, time.time_ns
_datetime: type = dt.datetime


class _Moments(type):
    # What C code made, such as the database's driver, is of the class that was there before.
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _datetime)


class _WrongDatetime(dt.datetime, metaclass=_Moments):
    @classmethod
    def now(cls, tz: dt.tzinfo | None = None) -> "_WrongDatetime":
        return cls.fromtimestamp(time.time(), tz)


if _offset_s:
    time.time = lambda: _time() + _offset_s
    time.time_ns = lambda: _time_ns() + int(_offset_s * 1e9)
    dt.datetime = _WrongDatetime  # type: ignore[misc]  # that is the point
