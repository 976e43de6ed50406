"""Where settings come from, which layer wins, and what a wrong one reads like."""

import os
import pickle
import sys
import types
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa_fetch import config
from qa_fetch.config import Config, find_file, inline_name, parse_address
from qa_fetch.config.layers import Layer
from qa_fetch.errors import ConfigError

ARIA = '[archives.aria]\nkind = "dimse"\nae_title = "ESAPI"\nhost = "10.0.0.2"\nport = 51402\n'
KEYS = (
    "ae_title, host, port, retrieve, root, relational, one_plan_per_series, timeout, local_ae_title, local_port, "
    "associations, keep_open, transport, tls, ca_file, certificate_file, key_file, budget, also"
)


@pytest.fixture(autouse=True)
def clean(monkeypatch, tmp_path):
    """No test sees the developer's own configuration."""
    for variable in [name for name in os.environ if name.startswith("QA_FETCH")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "user"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.delitem(sys.modules, "django.conf", raising=False)


@pytest.fixture
def written(tmp_path):
    """Write a configuration file and give back its path."""

    def write(text, encoding="utf-8"):
        path = tmp_path / "qa_fetch.toml"
        path.write_bytes(text.encode(encoding))
        return path

    return write


def django(monkeypatch, value, configured=True):
    settings = types.SimpleNamespace(configured=configured, QA_FETCH=value)
    monkeypatch.setitem(sys.modules, "django.conf", types.SimpleNamespace(settings=settings))


def refused(call, *arguments, **keywords) -> str:
    with pytest.raises(ConfigError) as caught:
        call(*arguments, **keywords)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Layers


def test_without_any_configuration_the_defaults_say_so():
    """A fresh installation has settings, and each says that nobody set it."""
    assert [(s.key, s.value, s.origin) for s in Config.load().settings()] == [
        ("default", None, "built-in default"),
        ("budget", 25.0, "built-in default"),
        ("local.ae_title", "QA_FETCH", "built-in default"),
        ("local.port", 11113, "built-in default"),
        ("local.host", "0.0.0.0", "built-in default"),
        ("local.transport", "own", "built-in default"),
        ("local.certificate_file", None, "built-in default"),
        ("local.key_file", None, "built-in default"),
        ("local.ca_file", None, "built-in default"),
        ("shelf.path", config.default_shelf(), "built-in default"),
        ("shelf.settle_minutes", 10.0, "built-in default"),
    ]


def test_every_value_names_the_layer_it_came_from(written, monkeypatch):
    """Environment, file, Django and default show side by side, as ``qa-fetch config`` prints them."""
    path = written(f'default = "aria"\n[local]\nport = 11200\n{ARIA}')
    monkeypatch.setenv("QA_FETCH_AE_TITLE", "LINAC1")
    django(monkeypatch, {"budget": 9, "archives": {"stick": "folder:/media/stick"}})
    origins = {s.key: (s.value, s.origin) for s in Config.load(path).settings()}
    file, host = f"file {path}", "Django settings QA_FETCH"
    assert origins["default"] == ("aria", file)
    assert origins["budget"] == (9.0, host)
    assert origins["local.ae_title"] == ("LINAC1", "environment")
    assert origins["local.port"] == (11200, file)
    assert origins["archives.aria.kind"] == ("dimse", file)
    assert origins["archives.aria.port"] == (51402, file)
    assert origins["archives.aria.retrieve"] == ("auto", "built-in default")
    assert origins["archives.stick.path"] == (Path("/media/stick"), host)


@given(st.dictionaries(st.sampled_from(["environment", "file", "Django"]), st.integers(1, 65535)))
def test_the_first_layer_that_has_a_setting_wins(ports):
    """Whatever layers set a value, the first of them in order is the one that counts."""
    order = ["environment", "file", "Django"]
    layers = [Layer(name, {"local": {"port": ports[name]}} if name in ports else {}) for name in order]
    first = next((name for name in order if name in ports), None)
    found = Config(layers).local("port")
    assert (found.value, found.origin) == ((ports[first], first) if first else (11113, "built-in default"))


@given(
    st.lists(
        st.fixed_dictionaries({}, optional={"host": st.just("h"), "timeout": st.integers(1, 9)}) | st.none(),
        min_size=1,
        max_size=4,
    ),
    st.fixed_dictionaries({}, optional={"timeout": st.integers(10, 19), "ae_title": st.just("ARG")}),
)
def test_the_first_layer_that_defines_an_archive_wins_whole(tables, arguments):
    """No field of a later layer shines through, and an argument overrides one field only."""
    base = {"kind": "dimse", "ae_title": "A", "port": 104}
    layers = [
        Layer(str(number), {} if table is None else {"archives": {"x": {**base, "host": str(number), **table}}})
        for number, table in enumerate(tables)
    ]
    first = next((number for number, table in enumerate(tables) if table is not None), None)
    if first is None:
        assert refused(Config(layers).archive, "x") == "no archive is called 'x'. Add [archives.x] to qa_fetch.toml."
        return
    found = Config(layers).archive("x", **arguments)
    table = tables[first]
    assert found["host"] == table.get("host", str(first))
    assert found["timeout"] == arguments.get("timeout", table.get("timeout", 15.0))
    assert found["ae_title"] == arguments.get("ae_title", "A")
    for key in ("timeout", "ae_title"):
        given_here = key in base or key in table
        origin = "arguments" if key in arguments else str(first) if given_here else "built-in default"
        assert found.origins[key] == origin


def test_an_environment_address_replaces_the_files_archive_whole(written, monkeypatch):
    """A container points "aria" elsewhere with one variable, whatever capitals the file uses."""
    path = written(ARIA.replace("aria", "Varian-ARIA") + 'retrieve = "move"\n')
    monkeypatch.setenv("QA_FETCH_ARCHIVE_VARIAN_ARIA", "dimse://TEST@localhost:4242")
    loaded = Config.load(path)
    assert loaded.archive_names() == ["varian_aria"]
    found = loaded.archive("Varian-ARIA")
    assert (found.name, found["ae_title"], found["retrieve"]) == ("varian_aria", "TEST", "auto")
    assert found.origins["host"] == "environment"


def test_an_empty_variable_is_no_setting(monkeypatch):
    """Compose files leave variables empty where they mean "unset"."""
    for name in ("DEFAULT", "BUDGET", "AE_TITLE", "PORT", "HOST", "SHELF", "CONFIG", "ARCHIVE_X", "ARCHIVE_"):
        monkeypatch.setenv(f"QA_FETCH_{name}", "")
    assert {setting.origin for setting in Config.load().settings()} == {"built-in default"}


def test_every_variable_reaches_its_setting(monkeypatch):
    """Text from the environment becomes the number or path that the setting needs."""
    for name, value in {"BUDGET": "12.5", "AE_TITLE": "ME", "PORT": "104", "HOST": "::1", "SHELF": "/s"}.items():
        monkeypatch.setenv(f"QA_FETCH_{name}", value)
    loaded = Config.load()
    assert [loaded.top("budget").value, loaded.local("ae_title").value, loaded.local("port").value] == [12.5, "ME", 104]
    assert (loaded.local("host").value, loaded.shelf("path").value) == ("::1", Path("/s"))


def test_a_running_django_is_asked_and_a_resting_one_is_not(monkeypatch):
    """Settings that nobody has configured must not be touched, or Django complains."""
    django(monkeypatch, {"default": "x"}, configured=False)
    assert Config.load().top("default").value is None
    django(monkeypatch, None)
    assert Config.load().top("default").value is None
    django(monkeypatch, {"default": "x"})
    assert Config.load().top("default").origin == "Django settings QA_FETCH"


def test_real_django_settings_are_read(monkeypatch):
    """The same through Django's own LazySettings."""
    settings = pytest.importorskip("django.conf").settings
    monkeypatch.setitem(sys.modules, "django.conf", sys.modules.get("django.conf") or types.ModuleType("django.conf"))
    if not settings.configured:
        settings.configure()
    values = {"archives": {"p": {"kind": "folder", "path": Path("/p")}}}
    monkeypatch.setattr(settings, "QA_FETCH", values, raising=False)
    monkeypatch.setattr(sys.modules["django.conf"], "settings", settings, raising=False)
    assert Config.load().archive()["path"] == Path("/p")


# Which file


def test_the_file_is_looked_for_from_the_working_directory_upwards(tmp_path, monkeypatch):
    """The nearest wins, then the folders above, then the user's own."""
    own = config.user_config_folder() / "qa_fetch.toml"
    own.parent.mkdir(parents=True)
    own.write_text("")
    deep = tmp_path / "work" / "a" / "b"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    assert find_file() == own
    (tmp_path / "work" / "qa_fetch.toml").write_text("")
    assert find_file() == tmp_path / "work" / "qa_fetch.toml"
    (deep / "qa_fetch.toml").write_text("")
    assert find_file() == deep / "qa_fetch.toml"
    monkeypatch.setenv("QA_FETCH_CONFIG", str(own))
    assert find_file() == own


def test_a_named_file_that_is_not_there_is_not_passed_over(monkeypatch):
    """Going on with another file would use the wrong archive."""
    monkeypatch.setenv("QA_FETCH_CONFIG", "/nowhere/q.toml")
    assert refused(Config.load) == "QA_FETCH_CONFIG names /nowhere/q.toml, which is not a file. Correct it or unset it."
    assert refused(Config.load, "/nowhere/r.toml") == (
        "file /nowhere/r.toml: it cannot be read; No such file or directory."
    )


@pytest.mark.skipif(os.name == "nt", reason="POSIX accounts")
def test_an_account_without_a_home_still_reads_its_configuration(monkeypatch, written):
    """Containers run under numbers that no password file knows; only what needs a home says so."""

    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert find_file() is None
    assert Config.load(written(ARIA)).archive()["port"] == 51402
    assert refused(Config.load().shelf, "path") == (
        "this account has no home folder for the shelf. "
        "Set QA_FETCH_CONFIG to a configuration file and QA_FETCH_SHELF to a folder."
    )
    monkeypatch.setenv("QA_FETCH_SHELF", "/srv/shelf")
    assert Config.load().shelf("path").value == Path("/srv/shelf")


def test_a_file_saved_by_notepad_is_read(written):
    """Windows puts a byte order mark in front of UTF-8."""
    assert Config.load(written(ARIA, "utf-8-sig")).archive("aria")["host"] == "10.0.0.2"


def test_a_file_in_another_encoding_is_called_that(written):
    """PowerShell's > writes UTF-16."""
    path = written(ARIA, "utf-16")
    assert refused(Config.load, path) == f"file {path}: it is not UTF-8 text; expected a TOML file saved as UTF-8."


def test_a_file_that_is_not_toml_names_the_place(written):
    """Line and column come from the parser."""
    path = written('default = "aria\n')
    message = refused(Config.load, path)
    assert message.startswith(f"file {path}: it is not valid TOML; ")
    assert message.endswith("(at line 1, column 16).")


def test_relative_paths_in_a_file_start_at_the_file(written, monkeypatch, tmp_path):
    """A web server's working directory is anywhere; ~ and absolute paths stay what they are."""
    monkeypatch.setenv("HOME", "/home/me")
    path = written('[shelf]\npath = "kept"\n[archives]\na = "folder:in"\nb = "folder:/in"\nc = "folder:~/in"\n')
    loaded = Config.load(path)
    assert loaded.shelf("path").value == tmp_path / "kept"
    found = [loaded.archive(name)["path"] for name in "abc"]
    assert found == [tmp_path / "in", Path("/in"), Path("~/in").expanduser()]
    assert loaded.archive("folder:in")["path"] == Path("in")
    assert loaded.archive("a", path="other")["path"] == Path("other")


# Which archive


def test_the_only_archive_is_the_default(written):
    """One archive needs no default."""
    assert Config.load(written(ARIA)).archive().name == "aria"


def test_no_archive_at_all_says_how_to_begin():
    """The first sentence a new user meets."""
    assert refused(Config.load().archive) == (
        "no archive is configured. Write qa_fetch.toml (the README has one to copy), "
        "or name one inline such as dimse://AET@host:port."
    )


def test_several_archives_without_a_default_ask_for_one(written):
    """The first is offered as the line to add."""
    path = written(f'{ARIA}[archives]\npacs = "folder:x"\n'.replace("[archives]\n", "[archives.pacs]\n", 1))
    path.write_text(ARIA + '[archives.pacs]\nkind = "folder"\npath = "x"\n')
    assert refused(Config.load(path).archive) == (
        "no default archive is set and several are configured (aria, pacs). "
        'Name one, or add default = "aria" at the top of qa_fetch.toml.'
    )


def test_a_default_that_no_archive_has_names_the_file(written):
    """The slip is in the file, not in the call."""
    path = written(f'default = "arai"\n{ARIA}')
    assert refused(Config.load(path).archive) == (
        f"file {path}: default is 'arai'; expected one of aria. Did you mean aria?"
    )


def test_a_default_may_be_an_address(written):
    """``default = "folder:..."`` is the shortest configuration there is."""
    assert Config.load(written('default = "folder:/data"\n')).archive()["path"] == Path("/data")


def test_an_unknown_name_lists_the_known_ones(written):
    """And without any, says where to add it."""
    assert refused(Config.load(written(ARIA)).archive, "pacs") == ("no archive is called 'pacs'. Configured are: aria.")
    assert refused(Config([]).archive, "pacs") == ("no archive is called 'pacs'. Add [archives.pacs] to qa_fetch.toml.")


def test_an_archive_may_come_from_arguments_alone():
    """Scripts without a file say kind, host and port; None stands for "not given"."""
    found = Config.load().archive(kind="dimse", ae_title="X", host="[::1]", port="104", timeout=None)
    assert (found.name, found["host"], found["port"], found["timeout"]) == ("archive", "::1", 104, 15.0)
    assert (found.origins["kind"], found.origins["port"], found.origins["timeout"]) == (
        "arguments",
        "arguments",
        "built-in default",
    )


def test_a_wrong_argument_is_not_blamed_on_the_file(written):
    """Who passed it is who must correct it."""
    loaded = Config.load(written(ARIA))
    assert refused(loaded.archive, "aria", port=0) == "arguments: port is 0; expected a whole number from 1 to 65535."
    assert refused(loaded.archive, "aria", hots="x") == (
        f"arguments: hots is not a setting of a dimse archive; expected one of {KEYS}. Did you mean host?"
    )
    assert refused(loaded.archive, kind="ftp") == (
        "arguments: kind is 'ftp'; expected one of dimse, dicomweb, orthanc, folder, pinnacle."
    )


# Inline addresses


@pytest.mark.parametrize(
    ("address", "fields"),
    [
        ("dimse://ESAPI@10.0.0.2:51402", ("ESAPI", "10.0.0.2", 51402)),
        ("dimse://A@[::1]:104", ("A", "::1", 104)),
        ("dimse://A@[fe80::1%25eth0]:104", ("A", "fe80::1%eth0", 104)),
        ("dimse://MY%20PACS@host:104", ("MY PACS", "host", 104)),
        ("dimse://A%40B%2FC@host:104", ("A@B/C", "host", 104)),
        ("DIMSE://AnyCase@Host.Example:104", ("AnyCase", "host.example", 104)),
        (" dimse://A@h:104 ", ("A", "h", 104)),
    ],
)
def test_a_dimse_address_is_taken_apart(address, fields):
    """AE title, host and port, IPv6 in brackets, and signs escaped with percent."""
    assert parse_address(address) == {"kind": "dimse", **dict(zip(("ae_title", "host", "port"), fields))}
    assert inline_name(address) == fields[0]
    assert Config([]).archive(address)["host"] == fields[1]


@pytest.mark.parametrize(
    ("address", "path", "name"),
    [
        ("folder:/data/QA", "/data/QA", "QA"),
        ("folder:/data/QA/", "/data/QA/", "QA"),
        ("folder:C:\\data", "C:\\data", "data"),
        ("folder:C:\\data\\", "C:\\data\\", "data"),
        ("folder:\\\\server\\share\\QA day", "\\\\server\\share\\QA day", "QA day"),
        ("folder:100%25", "100%25", "100%25"),
        ("folder:.", ".", "folder"),
        ("folder:../x", "../x", "x"),
    ],
)
def test_a_folder_address_is_its_path_as_it_stands(address, path, name):
    """Nothing is unescaped or cut at a drive's colon."""
    assert parse_address(address) == {"kind": "folder", "path": path}
    assert inline_name(address) == name
    assert Config([]).archive(address)["path"] == Path(path)


@pytest.mark.parametrize(
    "address",
    [
        "dimse:A@h:104",
        "dimse://h:104",
        "dimse://A@h",
        "dimse://A@h:",
        "dimse://A@:104",
        "dimse://A@h:0",
        "dimse://A@h:70000",
        "dimse://A@h:x",
        "dimse://A@h:104/path",
        "dimse://A@h:104?x=1",
        "dimse://A@h:104#x",
        "dimse://A@[::1:104",
    ],
)
def test_half_an_address_shows_how_to_write_a_whole_one(address):
    """Nothing in it is dropped without a word."""
    assert refused(parse_address, address) == (
        f"{address!r} is not an archive's address. Write it as dimse://AE_TITLE@host:port."
    )


def test_a_password_in_an_address_is_refused_without_showing_it():
    """DIMSE has no passwords, and messages end up in logs."""
    assert refused(parse_address, "dimse://A:geheim@h:104") == (
        "'dimse://A:(hidden)@h:104' is not an archive's address. Write it as dimse://AE_TITLE@host:port."
    )


@pytest.mark.parametrize(("address", "scheme"), [("C:\\data", "C"), ("ftp://x", "ftp"), (":x", "")])
def test_another_scheme_names_those_that_there_are(address, scheme):
    """A bare Windows path is the likeliest slip."""
    assert refused(Config([]).archive, address) == (
        f"{scheme!r} is not a sort of archive that can be written inline. Use dimse://AET@host:port, "
        "orthanc+http://host:port, dicomweb+https://host/root, folder:PATH or pinnacle:PATH."
    )


def test_an_empty_folder_address_is_refused():
    """``folder:`` would otherwise mean the working directory."""
    assert refused(Config([]).archive, "folder:") == (
        "arguments: path is ''; expected a folder (in TOML a Windows path goes in single quotes)."
    )


def test_a_wrong_address_in_a_file_names_file_and_key(written):
    """An archive's table may be an address, and then the same rules hold."""
    path = written('[archives]\naria = "dimse:/x"\nlong = "dimse://SEVENTEENLETTERSX@h:1"\n')
    assert refused(Config.load(path).archive, "aria") == (
        f"file {path}: archives.aria: 'dimse:/x' is not an archive's address. Write it as dimse://AE_TITLE@host:port."
    )
    assert refused(Config.load(path).archive, "long") == (
        f"file {path}: archives.long.ae_title is 'SEVENTEENLETTERSX'; expected an AE title of 1 to 16 ASCII characters."
    )


# Wrong values


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('defualt = "x"', "defualt is not a setting; expected one of default, budget, local, shelf, archives, units, "
                          "qatrack. Did you mean default?"),
        ("zzz = 1", "zzz is not a setting; expected one of default, budget, local, shelf, archives, units, qatrack."),
        ("local = 1", "local is 1; expected a table [local]."),
        ('[local]\naetitle = "X"', "local.aetitle is not a setting; expected one of ae_title, port, host, transport, "
                                   "certificate_file, key_file, ca_file. "
                                   "Did you mean ae_title?"),
        ("[shelf]\nfolder = 1", "shelf.folder is not a setting; expected one of path, settle_minutes."),
        ("archives = []", "archives is []; expected a table [archives]."),
        ("[archives]\naria = 5", "archives.aria is 5; expected a table [archives.aria]."),
        ('[archives."a:b"]', "'a:b' cannot name an archive; expected a name without : / or \\."),
        ('[archives.""]', "'' cannot name an archive; expected a name without : / or \\."),
        ("[archives.a-b]\n[archives.A_B]", "archives.A_B and archives.a-b have the same name; "
                                           "expected names that differ in more than capitals, - and _."),
    ],
)  # fmt: skip
def test_a_slip_in_a_name_is_refused_when_the_file_is_read(written, text, told):
    """A misspelt setting never silently means its default."""
    path = written(text)
    assert refused(Config.load, path) == f"file {path}: {told}"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (
            'kind = "dicom"',
            "kind is 'dicom'; expected one of dimse, dicomweb, orthanc, folder, pinnacle. Did you mean dicomweb?",
        ),
        ('kind = ""', "kind is ''; expected one of dimse, dicomweb, orthanc, folder, pinnacle."),
        ('ae_title = ""', "ae_title is ''; expected an AE title of 1 to 16 ASCII characters."),
        ('ae_title = "SEVENTEEN_LETTERS"',
         "ae_title is 'SEVENTEEN_LETTERS'; expected an AE title of 1 to 16 ASCII characters."),
        ('ae_title = "KÖLN"', "ae_title is 'KÖLN'; expected an AE title of 1 to 16 ASCII characters."),
        ("port = 0", "port is 0; expected a whole number from 1 to 65535."),
        ("port = 104.0", "port is 104.0; expected a whole number from 1 to 65535."),
        ("port = true", "port is True; expected a whole number from 1 to 65535."),
        ('port = "http"', "port is 'http'; expected a whole number from 1 to 65535."),
        ('host = "10.0.0.2:104"', "host is '10.0.0.2:104'; expected a host name or IP address."),
        ('host = "http://pacs"', "host is 'http://pacs'; expected a host name or IP address."),
        ('host = "my pacs"', "host is 'my pacs'; expected a host name or IP address."),
        ("host = 10", "host is 10; expected a host name or IP address."),
        ('retrieve = "push"', "retrieve is 'push'; expected \"auto\", \"get\" or \"move\"."),
        ("retrieve = true", "retrieve is True; expected \"auto\", \"get\" or \"move\"."),
        ("root = 1", 'root is 1; expected "study" or "patient".'),
        ('relational = "perhaps"', "relational is 'perhaps'; expected \"auto\", true or false."),
        ("one_plan_per_series = 2", "one_plan_per_series is 2; expected true or false."),
        ("timeout = 0", "timeout is 0; expected a number of seconds above 0."),
        ("timeout = nan", "timeout is nan; expected a number of seconds above 0."),
        ("timeout = inf", "timeout is inf; expected a number of seconds above 0."),
        (f"timeout = 1{'0' * 400}",
         f"timeout is 1{'0' * 56}...; expected a number of seconds above 0."),
        ("timeout = 2024-01-01", "timeout is datetime.date(2024, 1, 1); expected a number of seconds above 0."),
        ("budget = -1", "budget is -1; expected a number of seconds above 0."),
    ],
)  # fmt: skip
def test_a_wrong_value_names_file_key_and_what_was_expected(written, line, told):
    """One clear line that a physicist can act on."""
    key = line.partition(" ")[0]
    kept = [own for own in ARIA.splitlines() if not own.startswith(f"{key} =")]
    path = written("\n".join([*kept, line]))
    assert refused(Config.load(path).archive, "aria") == f"file {path}: archives.aria.{told}"


