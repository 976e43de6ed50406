"""How a node starts, whom it lets in, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import node_client as client
import node_objects as objects
import pytest

from qa_fetch.errors import ConfigError
from qa_fetch.node import Bounds, Certificates, Database, NodeOptions, NodeProcess, Peer, Web
from qa_fetch.node.options import from_tables, to_tables

ROOT = Path(sys.modules["qa_fetch"].__file__ or "").parents[1]


def listens(port: int) -> bool:
    """True while somebody accepts connections there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def script(text: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a piece of Python in a process of its own, with warnings as errors."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", text, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def test_naming_the_node_costs_no_django_and_no_pynetdicom() -> None:
    """Importing qa_fetch.node loads neither; the names are there all the same."""
    done = script(
        "import sys, qa_fetch.node as n; from qa_fetch.node import NodeOptions, NodeProcess; print(sorted(n.__all__));"
        "assert not {'django', 'pynetdicom', 'pydicom'} & set(sys.modules)"
    )
    names = ["Bounds", "Certificates", "Database", "Node", "NodeOptions", "NodeProcess", "Peer", "Web", "serve"]
    assert (done.stdout, done.stderr) == (f"{names}\n", "")


def test_a_node_says_where_it_listens(node: NodeProcess) -> None:
    """Its address is one that can be written wherever an archive is named."""
    assert node.address == f"dimse://QA_NODE@127.0.0.1:{node.port}"
    with client.association(node.port, [(client.VERIFICATION, client.PLAIN)]) as opened:
        client.settle(opened)
        assert opened.send_c_echo().Status == 0


def test_an_aria_like_node_offers_what_aria_offers(tmp_path: Path) -> None:
    """Study root find and move, no C-GET, no patient root, relational queries, one known caller."""
    options = NodeOptions(
        tmp_path / "node",
        ae_title="ESAPI",
        port=0,
        peers={"QATRACK": Peer()},
        strangers=(),
        services=("echo", "find", "move", "store"),
        roots=("study",),
    )
    who = {"calling": "QATRACK", "called": "ESAPI"}
    with NodeProcess(options) as aria:
        assert client.store(aria.port, objects.plan(), objects.image(), **who) == [0, 0]
        keys = {"PatientID": "QA1", "Modality": "RTPLAN", "RTPlanLabel": "WL_6X", "StudyInstanceUID": ""}
        (answer,) = client.find(aria.port, "IMAGE", keys, **who).answers
        assert answer.StudyInstanceUID == objects.uid(1, 1)
        wanted = [(client.GET["study"], client.PLAIN), (client.FIND["patient"], client.PLAIN)]
        with client.association(aria.port, [*wanted, (client.MOVE["study"], client.PLAIN)], **who) as opened:
            assert [context.abstract_syntax for context in opened.accepted_contexts] == [client.MOVE["study"]]
        calling_title_not_recognised = (1, 1, 3)
        assert client.rejection(aria.port, calling="STRANGER", called="ESAPI") == calling_title_not_recognised


def test_a_wrong_called_title_is_rejected_unless_it_does_not_matter(tmp_path: Path) -> None:
    """check_called decides."""
    called_title_not_recognised = (1, 1, 7)
    for check, rejection in ((True, called_title_not_recognised), (False, None)):
        options = NodeOptions(tmp_path / f"node-{check}", port=0, check_called=check)
        with NodeProcess(options) as node:
            assert client.rejection(node.port, called="WRONG") == rejection


def test_a_node_that_only_gives_does_not_take(tmp_path: Path) -> None:
    """Without the store service an object is refused with 0x0124, though its context is there for C-GET."""
    with NodeProcess(NodeOptions(tmp_path / "node", port=0, services=("find", "get"))) as node:
        assert client.store(node.port, objects.image()) == [0x0124]


def test_a_hierarchical_node_wants_the_keys_above(tmp_path: Path) -> None:
    """Without relational queries a missing unique key of a higher level is answered with 0xA900."""
    with NodeProcess(NodeOptions(tmp_path / "node", port=0, relational=False)) as node:
        client.store(node.port, objects.plan(), objects.image())
        study = {"StudyInstanceUID": objects.uid(1, 1)}
        series = {"SeriesInstanceUID": objects.uid(1, 1, 2)}
        image = {"SOPInstanceUID": ""}

        def answers(level: str, keys: dict[str, str], root: str = "study") -> tuple[int, int]:
            result = client.find(node.port, level, keys, root=root)
            return result.status, len(result.answers)

        assert answers("IMAGE", {"RTPlanLabel": "WL_6X", **image}) == (0xA900, 0)
        assert answers("SERIES", {"SeriesInstanceUID": ""}) == (0xA900, 0)
        assert answers("IMAGE", {**study, **image}) == (0xA900, 0)
        assert answers("IMAGE", {**study, **series, **image}) == (0, 1)
        assert answers("SERIES", {**study, "SeriesInstanceUID": ""}) == (0, 2)
        assert answers("SERIES", {**study, "SeriesInstanceUID": ""}, "patient") == (0xA900, 0)
        assert answers("SERIES", {**study, "PatientID": "QA1", "SeriesInstanceUID": ""}, "patient") == (0, 2)
        assert client.get(node.port, "IMAGE", {"SOPInstanceUID": objects.uid(1, 1, 2, 1)})[0].status == 0xA900


def test_every_acknowledged_object_survives_a_killed_node(tmp_path: Path) -> None:
    """kill -9 in the middle of storing; after the restart all that was acknowledged is found and whole."""
    options = NodeOptions(tmp_path / "node", port=0)
    acknowledged: list[objects.Dataset] = []
    first = NodeProcess(options)
    first.start()

    def store_all() -> None:
        with client.association(first.port, [(objects.RTIMAGE, client.PLAIN[:1])]) as opened:
            for number in range(1, 2000):
                image = objects.image(number=number)
                data = objects.encoded(image)
                if client.send(opened, objects.RTIMAGE, str(image.SOPInstanceUID), data) != 0:
                    return
                acknowledged.append(image)

    sending = threading.Thread(target=store_all)
    sending.start()
    while len(acknowledged) < 40:
        time.sleep(0.002)
    first.kill()
    sending.join()
    with NodeProcess(options) as second:
        assert list((options.data / "incoming").iterdir()) == []
        result, received = client.get(second.port, "SERIES", {"SeriesInstanceUID": objects.uid(1, 1, 2)})
        assert result.status == 0
        for image in acknowledged:
            assert received.objects[str(image.SOPInstanceUID)][1] == objects.encoded(image)
        again = [objects.image(number=number) for number in range(1, len(acknowledged) + 5)]
        assert set(client.store(second.port, *again)) == {0}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_node_stops_when_it_is_told_to(node: NodeProcess, number: signal.Signals) -> None:
    """The signal ends it quickly, also with an association open that does nothing."""
    port = node.port
    with client.association(port, [(client.VERIFICATION, client.PLAIN)]):
        began = time.monotonic()
        os.kill(node.pid, number)
        node.stop()
        assert time.monotonic() - began < 4
    assert not listens(port)


def test_a_stopping_node_finishes_what_it_has_begun(tmp_path: Path) -> None:
    """A retrieval that runs when the node is told to stop is still answered whole."""
    node = NodeProcess(NodeOptions(tmp_path / "node", port=0, grace=20))
    node.start()
    client.store(node.port, *(objects.image(number=number) for number in range(1, 61)))
    stopping = threading.Thread(target=node.stop)
    study = {"StudyInstanceUID": objects.uid(1, 1)}
    result, received = client.get(node.port, "STUDY", study, meanwhile=stopping.start)
    stopping.join()
    assert (result.status, result.counts, len(received.objects)) == (0, (60, 0, 0), 60)


def test_a_node_ends_with_its_parent(tmp_path: Path) -> None:
    """When the process that started it is killed, it does not stay behind."""
    text = (
        "import os, sys; from qa_fetch.node import *\n"
        "node = NodeProcess(NodeOptions(sys.argv[1], port=0)); node.start()\n"
        "print(node.port, flush=True); os.kill(os.getpid(), 9)"
    )
    port = int(script(text, tmp_path / "node").stdout)
    end = time.monotonic() + 10
    while listens(port) and time.monotonic() < end:
        time.sleep(0.05)
    assert not listens(port)


def test_a_child_that_cannot_start_says_why(node: NodeProcess, tmp_path: Path) -> None:
    """A taken port and a taken folder each give one line that says what to do."""
    with pytest.raises(ConfigError) as caught:
        NodeProcess(NodeOptions(tmp_path / "other", port=node.port)).start()
    assert str(caught.value) == (
        f"the node cannot listen on 127.0.0.1:{node.port} (Address already in use). "
        "Choose another port, or 0 for any free one."
    )
    with pytest.raises(ConfigError) as caught:
        NodeProcess(node.options).start()
    assert str(caught.value) == f"another node is running on {node.options.data}. Stop it, or choose another folder."


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"ae_title": ""}, "node.ae_title is ''; expected an AE title of 1 to 16 ASCII characters."),
        ({"ae_title": "A" * 17}, f"node.ae_title is {'A' * 17!r}; expected an AE title of 1 to 16 ASCII characters."),
        ({"peers": {"A\\B": Peer()}}, "peers.A\\B is 'A\\\\B'; expected an AE title of 1 to 16 ASCII characters."),
        ({"services": ("x",)}, "node.services is ['x']; expected a list out of echo, store, find, move, get, commit."),
        ({"roots": ()}, "node.roots is []; expected a list out of patient, study."),
        ({"port": 70000}, "node.port is 70000; expected a whole number from 0 to 65535."),
        ({"peers": {"A": Peer(port=104)}}, "peers.A has a port but no host. Add it."),
    ],
)
def test_options_that_make_no_sense_are_refused(tmp_path: Path, given: dict[str, object], message: str) -> None:
    """Before anything starts."""
    with pytest.raises(ConfigError) as caught:
        NodeOptions(tmp_path, **given)  # type: ignore[arg-type]
    assert str(caught.value) == f"the node's options: {message}"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "node.data is missing; expected a folder (in TOML a Windows path goes in single quotes)."),
        ({"node": {"data": "d", "prot": 1}}, "node.prot is not a setting; expected one of {names}. Did you mean port?"),
        ({"node": 3}, "node is 3; expected a table [node]."),
        ({"wep": {}}, "wep is not a table of settings; expected one of {tables}. Did you mean web?"),
        ({"peers": {"A": 3}}, "peers.A is 3; expected a table [peers.A]."),
        (
            {"peers": {"A": {"source": "10.0.0.0/99"}}},
            "peers.A.source is '10.0.0.0/99'; expected an IP address or a network such as 10.0.0.0/24.",
        ),
        ({"bounds": {"idle": 0}}, "bounds.idle is 0; expected a number of seconds above 0."),
        (
            {"database": {"url": "mysql://"}},
            "database.url is 'mysql://'; expected an address such as postgresql://user@host:5432/name.",
        ),
    ],
)
def test_a_file_that_makes_no_sense_is_refused(given: dict[str, object], message: str) -> None:
    """With the name of the setting as it stands there, and what it should have been."""
    with pytest.raises(ConfigError) as caught:
        from_tables(given, "file node.toml")
    names = "data, ae_title, host, port, strangers, services, roots, relational, check_called, grace, extra, log, shelf"
    tables = "node, peers, bounds, tls, database, web"
    assert str(caught.value) == f"file node.toml: {message.format(names=names, tables=tables)}"


