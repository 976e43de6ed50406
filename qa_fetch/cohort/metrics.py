"""The language of dose metrics: ``D95%``, ``D0.1cc[%Rx]``, ``V20Gy[cc]``, ``Dmean``, ``CI``, ``HI``.

``D95%`` is the lowest dose of the hottest 95 % of an ROI, ``V20Gy`` how much of it has 20 Gy or more, ``DC`` and ``CV``
(TG-263) are the same of its coldest part and of the rest of it. ``V95%`` means 95 % of the prescription. The result is
in Gy, % of the volume or cc; ``[...]`` asks for another unit.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final, NamedTuple, Optional

from ..errors import ConfigError
from .dvh import Dvh

_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+")
_WORDS: Final = {
    **{word.casefold(): word for word in ("Dmean", "Dmedian", "Dmin", "Dmax", "Volume", "CI", "HI")},
    **{word: f"D{word}" for word in ("mean", "median", "min", "max")},  # as TG-263 has them
}
_KINDS: Final = {word.casefold(): word for word in ("DC", "D", "CV", "V")}
_DOSES: Final = {"gy": "Gy", "cgy": "cGy", "%rx": "%Rx", "%": "%Rx"}
_VOLUMES: Final = {"%": "%", "cc": "cc", "cm3": "cc", "cm³": "cc", "ml": "cc"}
_BEGINNINGS: Final = "D, V, DC, CV, Dmean, Dmedian, Dmin, Dmax, Volume, CI or HI"
_HIGHEST: Final = {"Gy": 1000.0, "cGy": 100_000.0, "%Rx": 1000.0, "%": 100.0, "cc": 1_000_000.0}
_NO_RX: Final = "the prescription is not known"


class Value(NamedTuple):
    """What a metric is for an ROI; ``number`` is None where that cannot be said, and ``reason`` says why."""

    number: Optional[float]
    unit: str
    reason: Optional[str] = None


@dataclass(frozen=True)
class Metric:
    """A metric that was read: ``at`` and ``at_unit`` are what it asks at, ``unit`` is that of its result."""

    text: str
    kind: str  # D, DC, V, CV or one of the words
    at: Optional[float]
    at_unit: str
    unit: str

    @property
    def gives(self) -> str:
        """What it gives: ``dose``, ``volume`` or ``index``."""
        if self.kind in ("CI", "HI"):
            return "index"
        return "volume" if self.kind in ("V", "CV", "Volume") else "dose"

    def value(self, dvh: Dvh, rx: Optional[float] = None, whole: Optional[Dvh] = None) -> Value:
        """The metric of an ROI.

        Parameters
        ----------
        dvh
            The ROI's.
        rx
            The prescribed dose in Gy, which ``%Rx``, ``V95%`` and ``CI`` need.
        whole
            That of the patient's outline or of the whole dose grid (``dvh.whole``), which ``CI`` needs.
        """
        if dvh.inside_cc <= 0:
            return Value(None, self.unit, "no part of the ROI lies inside of the dose grid")
        if self.needs_rx and (rx is None or not rx > 0):
            return Value(None, self.unit, _NO_RX)
        if self.gives == "index":
            return _conformity(dvh, rx, whole) if self.kind == "CI" else _homogeneity(dvh)
        if self.gives == "volume":
            return Value(self._volume(dvh, rx), self.unit)
        found = self._dose(dvh)
        if found is None:
            return Value(None, self.unit, f"the part with a dose is {dvh.inside_cc:.3g} cc, less than {self.at:g} cc")
        if self.unit == "%Rx":
            assert rx is not None
            return Value(found / rx * 100, self.unit)
        return Value(found * 100 if self.unit == "cGy" else found, self.unit)

    @property
    def needs_rx(self) -> bool:
        """Whether its value depends on the prescription."""
        return "%Rx" in (self.unit, self.at_unit) or self.kind == "CI"

    def within(self, unit: str) -> Metric:
        """The same metric with its result in another unit; ValueError, saying which there are, where it has none."""
        units = _units(self.kind)
        name = unit.strip().casefold()
        if name not in units:
            known = list(dict.fromkeys(each for each in units.values() if each))
            raise ValueError(f"Write {_either(known)}" if known else "It has no unit")
        return replace(self, unit=units[name])

    def _dose(self, dvh: Dvh) -> Optional[float]:
        if self.kind == "Dmean":
            return dvh.mean
        if self.kind == "Dmedian":
            return dvh.median
        if self.kind in ("Dmin", "Dmax"):
            return dvh.min if self.kind == "Dmin" else dvh.max
        assert self.at is not None
        if self.kind == "D":
            return dvh.D(self.at, self.at_unit)
        whole = 100.0 if self.at_unit == "%" else dvh.inside_cc
        return dvh.D(whole - self.at, self.at_unit) if self.at <= whole else None

    def _volume(self, dvh: Dvh, rx: Optional[float]) -> Optional[float]:
        if self.kind == "Volume":
            return dvh.volume_cc
        assert self.at is not None
        dose = self.at / 100 if self.at_unit == "cGy" else self.at
        if self.at_unit == "%Rx":
            assert rx is not None
            dose = self.at / 100 * rx
        found = dvh.V(dose, self.unit)
        if self.kind == "V" or found is None:
            return found
        return (100.0 if self.unit == "%" else dvh.inside_cc) - found


def parse(text: str) -> Metric:
    """A metric from its text; ConfigError with the position and what to write where it is not one."""
    if not isinstance(text, str):
        raise ConfigError(f"a metric is {text!r}, which is no text. Write one such as D95%, V20Gy[cc] or Dmean.")
    return _Reading(text).metric()


class _Reading:
    """One way through the text of a metric."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._skip()

    def metric(self) -> Metric:
        if not self._text.strip():
            raise ConfigError("a metric is empty. Write one such as D95%, V20Gy[cc] or Dmean.", position=1)
        word = self._among(_WORDS)
        kind = word or self._among(_KINDS)
        if kind is None:
            raise self._wrong("it begins with nothing that is known", f"Begin with {_BEGINNINGS}")
        at, at_unit = (None, "") if word else self._asked(kind)
        found = Metric(self._text.strip(), kind, at, at_unit, _first(kind))
        if self._next() == "[":
            found = self._in_unit(found)
        if self._at < len(self._text):
            self._extra()
        return found

    def _extra(self) -> None:
        rest = self._text[self._at :].strip()
        if rest.startswith("]"):
            raise self._wrong("a ] closes nothing", "Write [ before the unit")
        raise self._wrong(f"{rest!r} is more than a metric", "End after the unit, or put the result's unit into [ ]")

    def _asked(self, kind: str) -> tuple[float, str]:
        """The number that is asked at, and its unit."""
        self._skip()
        example, units = ("D95%", _VOLUMES) if kind in ("D", "DC") else ("V20Gy", _DOSES)
        example = {"DC": "DC5%", "CV": "CV20Gy"}.get(kind, example)
        begin = self._at
        number = _NUMBER.match(self._text, begin)
        if number is None:
            raise self._wrong(f"a number is missing after {kind}", f"Write one, as in {example}")
        self._at = number.end()
        if self._next() == ",":
            raise self._wrong("a number has a comma", "Write a point, as in D0.1cc")
        self._skip()
        begin_of_unit = self._at
        unit = self._among(units)
        if unit is None:
            self._at = begin_of_unit
            choices = "% or cc" if units is _VOLUMES else "Gy, cGy or % (of the prescription)"
            what = re.match(r"[^\s\[\]]*", self._text[begin_of_unit:])
            named = what.group() if what is not None else ""
            happened = f"{named!r} is no unit here" if named else f"a unit is missing after {number.group()}"
            raise self._wrong(happened, f"Write {choices}, as in {example}")
        value = float(number.group())
        if value > _HIGHEST[unit]:
            raise self._wrong(
                f"{number.group()} {unit} is too much", f"Write at most {_HIGHEST[unit]:.0f} {unit}", begin
            )
        if kind == "D" and value == 0:
            raise self._wrong("0 is no volume", "Write Dmax for the highest dose", begin)
        if kind == "DC" and value == 0:
            raise self._wrong("0 is no volume", "Write Dmin for the lowest dose", begin)
        return value, unit

    def _in_unit(self, found: Metric) -> Metric:
        """The metric with its result in the unit in square brackets."""
        begin = self._at
        end = self._text.find("]", begin)
        if end < 0:
            raise self._wrong("a [ is not closed", "Write ] after the unit")
        unit = self._text[begin + 1 : end]
        try:
            found = found.within(unit)
        except ValueError as error:
            what = f"{unit.strip()!r} is no unit of {found.kind}" if unit.strip() else "a unit is missing in [ ]"
            if str(error) == "It has no unit":
                raise self._wrong(f"{found.kind} has no unit", "Leave the [ ] out") from None
            raise self._wrong(what, str(error), begin + 1) from None
        self._at = end + 1
        self._skip()
        return found

    def _among(self, words: dict[str, str]) -> Optional[str]:
        """The longest of some words that stands here, which is then passed; None where none does."""
        rest = self._text[self._at :].casefold()
        for word in sorted(words, key=len, reverse=True):
            if rest.startswith(word):
                self._at += len(word)
                self._skip()
                return words[word]
        return None

    def _next(self) -> str:
        return self._text[self._at : self._at + 1]

    def _skip(self) -> None:
        while self._next().isspace():
            self._at += 1

    def _wrong(self, happened: str, todo: str, at: Optional[int] = None) -> ConfigError:
        position = (self._at if at is None else at) + 1
        return ConfigError(f"metric {self._text!r}, position {position}: {happened}. {todo}.", position=position)