@pytest.mark.parametrize("missing", ["ae_title", "host", "port"])
def test_a_missing_field_is_named(written, missing):
    """What has no sensible default must be given."""
    path = written("\n".join(line for line in ARIA.splitlines() if not line.startswith(missing)))
    expected = {
        "ae_title": "an AE title of 1 to 16 ASCII characters",
        "host": "a host name or IP address",
        "port": "a whole number from 1 to 65535",
    }[missing]
    assert refused(Config.load(path).archive, "aria") == (
        f"file {path}: archives.aria.{missing} is missing; expected {expected}."
    )


def test_an_archive_without_a_kind_is_told_the_kinds(written):
    """``kind`` decides what the other settings are."""
    path = written('[archives.aria]\nhost = "x"\n')
    assert refused(Config.load(path).archive, "aria") == (
        f"file {path}: archives.aria.kind is missing; expected one of dimse, dicomweb, orthanc, folder, pinnacle."
    )


def test_a_wrong_archive_does_not_stop_the_others(written):
    """A slip in one table shows when that archive is used."""
    path = written(ARIA + '[archives.pacs]\nkind = "nonsense"\n')
    assert Config.load(path).archive("aria").name == "aria"


@pytest.mark.parametrize("value", [0, 0.5, "0", 10])
def test_settling_takes_any_number_of_minutes_from_zero_up(value):
    """Zero means that nothing is waited for, and stays exactly zero."""
    assert Config([Layer("x", {"shelf": {"settle_minutes": value}})]).shelf("settle_minutes").value == float(value)