def test_options_survive_the_way_to_the_child(tmp_path: Path) -> None:
    """The JSON that it reads means what the options say."""
    options = NodeOptions(
        tmp_path,
        "ESAPI",
        "::1",
        0,
        strangers=("echo",),
        services=("find", "echo"),
        roots=("study",),
        relational=False,
        check_called=False,
        grace=1.5,
        extra=("StationName",),
        log=tmp_path / "log",
        peers={"C": Peer("::1", 104, "10.0.0.0/8", ("find",), True), "D": Peer()},
        bounds=Bounds(idle=3, associations=2),
        tls=Certificates(tmp_path / "c", tmp_path / "k"),
        database=Database("postgresql://u@h/d", "PW"),
        web=Web(port=0, names=("qa.clinic",), sign_in=True),
    )
    assert from_tables(json.loads(json.dumps(to_tables(options))), "x") == options
    assert to_tables(NodeOptions(tmp_path))["node"] == {"data": str(tmp_path)}


IN_PROCESS = """
import sys
from pathlib import Path
from qa_fetch.errors import ConfigError
from qa_fetch.node import Node, NodeOptions
from pynetdicom import AE
folder = Path(sys.argv[1])
for _ in range(2):
    with Node(NodeOptions(folder / "a", port=0)) as node:
        entity = AE()
        entity.add_requested_context("1.2.840.10008.1.1")
        association = entity.associate("127.0.0.1", node.port, ae_title="QA_NODE")
        print(association.send_c_echo().Status)
        association.release()
        try:
            Node(NodeOptions(folder / "b", port=0)).start()
        except ConfigError as error:
            print(str(error).replace(str(folder), "DIR"))
        try:
            Node(NodeOptions(folder / "a", port=0)).start()
        except ConfigError as error:
            print(str(error).replace(str(folder), "DIR"))
"""


