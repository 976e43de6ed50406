"""Signing in and out."""

from __future__ import annotations

import threading
import time
from collections import deque

from django.contrib.auth import authenticate, login, logout
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme

_SPAN = 300.0  # seconds for which a wrong password is held against who gave it
_TRIES, _TRIES_FROM_ADDRESS = 5, 30
_REMEMBERED = 10_000  # pairs of address and name
_WRONG = "This name and password do not belong together. Try again, or ask the node's administrator."
_WAIT = "Too many wrong passwords came from here. Wait five minutes, then try again."


class Throttle:
    """Slows down who guesses passwords; it forgets when the node stops.

    It holds failures against an address and name together, so that nobody can lock somebody else out.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._failures: dict[tuple[str, str], deque[float]] = {}

    def allows(self, address: str, name: str) -> bool:
        """Whether a password from there is looked at."""
        with self._guard:
            pair = self._recent((address, name))
            return pair < _TRIES and self._recent((address, "")) < _TRIES_FROM_ADDRESS

    def failed(self, address: str, name: str) -> None:
        """Note a wrong password."""
        with self._guard:
            if len(self._failures) > _REMEMBERED:
                self._failures = {key: times for key, times in self._failures.items() if self._recent(key)}
            for key in ((address, name), (address, "")):
                self._failures.setdefault(key, deque(maxlen=_TRIES_FROM_ADDRESS)).append(time.monotonic())

    def succeeded(self, address: str, name: str) -> None:
        """Forget what was held against them."""
        with self._guard:
            self._failures.pop((address, name), None)

    def _recent(self, key: tuple[str, str]) -> int:
        since = time.monotonic() - _SPAN
        return sum(moment > since for moment in self._failures.get(key, ()))


_THROTTLE = Throttle()


def sign_in(request: HttpRequest) -> HttpResponse:
    """The form, and what becomes of it."""
    goal = _goal(request)
    if request.method != "POST":
        return redirect(goal) if request.user.is_authenticated else _form(request, goal)
    name, password = request.POST.get("name", "").replace("\0", "").strip()[:150], request.POST.get("password", "")
    address = request.META.get("REMOTE_ADDR", "")
    if not _THROTTLE.allows(address, name):
        return _form(request, goal, _WAIT, 429)
    # Noted before the password is looked at, so that tries at the same time count as well.
    _THROTTLE.failed(address, name)
    user = authenticate(request, username=name, password=password)
    if user is None:
        return _form(request, goal, _WRONG, 403)
    _THROTTLE.succeeded(address, name)
    login(request, user)
    return redirect(goal)


def sign_out(request: HttpRequest) -> HttpResponse:
    """End the session."""
    logout(request)
    return redirect("sign-in")


def _form(request: HttpRequest, goal: str, problem: str = "", status: int = 200) -> HttpResponse:
    given = request.POST.get("name", "")
    context = {"goal": goal, "problem": problem, "given": given}
    return render(request, "qa_fetch_node/sign_in.html", context, status=status)


def _goal(request: HttpRequest) -> str:
    """Where to go afterwards: a page of this node, whatever the address says."""
    asked = request.POST.get("next") or request.GET.get("next") or "/"
    fits = url_has_allowed_host_and_scheme(asked, allowed_hosts=None)
    return asked if fits and asked.startswith("/") else "/"
