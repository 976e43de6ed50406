"""The links between a patient's series and objects; every one knows its evidence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Optional

from ..columns import given, references
from ..config import Profile
from .placement import Box, box_of, share_inside

IMAGES = ("CT", "MR", "PT")
OBJECTS = {"RTSTRUCT": "structure set", "RTPLAN": "plan", "RTDOSE": "dose"}
UID, FRAME, GEOMETRY = "uid", "frame", "geometry"
_STRENGTH = {UID: 1.0, GEOMETRY: 0.5, FRAME: 0.2}  # most of the objects that only share a frame do not belong together
Row = Mapping[str, str]


@dataclass(frozen=True)
class Evidence:
    """Why two things belong together: ``uid``, ``frame`` or ``geometry``; the strength is from 0 to 1."""

    kind: str
    sentence: str

    @property
    def strength(self) -> float:
        """What this sort of evidence is worth."""
        return _STRENGTH[self.kind]


@dataclass(frozen=True)
class Edge:
    """A link from what refers to what is referred to, towards the images; there may be several sorts of evidence."""

    source: str
    target: str
    evidence: tuple[Evidence, ...]

    @property
    def strength(self) -> float:
        """That of its strongest evidence."""
        return max(evidence.strength for evidence in self.evidence)

    @property
    def by_uid(self) -> bool:
        """Whether one names the other."""
        return any(evidence.kind == UID for evidence in self.evidence)


@dataclass(frozen=True)
class Node:
    """A series of images, by its SeriesInstanceUID, or one RT object, by its SOPInstanceUID."""

    uid: str
    modality: str
    study: str
    rows: tuple[Row, ...] = field(repr=False, compare=False)

    @property
    def first(self) -> Row:
        """The row that speaks for all: the only one of an RT object."""
        return self.rows[0]

    @property
    def approval(self) -> str:
        """``APPROVED``, ``UNAPPROVED``, ``REJECTED``, or nothing where it does not say."""
        return given(self.first["ApprovalStatus"]).upper()

    @property
    def frame(self) -> str:
        """Its frame of reference."""
        return given(self.first["FrameOfReferenceUID"])

    def __str__(self) -> str:
        return f"{OBJECTS.get(self.modality, f'{self.modality} series')} {self.uid}"


@dataclass(frozen=True)
class Graph:
    """All nodes of a patient, and the links between them; ``dangling`` has what an object names that is not there."""

    nodes: Mapping[str, Node]
    edges: tuple[Edge, ...]
    dangling: Mapping[str, tuple[str, ...]]
    broken: Mapping[str, str] = field(default_factory=dict)

    def of(self, *modalities: str) -> list[Node]:
        """The nodes of some modalities, in the order of the summary."""
        return [node for node in self.nodes.values() if node.modality in modalities]

    def leading(self, uid: str, *modalities: str) -> list[Edge]:
        """The links from a node to those of some modalities, the strongest first."""
        found = [edge for edge in self.edges if edge.source == uid and self.nodes[edge.target].modality in modalities]
        return sorted(found, key=lambda edge: -edge.strength)

    def without(self, uids: Iterable[str]) -> Graph:
        """The same without some nodes."""
        gone = set(uids)
        nodes = {uid: node for uid, node in self.nodes.items() if uid not in gone}
        edges = tuple(edge for edge in self.edges if edge.source in nodes and edge.target in nodes)
        return Graph(nodes, edges, self.dangling, self.broken)

    def groups(self) -> list[frozenset[str]]:
        """The studies, those that name each other's objects together: an archive may file one course under several."""
        group_of = {node.study: frozenset([node.study]) for node in self.nodes.values()}
        for edge in self.edges:
            if edge.by_uid:
                one, other = group_of[self.nodes[edge.source].study], group_of[self.nodes[edge.target].study]
                both = one | other
                group_of.update(dict.fromkeys(both, both))
        return list(dict.fromkeys(group_of.values()))


@dataclass(frozen=True)
class Chain:
    """Images, structures, plans and doses that belong together, and the links that say so."""

    images: Node
    structures: tuple[Node, ...]
    plans: tuple[Node, ...]
    doses: tuple[Node, ...]
    links: tuple[Edge, ...] = field(repr=False)

    @property
    def weakest(self) -> float:
        """The strength of its weakest link."""
        return min((edge.strength for edge in self.links), default=0.0)

    @property
    def uids(self) -> frozenset[str]:
        """Every node in it."""
        return frozenset(node.uid for node in (self.images, *self.structures, *self.plans, *self.doses))