def test_a_process_serves_one_folder(tmp_path: Path) -> None:
    """A node runs in this process and again after it stopped; a second folder or a second node is refused."""
    done = script(IN_PROCESS, tmp_path)
    assert (done.stdout.splitlines(), done.stderr) == (
        [
            "0",
            "this process already serves the node in DIR/a, and Django allows one per process. "
            "Start the other one with qa_fetch.node.NodeProcess.",
            "another node is running on DIR/a. Stop it, or choose another folder.",
        ]
        * 2,
        "",
    )


def test_a_host_with_its_own_django_is_not_disturbed(tmp_path: Path) -> None:
    """Settings that are there already are left alone."""
    done = script(
        "import sys; from django.conf import settings; settings.configure()\n"
        "from qa_fetch.node import Node, NodeOptions\n"
        "try: Node(NodeOptions(sys.argv[1], port=0)).start()\n"
        "except Exception as error: print(error)",
        tmp_path,
    )
    assert (done.stdout, done.stderr) == (
        "this process already runs a Django of its own, which a node cannot share. "
        "Start the node in a process of its own with qa_fetch.node.NodeProcess.\n",
        "",
    )


def test_the_migrations_are_complete() -> None:
    """The models need no migration that is not committed, under this Django."""
    done = script(
        "import django; from django.conf import settings\n"
        "db = {'default': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': ':memory:'}}\n"
        "settings.configure(INSTALLED_APPS=['qa_fetch.node'], DATABASES=db, USE_TZ=True)\n"
        "django.setup(set_prefix=False); from django.core.management import call_command\n"
        "call_command('makemigrations', check_changes=True, dry_run=True); call_command('check')"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[0] == "No changes detected"


def test_the_ready_line_is_json(tmp_path: Path) -> None:
    """A process that is not Python reads where the node listens from one line."""
    command = [sys.executable, "-m", "qa_fetch.node"]
    child = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert child.stdout is not None and child.stdin is not None
    child.stdin.write(json.dumps({"node": {"data": str(tmp_path / "n"), "port": 0}}).encode() + b"\n")
    child.stdin.flush()
    said = json.loads(child.stdout.readline())
    assert said == {"port": said["port"], "web_port": None}
    assert listens(said["port"])
    assert child.communicate(timeout=20) == (b"", None)
    assert (child.returncode, listens(said["port"])) == (0, False)
