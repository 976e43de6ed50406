"""What a node is told when it starts: tables of settings that say themselves what each must be."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Any, Callable, ClassVar, Optional, TypeVar, Union

from ..config.options import AE_TITLE, FILE, FOLDER, HOST, SECONDS, Option, converted, one_of, shown
from ..config.values import as_above_zero, as_ae_title, as_flag, as_host, as_names, as_number, as_path, as_port, as_text
from ..errors import ConfigError
from .anonymising import check_peer

SERVICES = ("echo", "store", "find", "move", "get", "commit")
ROOTS = ("patient", "study")
PROFILES = ("basic", "research-rt")  # of the anonymiser

_Made = TypeVar("_Made", bound="_Table")


def _some_of(*known: str) -> Callable[[Any], tuple[str, ...]]:
    def convert(value: Any) -> tuple[str, ...]:
        given = tuple(name.lower() for name in as_names(value))
        if not set(given) <= set(known):
            raise ValueError
        return tuple(name for name in known if name in given)

    return convert


def _at_least_one_of(*known: str) -> Callable[[Any], tuple[str, ...]]:
    def convert(value: Any) -> tuple[str, ...]:
        given = _some_of(*known)(value)
        if not given:
            raise ValueError
        return given

    return convert


def _any_port(value: Any) -> int:
    return 0 if value == 0 and not isinstance(value, bool) else as_port(value)


def _count(value: Any) -> int:
    number = as_above_zero(value)
    if number != int(number):
        raise ValueError
    return int(number)


def _pdu_kilobytes(value: Any) -> int:
    number = _count(value)
    if not 4 <= number <= 1024:
        raise ValueError
    return number


def _network(value: Any) -> str:
    return str(ipaddress.ip_network(as_text(value), strict=False))


def _profile(value: Any) -> Union[str, Path]:
    return str(value) if value in PROFILES else as_path(value)


def _setting(expected: str, convert: Callable[[Any], Any], default: Any = ...) -> Any:
    option = {"option": Option(expected, convert, default)}
    return field(metadata=option) if default is ... else field(default=default, metadata=option)


class _Table:
    """Settings that belong together; a value that makes no sense is refused wherever it comes from."""

    _title: ClassVar[str]

    def __post_init__(self) -> None:
        for each in _fields(type(self)):
            value = getattr(self, each.name)
            if value is not each.default:
                object.__setattr__(self, each.name, self._checked(each, value, self._title, "the node's options", None))

    @classmethod
    def of(
        cls: type[_Made], given: Mapping[str, Any], title: str, origin: str, folder: Optional[Path], **more: Any
    ) -> _Made:
        """Make one of what a file says.

        Parameters
        ----------
        given
            The values.
        title, origin
            What the table is called there, and where it stands.
        folder
            What relative paths are relative to.
        more
            What is known already.
        """
        known = {each.name: each for each in _fields(cls)}
        for name in given:
            if name not in known:
                raise ConfigError(f"{origin}: {title}.{name} is not a setting; {one_of(known, name)}")
        for name, each in known.items():
            if name not in given and each.default is MISSING:
                raise ConfigError(f"{origin}: {title}.{name} is missing; expected {_option(each).expected}.")
        values = {name: cls._checked(known[name], value, title, origin, folder) for name, value in given.items()}
        return cls(**values, **more)

    @staticmethod
    def _checked(each: Field[Any], value: Any, title: str, origin: str, folder: Optional[Path]) -> Any:
        return converted(_option(each), value, f"{title}.{each.name}", origin, folder)

    def table(self) -> dict[str, Any]:
        """What differs from the defaults, as ``of`` reads it."""
        values = {each.name: getattr(self, each.name) for each in _fields(type(self))}
        defaults = {each.name: each.default for each in _fields(type(self))}
        return {
            name: str(value) if isinstance(value, Path) else value
            for name, value in values.items()
            if value != defaults[name]
        }


def _fields(table: type[_Table]) -> Iterator[Field[Any]]:
    return (each for each in fields(table) if "option" in each.metadata)  # type: ignore[arg-type]  # all are dataclasses


def _option(each: Field[Any]) -> Option:
    option: Option = each.metadata["option"]
    return option


_FLAG = "true or false"
_SOME_SERVICES = f"a list out of {', '.join(SERVICES)}"


@dataclass(frozen=True)
class Peer(_Table):
    """A DICOM application that the node knows, one entry of the white list.

    Parameters
    ----------
    host, port
        Where the node reaches it: for C-MOVE, and for what it says of a commitment. Without them it cannot be sent to.
    source
        The address or the network (``10.0.0.0/24``) that its calls come from; without it they come from ``host``, and
        from anywhere where there is no ``host`` either.
    services
        What it may ask for, out of ``SERVICES``.
    tls
        Whether what is sent to it is encrypted.
    anonymise, anonymise_profile
        The file of a key, and a profile: it gets every object anonymised by them, by C-MOVE and by C-GET. It may not
        query, and unless ``services`` says so it asks for nothing; where it may, it has to name what it wants.
    """

    _title: ClassVar[str] = "peers"

    host: str = _setting(HOST, as_host, "")
    port: Optional[int] = _setting("a whole number from 1 to 65535", as_port, None)
    source: str = _setting("an IP address or a network such as 10.0.0.0/24", _network, "")
    services: tuple[str, ...] = _setting(_SOME_SERVICES, _some_of(*SERVICES), SERVICES)
    tls: bool = _setting(_FLAG, as_flag, False)
    anonymise: Optional[Path] = _setting(FILE, as_path, None)
    anonymise_profile: Union[str, Path] = _setting(f"{', '.join(PROFILES)} or {FILE}", _profile, "basic")

    def __post_init__(self) -> None:
        if self.anonymise is not None and self.services is SERVICES:  # nothing was said
            object.__setattr__(self, "services", ("echo", "store", "commit"))
        super().__post_init__()


@dataclass(frozen=True)
class Bounds(_Table):
    """How much a node bears.

    Parameters
    ----------
    associations, per_caller
        How many may be open at once, in all and from one address.
    idle, negotiation
        Seconds without a byte, and from the connection to the request for an association.
    object_megabytes
        The largest object that it takes.
    pdu_kilobytes
        The largest piece in which a peer may send; one that sends a larger one is aborted.
    """

    _title: ClassVar[str] = "bounds"

    associations: int = _setting("a whole number above 0", _count, 100)
    per_caller: int = _setting("a whole number above 0", _count, 50)
    idle: float = _setting(SECONDS, as_above_zero, 60.0)
    negotiation: float = _setting(SECONDS, as_above_zero, 10.0)
    object_megabytes: int = _setting("a whole number above 0", _count, 4096)
    pdu_kilobytes: int = _setting("a whole number from 4 to 1024", _pdu_kilobytes, 128)


@dataclass(frozen=True)
class Certificates(_Table):
    """The files with which a node encrypts its associations.

    Parameters
    ----------
    certificate_file, key_file
        Who it is; with them every association is encrypted.
    ca_file
        Whose certificates it trusts; with it, who calls has to show one of them.
    """

    _title: ClassVar[str] = "tls"

    certificate_file: Optional[Path] = _setting(FILE, as_path, None)
    key_file: Optional[Path] = _setting(FILE, as_path, None)
    ca_file: Optional[Path] = _setting(FILE, as_path, None)


def _database(value: Any) -> str:
    url = as_text(value)
    if not url.startswith(("postgresql://", "postgres://")):
        raise ValueError
    return url


@dataclass(frozen=True)
class Database(_Table):
    """Where the index lies.

    Parameters
    ----------
    url
        ``postgresql://user@host:port/name``; without it, SQLite in the node's folder.
    password_env, password_file
        Where the password is found.
    """

    _title: ClassVar[str] = "database"

    url: str = _setting("an address such as postgresql://user@host:5432/name", _database, "")
    password_env: Optional[str] = _setting("the name of an environment variable", as_text, None)
    password_file: Optional[Path] = _setting(FILE, as_path, None)


@dataclass(frozen=True)
class Web(_Table):
    """The pages and the DICOMweb services.

    Parameters
    ----------
    host, port
        Where they are served; without a port they are not, and port 0 takes any free one.
    names
        The names by which browsers call this machine, beside its address.
    dicomweb
        Whether QIDO-RS, WADO-RS and, unless ``read_only``, STOW-RS are served.
    read_only
        Whether nothing can be stored through the web.
    sign_in
        Whether who looks has to say who they are. It can be left out only on an address that other machines cannot
        reach; there it is by default.
    """

    _title: ClassVar[str] = "web"

    host: str = _setting(HOST, as_host, "127.0.0.1")
    port: Optional[int] = _setting("a whole number from 0 to 65535", _any_port, None)
    names: tuple[str, ...] = _setting("a list of host names", as_names, ())
    dicomweb: bool = _setting(_FLAG, as_flag, True)
    read_only: bool = _setting(_FLAG, as_flag, True)
    sign_in: Optional[bool] = _setting(_FLAG, as_flag, None)


@dataclass(frozen=True)
class NodeOptions(_Table):
    """Where a node keeps its objects, where it listens, and how much of DICOM it offers.

    Parameters
    ----------
    data
        The folder of its objects and its index; made when it is missing.
    ae_title, host, port
        Where it listens; port 0 takes any free one.
    strangers
        What those may ask for who are not among the peers; with nothing, they cannot even open an association.
    services, roots
        What it offers, out of ``SERVICES`` and ``ROOTS``.
    relational
        Whether a query below its top level may leave out the unique keys of the levels above.
    check_called
        Whether the called AE title has to be ours.
    grace
        Seconds that associations in the middle of something get to finish when the node stops.
    extra
        Further attributes, by keyword or as ``ggggeeee``, that queries often ask for and the index therefore holds.
    log
        A file for the log: one line of JSON for each operation, without patient identifiers.
    shelf
        The shelf of this machine's ``Archive`` calls. With it the node is also their receiver for C-MOVE: what one of
        them waits for is stored here and handed over.
    peers
        Whom it knows, by AE title. Any other destination of a C-MOVE is answered with 0xA801.
    bounds, tls, database, web
        The further tables.
    """

    _title: ClassVar[str] = "node"

    data: Path = _setting(FOLDER, as_path)
    ae_title: str = _setting(AE_TITLE, as_ae_title, "QA_NODE")
    host: str = _setting("an address of this machine to listen on", as_host, "127.0.0.1")
    port: int = _setting("a whole number from 0 to 65535", _any_port, 11112)
    strangers: tuple[str, ...] = _setting(_SOME_SERVICES, _some_of(*SERVICES), SERVICES)
    services: tuple[str, ...] = _setting(_SOME_SERVICES, _at_least_one_of(*SERVICES), SERVICES)
    roots: tuple[str, ...] = _setting(f"a list out of {', '.join(ROOTS)}", _at_least_one_of(*ROOTS), ROOTS)
    relational: bool = _setting(_FLAG, as_flag, True)
    check_called: bool = _setting(_FLAG, as_flag, True)
    grace: float = _setting("a number of seconds from 0 up", as_number, 5.0)
    extra: tuple[str, ...] = _setting("a list of DICOM keywords or tags", as_names, ())
    log: Optional[Path] = _setting(FILE, as_path, None)
    shelf: Optional[Path] = _setting(FOLDER, as_path, None)
    peers: Mapping[str, Peer] = field(default_factory=dict)
    bounds: Bounds = Bounds()
    tls: Certificates = Certificates()
    database: Database = Database()
    web: Web = Web()

    def __post_init__(self) -> None:
        super().__post_init__()
        for title, peer in self.peers.items():
            converted(Option(AE_TITLE, as_ae_title), title, f"peers.{title}", "the node's options", None)
            if peer.port is not None and not peer.host:
                raise ConfigError(f"the node's options: peers.{title} has a port but no host. Add it.")
            check_peer(title, peer, self)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


_PARTS: dict[str, type[_Table]] = {"bounds": Bounds, "tls": Certificates, "database": Database, "web": Web}


def from_tables(values: Mapping[str, Any], origin: str, folder: Optional[Path] = None) -> NodeOptions:
    """A node's options from the tables of a file.

    Parameters
    ----------
    values
        The tables ``node``, ``peers``, ``bounds``, ``tls``, ``database`` and ``web``.
    origin
        Where they stand, for messages.
    folder
        What relative paths are relative to.
    """
    known = ["node", "peers", *_PARTS]
    for name, table in values.items():
        if name not in known:
            raise ConfigError(f"{origin}: {name} is not a table of settings; {one_of(known, name)}")
        if not isinstance(table, Mapping):
            raise ConfigError(f"{origin}: {name} is {shown(table)}; expected a table [{name}].")
    peers = {}
    for title, table in values.get("peers", {}).items():
        if not isinstance(table, Mapping):
            raise ConfigError(f"{origin}: peers.{title} is {shown(table)}; expected a table [peers.{title}].")
        peers[title] = Peer.of(table, f"peers.{title}", origin, folder)
    parts = {name: part.of(values.get(name, {}), name, origin, folder) for name, part in _PARTS.items()}
    return NodeOptions.of(values.get("node", {}), "node", origin, folder, peers=peers, **parts)


def every_setting() -> Iterator[tuple[str, str, Option]]:
    """Each setting there is: its table, its name, and what it must be."""
    for title, table in (("node", NodeOptions), *_PARTS.items()):
        for each in _fields(table):
            yield title, each.name, _option(each)


def to_tables(options: NodeOptions) -> dict[str, Any]:
    """The same options as ``from_tables`` reads them."""
    peers = {title: peer.table() for title, peer in options.peers.items()}
    parts = {name: getattr(options, name).table() for name in _PARTS}
    return {"node": options.table(), "peers": peers, **parts}