def _units(kind: str) -> dict[str, str]:
    """The units in which a metric of a kind may be given."""
    if kind in ("CI", "HI"):
        return {}
    if kind == "Volume":
        return {name: unit for name, unit in _VOLUMES.items() if unit == "cc"}
    return _VOLUMES if kind in ("V", "CV") else _DOSES


def _first(kind: str) -> str:
    """The unit of a metric that names none."""
    if kind in ("CI", "HI"):
        return ""
    return {"V": "%", "CV": "%", "Volume": "cc"}.get(kind, "Gy")


def _either(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _homogeneity(dvh: Dvh) -> Value:
    """(D2% - D98%) / D50%, as ICRU 83 has it."""
    high, low, middle = dvh.D(2), dvh.D(98), dvh.median
    if high is None or low is None or not middle:
        return Value(None, "", "its median dose is 0")
    return Value((high - low) / middle, "")


def _conformity(dvh: Dvh, rx: Optional[float], whole: Optional[Dvh]) -> Value:
    """Paddick's: the target's volume with the prescribed dose, squared, over its volume and that of all such dose."""
    assert rx is not None
    if whole is None:
        return Value(None, "", "it needs the DVH of the patient's outline, which is not there")
    covered, all_of_it = dvh.V(rx, "cc"), whole.V(rx, "cc")
    if covered is None or not all_of_it:
        return Value(None, "", "no part of the patient has the prescribed dose")
    return Value(covered**2 / (dvh.volume_cc * all_of_it), "")
