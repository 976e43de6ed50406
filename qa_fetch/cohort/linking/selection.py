"""The choice of what a patient goes into the cohort with: PDCP's rules in its order, each with its code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Optional, Union

from ...errors import BadArchive
from .. import choices, codes
from ..choices import Choice
from ..columns import day, find, given, orthanc_identifier, read, roi_names
from ..config import Settings
from ..notes import Notes, pat_id, summary_of
from .course import apart, course_note, doubt, outside, slices_of, unfit, without_dose
from .decision import Decision as Decision
from .graph import Chain, Node, Row, chain_of, link, study_of

_I, _II = "I: Initial Verification: ", "II: Study verification: "
_GONE = "what a person chose is not among the sets of objects any more, so a person has to choose again."
_NO_SUMMARY = {
    None: (codes.I_EXEC_001, "PATIENT IMAGE SUMMARY NOT FOUND"),
    "ERROR": (codes.I_EXEC_002, "ERROR IN THE COLLECTION PROCESS"),
    "IMAGINGDATANOTFOUND": (codes.I_EXEC_003, "IMAGING DATA NOT FOUND"),
}


def decide(patient: Union[str, int], settings: Settings) -> Decision:
    """What becomes of a patient, by the summary that lies in ``imagesummaries``; nothing is written."""
    found = find(settings.imagesummaries, patient)
    if found is None:
        return select(patient, (), settings, outcome=None)
    outcome, path = found
    rows, choice = read(path) if outcome == "SUCCESS" else (), choices.of(settings, patient)
    return select(patient, rows, settings, outcome=outcome, choice=choice)


def select(
    patient: Union[str, int],
    rows: Iterable[Row],
    settings: Settings,
    *,
    outcome: Optional[str] = "SUCCESS",
    choice: Optional[Choice] = None,
) -> Decision:
    """What becomes of a patient.

    Parameters
    ----------
    patient
        The ID.
    rows
        The summary (``columns.read`` or ``columns.row``).
    settings
        The rules.
    outcome
        How the summary came out: ``SUCCESS``, ``ERROR``, ``IMAGINGDATANOTFOUND``, or None where there is none.
    choice
        What a person chose among the candidates; where it is none of them any more, the patient waits for another one.
    """
    if outcome != "SUCCESS":
        notes = Notes(patient, settings.version)
        code, said = _NO_SUMMARY[outcome]
        notes.put("imagesummary", [said])
        notes.give(code)
        return Decision(str(patient), notes, link(()))
    return _Selection(str(patient), _own(str(patient), rows), settings, choice).run()


def _own(patient: str, rows: Iterable[Row]) -> list[Row]:
    """The rows, which all have to be this patient's: a table that was mixed up must not mix patients."""
    found = list(rows)
    number = (patient.lstrip("0") or "0") if patient.isdigit() else patient
    as_pandas = (number, f"{patient}.0", f"{number}.0") if patient.isdigit() else ()  # when it writes a table again
    for ours, own, orthanc_id in {(row["PatId"], row["PatientID"], row["OrthancId"]) for row in found}:
        named = given(ours) or given(own)
        if not named or named == patient:
            continue
        if named not in as_pandas or given(orthanc_id) == orthanc_identifier(named):  # 1 may be there beside 01
            raise BadArchive(
                "the summary of a patient holds rows of another one. Remove it, then run: qa-fetch cohort summarise."
            )
    return found


def values_of(patient: Union[str, int], chain: Chain) -> dict[str, Any]:
    """PDCP's ``list_of_values`` of a chain, without the folders, which are known when it is built."""
    dates = [day(node.first["StructureSetDate"]) for node in chain.structures]
    found: dict[str, Any] = {
        "PatId": pat_id(patient),
        "CT_SeriesIdentifier": chain.images.uid,
        "RTSTRUCT_SOPInstanceUID": [node.uid for node in chain.structures],
        "StructureSetDate": next((found for found in dates if found is not None), "missing"),
        "StudyDate": day(chain.images.first["StudyDate"]),
    }
    if chain.doses:
        found["RTDOSE_SOPInstanceUID"] = [node.uid for node in chain.doses]
    if chain.plans:
        found["RTPLAN_SOPInstanceUID"] = [node.uid for node in chain.plans]
    found["CT_orthanc_identifier"] = given(chain.images.first["SeriesIdentifier"])
    for modality, nodes in (("RTSTRUCT", chain.structures), ("RTDOSE", chain.doses), ("RTPLAN", chain.plans)):
        if nodes:
            found[f"{modality}_orthanc_identifiers"] = [given(node.first["InstanceIdentifier"]) for node in nodes]
    return found