@pytest.mark.parametrize("value", [-1, "soon", True, float("nan"), None])
def test_settling_refuses_anything_else(value):
    """A negative wait is a slip."""
    told = refused(Config([Layer("x", {"shelf": {"settle_minutes": value}})]).shelf, "settle_minutes")
    shown = "missing" if value is None else repr(value)
    assert told == f"x: shelf.settle_minutes is {shown}; expected a number of minutes from 0 up."


@pytest.mark.parametrize(
    ("given_value", "kept"), [(True, True), (False, False), ("FALSE", False), ("Auto", "auto"), (1, True), (0, False)]
)
def test_a_choice_with_flags_gives_real_flags(given_value, kept):
    """1 is not True by accident: later code asks ``is True``."""
    found = Config([]).archive("dimse://A@h:1", relational=given_value)["relational"]
    assert (found, type(found)) == (kept, type(kept))


def test_a_windows_path_in_double_quotes_is_not_taken_with_its_tab(written):
    r"""TOML reads "C:\temp" as C:, a tab, emp."""
    path = written('[archives.x]\nkind = "folder"\npath = "C:\\temp"\n')
    assert refused(Config.load(path).archive, "x") == (
        f"file {path}: archives.x.path is 'C:\\temp'; expected a folder (in TOML a Windows path goes in single quotes)."
    )


