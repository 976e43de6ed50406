"""The pages of a node whose index lies in PostgreSQL: the same questions, asked in another SQL."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pages_content as content
import pytest
from peers.postgres import Postgres
from peers.process import Missing, skip_or_fail
from web_client import Web

from qa_fetch.node import Database, NodeOptions, NodeProcess
from qa_fetch.node import Web as WebOptions

PAGES = (
    "/",
    "/patients/1/",
    "/studies/1/",
    "/series/1/",
    "/objects/1/",
    "/arrivals/",
    "/now/",
    "/conflicts/",
    "/statistics/",
)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """The node with the content of ``pages_content``."""
    folder = tmp_path_factory.mktemp("pages-postgres") / "node"
    try:
        with Postgres() as database:
            options = NodeOptions(folder, port=0, database=Database(database.url), web=WebOptions(port=0))
            with content.running(options) as running:
                yield running
    except Missing as missing:
        skip_or_fail(missing)


def test_every_page_is_there(node: NodeProcess) -> None:
    """None of them asks for what only SQLite knows."""
    web = Web(node.web_port, browser=True)
    assert {path: web.get(path).status for path in PAGES} == dict.fromkeys(PAGES, 200)
    assert web.get("/?name=%00").status == 400


def test_patients_are_found_as_with_sqlite(node: NodeProcess) -> None:
    """In any case, also beyond ASCII."""
    web = Web(node.web_port, browser=True)
    questions = ("name=m%C3%BCLL", "id=qa3", "plan=PDip", "modality=CT", "from=2025-11-02", "name=%25")
    found = [re.findall(r'<td class="code">(QA\d)</td>', web.get(f"/?{question}").text) for question in questions]
    assert found == [["QA2"], ["QA3"], ["QA1"], ["QA3"], ["QA1"], []]


def test_the_statistics_are_those_of_sqlite(node: NodeProcess) -> None:
    """Days and hours are cut from what PostgreSQL writes."""
    for by in ("day", "hour"):
        found = Web(node.web_port).get(f"/statistics.json?by={by}").json
        assert (found["objects"], found["growth"][-1]["total_objects"]) == (70, 70)
        assert sum(each["objects"] for each in found["speed"]) == 70
        assert {each["source"]: each["objects"] for each in found["sources"]} == {
            "CBCT": 60,
            "ARIA": 7,
            "<b>BAD</b>": 3,
        }