class _Selection:
    """One patient on its way through the rules."""

    def __init__(self, patient: str, rows: list[Row], settings: Settings, choice: Optional[Choice]) -> None:
        self.patient, self.rows, self.settings, self.choice = patient, rows, settings, choice
        self.notes = Notes(patient, settings.version)
        self.whole = self.graph = link(rows)
        self.removed: dict[str, str] = {}
        groups = self.graph.groups()
        known = frozenset[str]().union(*groups)
        alone = dict.fromkeys(study_of(row) for row in rows if study_of(row) not in known)
        self.groups = [*groups, *(frozenset([study]) for study in alone)]

    def run(self) -> Decision:
        """Rule after rule, until one excludes the patient or all are passed."""
        collected = self.settings.required_modalities_for_patient_plus_rtplan
        self.notes.put("raw_images_summary", summary_of(self.patient, self.rows, collected))
        rules = (self._whole_studies, self._phantoms, self._banned, self._one_study)
        if not all(rule() for rule in rules):
            waiting = self._candidates() if self.notes.excluded_by == codes.I_EXEC_007 else ()
            return self._decision(candidates=waiting)
        found = self._linked()
        if self.notes.excluded_by is not None:
            if found:
                self.notes.put("list_of_values", [values_of(self.patient, chain) for chain in found])
            return self._decision(candidates=tuple(found))
        self.notes.put("verified_images_summary", summary_of(self.patient, self.rows, collected))
        self.notes.put("list_of_values", values_of(self.patient, found[0]))
        return self._decision(chosen=found[0])

    def _decision(self, chosen: Optional[Chain] = None, candidates: Sequence[Chain] = ()) -> Decision:
        return Decision(self.patient, self.notes, self.whole, chosen, tuple(candidates), self.removed)

    # The study

    def _whole_studies(self) -> bool:
        """Drop studies that lack a required modality."""
        self._drop_incomplete()
        if not self.rows:
            self.notes.put("imagesummary", ["IMAGING DATA NOT FOUND"])
            self.notes.give(codes.I_EXEC_003)
        return bool(self.rows)

    def _drop_incomplete(self) -> None:
        for group in list(self.groups):
            lacking = self._lacking([row for row in self.rows if study_of(row) in group])
            if lacking:
                self._say(f"{_I}removed a study as it does not contain all the required modalities: {lacking[0]}")
                self._drop_group(group, f"its study lacks {lacking[0]}, which the cohort requires")

    def _lacking(self, rows: Sequence[Row]) -> list[str]:
        found = {given(row["Modality"]) for row in rows}
        return [modality for modality in self.settings.required_modalities_for_patient if modality not in found]

    def _phantoms(self) -> bool:
        """Drop phantom studies, and structure sets that name no wanted ROI."""
        phantoms = [group for group in self.groups if any(_is_phantom(row) for row in self._of(group))]
        if not phantoms:
            self._say(f"{_I}no phantom was found for the patient.")
        for group in phantoms:
            self._say(f"{_I}removed a phantom study.")
            self._drop_group(group, "its study is that of a phantom")
        for node in self.graph.of("RTSTRUCT"):
            self._check_rois(node)
        if not self.rows:
            self.notes.give(codes.I_EXEC_004)
            return False
        lacking = self._lacking(self.rows)
        if lacking:
            self.notes.give(codes.I_EXEC_005, modality=lacking[0])
        return not lacking

    def _check_rois(self, node: Node) -> None:
        try:
            names = [name.lower() for name in roi_names(node.first["organs"])]
        except ValueError:
            self._say(f"{_I}RTSTRUCT with organs that cannot be read was removed. {node.uid}")
            self._drop_nodes({node.uid: "its ROI names cannot be read in the summary"})
            return
        wanted = self.settings.possibilities
        if not names:
            self._say(f"{_I}RTSTRUCT with no ROIs !.")
            self._drop_nodes({node.uid: "it has no ROIs"})
        elif wanted and not any(word in name for name in names for word in wanted):
            identifier = given(node.first["InstanceIdentifier"])
            self._say(f"{_I}RTSTRUCT with no organs associated with in a study was removed. {identifier}")
            self._drop_nodes({node.uid: "none of its ROI names has a word of possibilities in it"})

    def _banned(self) -> bool:
        """Drop studies whose description has a banned word."""
        for group in list(self.groups):
            descriptions = " ".join(dict.fromkeys(given(row["StudyDescription"]) for row in self._of(group))).lower()
            words = [word for word in self.settings.study_desc_should_not_contain if word in descriptions]
            if words:
                self._say(
                    f"{_I}ineligible keyword {words[0]} found in study description {descriptions}. Check the key "
                    "study_desc_should_not_contain in the associated configuration file."
                )
                self._drop_group(group, f"the description of its study has the banned word {words[0]}")
        if not self.rows:
            self.notes.give(codes.I_EXEC_006)
        return bool(self.rows)

    def _one_study(self) -> bool:
        """One study, or one that is left without the incomplete ones."""
        if len(self.groups) == 1:
            if len(self.groups[0]) > 1:
                self._say(f"{_I}{len(self.groups[0])} studies name each other's objects and count as one.")
            self.notes.give(codes.I_SUCC_001)
            return True
        self.notes.give(codes.I_REV_001, count=len(self.groups))
        kept = list(self.groups)
        self._drop_incomplete()
        if len(self.groups) == 1:
            self.notes.give(codes.I_SUCC_002)
            return True
        if not self.groups:
            self._say(f"{_I}none of {len(kept)} studies has all required modalities.")
        if self._keep_chosen():
            self.notes.give(codes.I_SUCC_002)
            return True
        self.notes.give(codes.I_EXEC_007)
        return False

    def _keep_chosen(self) -> bool:
        """Drop the studies that a person did not choose; False where nobody chose, or what is no candidate any more."""
        if self.choice is None:
            return False
        before = self.graph, dict(self.removed)
        known = any(chain.uids == self.choice.uids for chain in self._candidates())
        self.graph, self.removed = before
        if not known:
            self._say(f"{_I}{_GONE}")
            return False
        kept = {self.graph.nodes[uid].study for uid in self.choice.uids}
        for group in [group for group in self.groups if not group & kept]:
            self._drop_group(group, f"another study was {self.choice.says}")
        self._say(f"{_I}the study that is left was {self.choice.says}.")
        return True

    # The objects

    def _linked(self) -> list[Chain]:
        """The chain that is chosen, or those among which nothing chooses."""
        self._say("II: Study verification")
        images = self.graph.of(self.settings.profile.images)
        if not images:
            self.notes.give(codes.II_EXEC_001)
            return []
        self._drop_unfit(tell=True)
        found = [chain for series in images for chain in [self._chain(series)] if chain is not None]
        found = [chain for chain in found if self._fits(chain)]
        doubts = [reason for chain in found for reason in [doubt(chain, self.settings)] if reason is not None]
        if self.choice is not None and found:
            return self._as_chosen(found, self.choice)
        if not found:
            self.notes.give(codes.II_EXEC_002)
        elif len(found) == 1 and not doubts:
            self._tell(found[0])
        else:
            several = [f"{len(found)} series have all that is needed"] if len(found) > 1 else []
            for reason in several + doubts:
                self._say(f"{_II}{reason}")
            self.notes.give(codes.II_EXEC_003)
            found = [one for chain in found for one in self._apart(chain)]
        return found

    def _as_chosen(self, found: Sequence[Chain], choice: Choice) -> list[Chain]:
        """The chain that a person chose; all of them where it is not among them any more."""
        among = [one for chain in found for one in self._apart(chain)]
        chosen = [chain for chain in among if chain.uids == choice.uids]
        if not chosen:
            self._say(f"{_II}{_GONE}")
            self.notes.give(codes.II_EXEC_003)
            return among
        self._say(f"{_II}this set of objects was {choice.says}.")
        others = {uid for chain in among for uid in chain.uids} - choice.uids
        self.removed.update(dict.fromkeys(sorted(others), f"another set of objects was {choice.says}"))
        self._tell(chosen[0])
        return chosen[:1]

    def _chain(self, series: Node) -> Optional[Chain]:
        """What belongs to a series; None where something is missing, which is told."""
        profile = self.settings.profile
        self._say(f"{_II}Checking {series.modality} series: {series.uid}")
        chain = chain_of(self.graph, series, profile)
        if not chain.structures:
            self._say(f"{_II}NO RTSTRUCTS assoicated with the {series.modality}, Discard the {series.modality}")
        elif profile.plan and not chain.plans:
            self._say(f"{_II}No RTPLANS associated witht the RTSTRUCT associated with the CT, Discard")
        elif profile.dose and not chain.doses:
            through = "the RTPLANS associated with " * profile.plan
            self._say(f"{_II}No RTDOSES associated with {through}the RTSTRUCT associated with the CT, Discard.")
        else:
            return self._without_idle_plans(chain)
        return None

    def _without_idle_plans(self, chain: Chain, *, tell: bool = True) -> Chain:
        idle = without_dose(chain) if self.settings.profile.dose else []
        for plan in idle if tell else ():
            self._say(f"{_II}the {plan} has no dose of type PLAN and does not count")
            self.removed[plan.uid] = "no dose of type PLAN names it"
        return replace(
            chain,
            plans=tuple(plan for plan in chain.plans if plan not in idle),
            links=tuple(edge for edge in chain.links if edge.source not in {plan.uid for plan in idle}),
        )

    def _fits(self, chain: Chain) -> bool:
        """Whether the series is neither too short nor too long."""
        count, settings = slices_of(chain.images), self.settings
        reason = outside(count, settings)
        if reason is not None:
            self.removed.update(dict.fromkeys(chain.uids, f"its series {chain.images.uid} is left out: {reason}"))
        if count > settings.slices_drop_above:
            self._say(f"II: CT verification: Large number of instances associated with the patient CT: {count}")
            self._say("II: CT verification: the series is left out")
        elif count > settings.slices_review_above:
            self.notes.give(codes.II_REV_001, count=count)
        elif count < settings.slices_drop_below:
            self.notes.give(codes.II_REV_002)
        return reason is None

    def _tell(self, chain: Chain) -> None:
        if len(chain.plans) > 1:
            self._say(f"II: {course_note(chain)}")
        weak = [evidence.sentence for edge in chain.links if not edge.by_uid for evidence in edge.evidence]
        for sentence in dict.fromkeys(weak):
            self._say(f"{_II}linked without a UID: {sentence}")
        objects = "RTSTRUCTS and RTDOSES" if chain.doses else "RTSTRUCTS"
        self.notes.give(codes.II_SUCC_001, objects=objects)

    def _candidates(self) -> list[Chain]:
        """What a person may choose from where several studies fit."""
        self._drop_unfit(tell=False)
        profile, found = self.settings.profile, list[Chain]()
        for series in self.graph.of(profile.images):
            chain = self._without_idle_plans(chain_of(self.graph, series, profile), tell=False)
            whole = chain.structures and (chain.plans or not profile.plan) and (chain.doses or not profile.dose)
            if whole and outside(slices_of(series), self.settings) is None:
                found += self._apart(chain)
        return found

    def _apart(self, chain: Chain) -> list[Chain]:
        """What a person may choose of a chain: one course stays one, what is in doubt is offered dose by dose."""
        return list(apart(chain)) if doubt(chain, self.settings) else [chain]

    # What the rules are made of

    def _of(self, group: frozenset[str]) -> list[Row]:
        return [row for row in self.rows if study_of(row) in group]

    def _say(self, text: str) -> None:
        self.notes.say("verification_notes", text)

    def _drop_unfit(self, *, tell: bool) -> None:
        reasons = unfit(self.graph, self.settings)
        for uid, reason in reasons.items() if tell else ():
            self._say(f"{_II}the {self.graph.nodes[uid]} does not count: {reason}")
        self.removed.update(reasons)
        self.graph = self.graph.without(reasons)

    def _drop_group(self, group: frozenset[str], reason: str) -> None:
        self.rows = [row for row in self.rows if study_of(row) not in group]
        self.groups.remove(group)
        self._drop_nodes({uid: reason for uid, node in self.graph.nodes.items() if node.study in group})

    def _drop_nodes(self, reasons: Mapping[str, str]) -> None:
        """Take objects out of rows and graph; a study of which nothing is left is none."""
        self.removed.update({uid: reason for uid, reason in reasons.items() if uid not in self.removed})
        self.graph = self.graph.without(reasons)
        self.rows = [row for row in self.rows if given(row["SOPInstanceUID"]) not in reasons]
        left = {study_of(row) for row in self.rows}
        self.groups = [group for group in self.groups if group & left]


def _is_phantom(row: Row) -> bool:
    return "phantom" in given(row["SeriesDescription"]).lower()