def test_django_settings_of_the_wrong_shape_are_named(monkeypatch):
    """``QA_FETCH = "aria"`` in local_settings.py."""
    django(monkeypatch, "aria")
    assert refused(Config.load) == ("Django settings: QA_FETCH is 'aria'; expected a dictionary like qa_fetch.toml.")
    django(monkeypatch, {"archives": {1: {}}})
    assert refused(Config.load) == (
        "Django settings QA_FETCH: 1 cannot name an archive; expected a name without : / or \\."
    )


# Secrets and plug-ins


@pytest.fixture
def plugin(monkeypatch):
    """A further sort of archive, as an installed package would offer it."""
    monkeypatch.setattr("qa_fetch.config.layers.plugin_kinds", lambda: ["cloud"])


SECRET = {
    "kind": "cloud",
    "password": "geheim",
    "api_key": "geheim",
    "access_token": "geheim",
    "password_env": "PACS_PASSWORD",
    "key_file": "/run/key",
    "url": "https://me:geheim@pacs/root",
    "login": {"user": "me", "passphrase": "geheim"},
    "mirrors": ["https://me:geheim@a/"],
    "monkey": "shown",
}


def test_secrets_are_never_shown(plugin):
    """``qa-fetch config``, messages and reprs show where a secret lies, and never what it is."""
    loaded = Config([Layer("file f", {"archives": {"c": SECRET}})])
    shown = {setting.key.rpartition(".")[2]: setting.value for setting in loaded.settings()}
    assert {key: shown[key] for key in SECRET} == {
        "kind": "cloud",
        "password": "(hidden)",
        "api_key": "(hidden)",
        "access_token": "(hidden)",
        "password_env": "PACS_PASSWORD",
        "key_file": "/run/key",
        "url": "https://me:(hidden)@pacs/root",
        "login": {"user": "me", "passphrase": "(hidden)"},
        "mirrors": ["https://me:(hidden)@a/"],
        "monkey": "shown",
    }
    archive = loaded.archive("c")
    assert archive["password"] == "geheim"
    assert "geheim" not in repr(archive) + repr(loaded) + repr(loaded._layers)


def test_a_plug_ins_settings_are_handed_over_as_they_are(plugin):
    """We do not know them; only the budget, which every archive has, is checked."""
    loaded = Config([Layer("file f", {"archives": {"c": {**SECRET, "budget": "7"}}})])
    archive = loaded.archive("c", region="eu")
    assert (archive.kind, archive["region"], archive["budget"]) == ("cloud", "eu", 7.0)
    assert (archive.origins["region"], archive.origins["url"]) == ("arguments", "file f")
    assert loaded.archive("c", kind="cloud").options["monkey"] == "shown"


def test_an_unknown_kind_lists_the_plug_ins_too(plugin):
    """A package that is installed is a choice."""
    layer = Layer("file f", {"archives": {"c": {"kind": "clod"}}})
    assert refused(Config([layer]).archive, "c") == (
        "file f: archives.c.kind is 'clod'; expected one of dimse, dicomweb, orthanc, folder, pinnacle, cloud. "
        "Did you mean cloud?"
    )


def test_an_archives_settings_travel_to_a_worker_process(written):
    """Bulk jobs hand them over by pickling."""
    archive = Config.load(written(ARIA)).archive("aria")
    assert pickle.loads(pickle.dumps(archive)) == archive
