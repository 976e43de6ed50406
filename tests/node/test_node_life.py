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
from qa_fetch.node import NodeOptions, NodeProcess

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
    assert (done.stdout, done.stderr) == ("['Node', 'NodeOptions', 'NodeProcess', 'serve']\n", "")


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
        callers=("QATRACK",),
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
        with client.association(aria.port, wanted, calling="STRANGER", called="ESAPI") as opened:
            assert opened.is_rejected
            assert opened.acceptor.primitive.diagnostic == 0x03  # calling AE title not recognised


def test_a_wrong_called_title_is_rejected_unless_it_does_not_matter(tmp_path: Path) -> None:
    """check_called decides."""
    for check, rejected in ((True, True), (False, False)):
        options = NodeOptions(tmp_path / f"node-{check}", port=0, check_called=check)
        with NodeProcess(options) as node:
            with client.association(node.port, [(client.VERIFICATION, client.PLAIN)], called="WRONG") as opened:
                assert (opened.is_rejected, opened.is_established) == (rejected, not rejected)
                if rejected:
                    assert opened.acceptor.primitive.diagnostic == 0x07  # called AE title not recognised


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
        ({"ae_title": ""}, "'' is not an AE title; expected 1 to 16 ASCII characters."),
        ({"ae_title": "A" * 17}, f"{'A' * 17!r} is not an AE title; expected 1 to 16 ASCII characters."),
        ({"callers": ("A\\B",)}, "'A\\\\B' is not an AE title; expected 1 to 16 ASCII characters."),
        ({"services": ("x",)}, "the node's services name 'x'; expected some of echo, store, find, move, get."),
        ({"roots": ()}, "the node's roots name nothing; expected some of patient, study."),
        ({"port": 70000}, "the node's port is 70000; expected a number from 0 to 65535."),
        ({"destinations": {"A": ("h", 0)}}, "the port of destination A is 0; expected a number from 1 to 65535."),
    ],
)
def test_options_that_make_no_sense_are_refused(tmp_path: Path, given: dict[str, object], message: str) -> None:
    """Before anything starts."""
    with pytest.raises(ConfigError) as caught:
        NodeOptions(tmp_path, **given)  # type: ignore[arg-type]
    assert str(caught.value) == message


def test_options_survive_the_way_to_the_child(tmp_path: Path) -> None:
    """The command line means what the options say."""
    from qa_fetch.node.__main__ import _options, _parser

    options = NodeOptions(
        tmp_path, "ESAPI", "::1", 0, ("A", "B"), {"C": ("::1", 104)}, ("find",), ("study",), False, False, 1.5
    )
    assert _options(_parser().parse_args(options.arguments())) == options
    assert _options(_parser().parse_args(["--data", str(tmp_path)])) == NodeOptions(tmp_path)


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
    command = [sys.executable, "-m", "qa_fetch.node", "--data", str(tmp_path / "n"), "--port", "0", "--until-eof"]
    child = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert child.stdout is not None
    said = json.loads(child.stdout.readline())
    assert said == {"ae_title": "QA_NODE", "host": "127.0.0.1", "port": said["port"]}
    assert listens(said["port"])
    assert child.communicate(timeout=20) == (b"", None)
    assert (child.returncode, listens(said["port"])) == (0, False)