def link(instances: Iterable[Row]) -> Graph:
    """The graph of one patient's rows (``columns.row`` or ``columns.read``)."""
    nodes = _nodes(instances)
    edges: list[Edge] = []
    dangling: dict[str, tuple[str, ...]] = {}
    broken: dict[str, str] = {}
    for node in nodes.values():
        if node.modality not in OBJECTS:
            continue
        named: list[tuple[str, str]] = []
        try:
            named = _named(node)
        except ValueError:
            broken[node.uid] = "what it refers to cannot be read"
        edges += [
            Edge(node.uid, uid, (Evidence(UID, f"the {_word(node)} names the {_word(nodes[uid])} by its UID"),))
            for uid, modality in named
            if uid in nodes and _fits(nodes[uid], modality)
        ]
        absent = tuple(uid for uid, modality in named if uid not in nodes or not _fits(nodes[uid], modality))
        if absent:
            dangling[node.uid] = absent
    edges += _by_place(nodes)
    return Graph(nodes, _merged(edges), dangling, broken)


def _nodes(instances: Iterable[Row]) -> dict[str, Node]:
    rows: dict[str, list[Row]] = {}
    for row in instances:
        modality = given(row["Modality"])
        uid = given(row["SeriesInstanceUID" if modality in IMAGES else "SOPInstanceUID"])
        if uid and modality in (*IMAGES, *OBJECTS):
            rows.setdefault(uid, []).append(row)
    return {
        uid: Node(uid, given(found[0]["Modality"]), study_of(found[0]), tuple(found)) for uid, found in rows.items()
    }


def study_of(row: Row) -> str:
    """The study that a row belongs to."""
    return given(row["StudyInstanceUID"]) or given(row["StudyIdentifier"])


def _named(node: Node) -> list[tuple[str, str]]:
    """The UIDs that an RT object names, and the modality of what it names."""
    row, found = node.first, list[tuple[str, str]]()
    if node.modality == "RTSTRUCT":
        found += [(uid, "images") for uid in [given(row["referenced_ct_series_uid"])] if uid]
    if node.modality == "RTDOSE":
        found += [(uid, "RTPLAN") for uid in references(row["ReferencedRTPlanSequence"])]
    if node.modality in ("RTPLAN", "RTDOSE"):
        found += [(uid, "RTSTRUCT") for uid in references(row["ReferencedStructureSetSequence"])]
    return found


def _fits(node: Node, modality: str) -> bool:
    return node.modality in IMAGES if modality == "images" else node.modality == modality


def _by_place(nodes: Mapping[str, Node]) -> list[Edge]:
    """Structures and doses that lie in the frame of reference of images, and doses that lie within them."""
    boxes: dict[str, Optional[Box]] = {}
    edges: list[Edge] = []
    series = [node for node in nodes.values() if node.modality in IMAGES]
    for node in nodes.values():
        if node.modality not in ("RTSTRUCT", "RTDOSE") or not node.frame:
            continue
        for images in series:
            if images.frame != node.frame:
                continue
            evidence = [Evidence(FRAME, f"the {_word(node)} and the {_word(images)} share a frame of reference")]
            share = None
            if node.modality == "RTDOSE":
                for each in (node, images):
                    if each.uid not in boxes:
                        boxes[each.uid] = box_of(each.rows)
                share = share_inside(boxes[node.uid], boxes[images.uid])
            if share:
                evidence.append(Evidence(GEOMETRY, f"{share:.0%} of the dose grid lies inside the {_word(images)}"))
            if share != 0:
                edges.append(Edge(node.uid, images.uid, tuple(evidence)))
    return edges


def _merged(edges: Sequence[Edge]) -> tuple[Edge, ...]:
    found: dict[tuple[str, str], list[Evidence]] = {}
    for edge in edges:
        found.setdefault((edge.source, edge.target), []).extend(edge.evidence)
    return tuple(Edge(source, target, tuple(evidence)) for (source, target), evidence in found.items())


def _word(node: Node) -> str:
    return OBJECTS.get(node.modality, f"{node.modality} series")


def is_plan_dose(node: Node) -> bool:
    """Whether a dose is that of a whole plan."""
    return node.modality == "RTDOSE" and given(node.first["DoseSummationType"]).upper() == "PLAN"


def chains(graph: Graph, profile: Profile) -> list[Chain]:
    """Every set of objects that belongs together, one for each series of images that has all which the profile asks."""
    found = []
    for images in graph.of(profile.images):
        chain = chain_of(graph, images, profile)
        if chain.structures and (chain.plans or not profile.plan) and (chain.doses or not profile.dose):
            found.append(chain)
    return found


def chain_of(graph: Graph, images: Node, profile: Profile) -> Chain:
    """What belongs to a series, as far as there is something."""
    links: list[Edge] = []

    def sources(modality: str, targets: Sequence[Node], *, weak: bool = False) -> tuple[Node, ...]:
        uids = {node.uid for node in targets}
        reaching = [
            edge for edge in graph.edges
            if edge.target in uids and graph.nodes[edge.source].modality == modality and (edge.by_uid or weak)
        ]  # fmt: skip
        links.extend(reaching)
        return tuple(dict.fromkeys(graph.nodes[edge.source] for edge in reaching))

    structures = sources("RTSTRUCT", [images])
    plans = sources("RTPLAN", structures) if profile.plan else ()
    doses: tuple[Node, ...] = ()
    if profile.plan:
        doses = sources("RTDOSE", plans)
    elif profile.dose:
        doses = _doses_without_plans(graph, images, structures, links)
    doses = tuple(dose for dose in doses if is_plan_dose(dose))
    within = {node.uid for node in (images, *structures, *plans, *doses)}
    kept = tuple(edge for edge in links if edge.source in within and edge.target in within)
    named = {edge.target for edge in kept}
    ordered = sorted(structures, key=lambda node: node.uid not in named)  # those that a plan or a dose names come first
    return Chain(images, tuple(ordered), plans, doses, kept)


def _doses_without_plans(graph: Graph, images: Node, structures: Sequence[Node], links: list[Edge]) -> tuple[Node, ...]:
    """The doses of a series where plans are not asked for: by UIDs as far as these lead, else by their place."""
    of_series = {node.uid for node in structures}
    found = []
    for dose in graph.of("RTDOSE"):
        sets, through = _structures_of(graph, dose)
        if sets:
            if of_series & sets:
                links.extend(through)
                found.append(dose)
            continue  # its UIDs lead to other images, and what they say counts
        near = [edge for edge in graph.leading(dose.uid, *IMAGES) if edge.target == images.uid]
        if near and near[0].strength >= _STRENGTH[GEOMETRY]:  # a frame of reference alone is not enough
            links.extend(near)
            found.append(dose)
    return tuple(found)


def _structures_of(graph: Graph, dose: Node) -> tuple[set[str], list[Edge]]:
    through = [edge for edge in graph.leading(dose.uid, "RTSTRUCT", "RTPLAN") if edge.by_uid]
    for edge in list(through):
        through += [further for further in graph.leading(edge.target, "RTSTRUCT") if further.by_uid]
    return {edge.target for edge in through if graph.nodes[edge.target].modality == "RTSTRUCT"}, through


def why(graph: Graph, uid: str) -> str:
    """One sentence on what an object belongs to, or why it belongs to nothing, and what to do."""
    node = graph.nodes.get(uid) or _series_of(graph, uid)
    if node is None:
        return f"{uid} is not in the summary of this patient. Check the UID, or summarise the patient again."
    if node.modality in IMAGES:
        return _of_images(graph, node)
    if node.modality == "RTDOSE" and not is_plan_dose(node):
        kind = given(node.first["DoseSummationType"]) or "no summation type"
        return f"the {node} does not count: it is of {kind}, and not of PLAN. Export the dose of the whole plan."
    return _of_object(graph, node)


def _series_of(graph: Graph, uid: str) -> Optional[Node]:
    """The series that a slice is of."""
    series = graph.of(*IMAGES)
    return next((node for node in series if any(given(row["SOPInstanceUID"]) == uid for row in node.rows)), None)


def _of_images(graph: Graph, node: Node) -> str:
    reaching = [edge for edge in graph.edges if edge.target == node.uid and edge.by_uid]
    if reaching:
        return f"the {node} is named by the {' and the '.join(str(graph.nodes[edge.source]) for edge in reaching)}."
    return f"the {node} does not count: no structure set names it. Export one that was drawn on it."


_TOWARDS = {"RTDOSE": ("RTPLAN",), "RTPLAN": ("RTSTRUCT",), "RTSTRUCT": IMAGES}
_NAMED = {"RTDOSE": "plan", "RTPLAN": "structure set", "RTSTRUCT": "image series"}


def _of_object(graph: Graph, node: Node) -> str:
    """Follow what names what, and say where the way ends."""
    told, at, whole = [], node, False
    for _ in OBJECTS:
        step = [edge for edge in graph.leading(at.uid, *_TOWARDS[at.modality]) if edge.by_uid]
        if not step:
            break
        told.append(f"the {at} names the {graph.nodes[step[0].target]}")
        at = graph.nodes[step[0].target]
        if at.modality in IMAGES:
            whole = True
            break
    way = ", ".join(told)
    if whole:
        return f"{way}; so they belong together."
    end, remedy = _end(graph, at)
    beside = _beside(graph, node)
    return f"the {node} does not count: {f'{way}, and ' if way else ''}{end}{beside}. {remedy}"


def _end(graph: Graph, at: Node) -> tuple[str, str]:
    """Why no way leads on from an object."""
    if at.uid in graph.broken:
        return f"{graph.broken[at.uid]} in the {at}", "Summarise the patient again."
    absent = [uid for uid in graph.dangling.get(at.uid, ()) if uid]
    wanted = _NAMED[at.modality]
    if absent:
        return f"the {at} names {absent[0]}, which is no {wanted} in the summary", f"Send that {wanted} to the archive."
    return f"the {at} names no {wanted}", f"Export it again from its source, together with its {wanted}."


def _beside(graph: Graph, node: Node) -> str:
    """What weaker evidence says of an object that no UID leads from."""
    weak = [edge for edge in graph.leading(node.uid, *IMAGES) if not edge.by_uid]
    if not weak:
        return ""
    sentences = " and ".join(evidence.sentence for evidence in weak[0].evidence)
    return f"; {sentences}, which alone is weak evidence"
