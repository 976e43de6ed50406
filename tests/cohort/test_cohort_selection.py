"""The choice by PDCP's rules in its order: every code of steps I and II, approval, boosts and courses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cohort_rows import CT, DOSE, PLAN, SETS, STUDY, course, dose, images, one, plan, settings, structures

from qa_fetch.cohort import columns
from qa_fetch.cohort.linking import Decision, decide, select
from qa_fetch.cohort.notes import KEYS, VALUES, Notes
from qa_fetch.errors import BadArchive

Rows = list[dict[str, str]]


def of(rows: Rows, patient: str = "1", **keys: Any) -> Decision:
    """What becomes of a patient with these rows."""
    return select(patient, rows, settings(**keys))


def names(decision: Decision) -> list[str]:
    """The codes that a patient has got, in their order."""
    return [code.name for code in decision.notes.codes]


def another(rows: Rows, study: str = "1.3.100") -> Rows:
    """The same in a study of its own, with UIDs of its own."""
    return [{key: cell.replace(STUDY, study) for key, cell in row.items()} for row in rows]


def boost(**tags: Any) -> Rows:
    """A second plan on the same structures, with its dose."""
    tags = {"RTPlanLabel": "L5", "RTPlanDescription": "Boost of the bed", **tags}
    return [plan("1.2.100.5", fractions=8, **tags), dose("1.2.100.6", of="1.2.100.5")]


def test_a_whole_course_is_chosen_and_noted_as_pdcp_does() -> None:
    """With the values of its example, and its words."""
    decision = of(course())
    assert (decision.status, decision.code.name, decision.quarantine) == ("SUCCESS", "II_SUCC_001", False)
    assert decision.chosen is not None
    found = decision.notes.to_dict()
    assert found["list_of_values"] == {
        "PatId": 1,
        "CT_SeriesIdentifier": CT,
        "RTSTRUCT_SOPInstanceUID": [SETS],
        "StructureSetDate": "missing",
        "StudyDate": 20141222,
        "RTDOSE_SOPInstanceUID": [DOSE],
        "RTPLAN_SOPInstanceUID": [PLAN],
        "CT_orthanc_identifier": f"orthanc-{CT}",
        "RTSTRUCT_orthanc_identifiers": [f"orthanc-{SETS}"],
        "RTDOSE_orthanc_identifiers": [f"orthanc-{DOSE}"],
        "RTPLAN_orthanc_identifiers": [f"orthanc-{PLAN}"],
    }
    assert list(found["list_of_values"]) == VALUES[:11]
    assert found["verification_notes"] == [
        "I: Initial Verification: no phantom was found for the patient.",
        "I: Initial Verification: Patient has one associated study.",
        "I: I_SUCC_001:PROCEED:1",
        "II: Study verification",
        f"II: Study verification: Checking CT series: {CT}",
        "II: Study verification: Patient has one CT associated with RTSTRUCTS and RTDOSES.",
        "II: II_SUCC_001:PROCEED:1",
    ]
    assert (
        found["raw_images_summary"]
        == found["verified_images_summary"]
        == {
            "PatId": 1,
            "number_of_patient_studies": 1,
            "number_of_CT_series": 1,
            "number_of_CT_instances": 60,
            "number_of_RTSTRUCT_series": 1,
            "number_of_RTSTRUCT_instances": 1,
            "number_of_RTDOSE_series": 1,
            "number_of_RTDOSE_instances": 1,
            "number_of_RTPLAN_series": 1,
            "number_of_RTPLAN_instances": 1,
            "number_of_PT_series": 0,
            "number_of_PT_instances": 0,
        }
    )
    assert set(found) <= set(KEYS)


@pytest.mark.parametrize(
    ("outcome", "code", "said"),
    [
        (None, "I_EXEC_001", "PATIENT IMAGE SUMMARY NOT FOUND"),
        ("ERROR", "I_EXEC_002", "ERROR IN THE COLLECTION PROCESS"),
        ("IMAGINGDATANOTFOUND", "I_EXEC_003", "IMAGING DATA NOT FOUND"),
    ],
)
def test_a_patient_without_a_good_summary_is_excluded(tmp_path: Path, outcome: str, code: str, said: str) -> None:
    """And the summaries of 12 and 1_2 are not its own."""
    chosen = settings(imagesummaries=str(tmp_path))
    for other in ("12", "1_2"):
        columns.write(tmp_path, other, "SUCCESS", [{**row, "PatId": other} for row in course()])
    if outcome:
        columns.write(tmp_path, "1", outcome)
    decision = decide("1", chosen)
    assert (names(decision), decision.status, decision.notes.to_dict()["imagesummary"]) == ([code], "EXECLUDE", [said])
    assert decide("1_2", chosen).status == decide(12, chosen).status == "SUCCESS"
    assert (
        decision.why(CT)
        == f"{CT} is not in the summary of this patient. Check the UID, or summarise the patient again."
    )


def test_rows_of_another_patient_are_never_taken() -> None:
    """A table that was mixed up must not mix patients; zeros that pandas has lost do not count."""
    with pytest.raises(BadArchive) as caught:
        of(course(), patient="12")
    assert str(caught.value) == (
        "the summary of a patient holds rows of another one. Remove it, then run: qa-fetch cohort summarise."
    )
    with pytest.raises(BadArchive):
        of([{**row, "PatId": "01"} for row in course()])
    assert of(course(), patient="001").status == "SUCCESS"


@pytest.mark.parametrize(
    ("rows", "keys", "expected"),
    [
        (course()[:-1], {}, ["I_EXEC_003"]),
        ([*course(), *another(course())[:-2]], {}, ["I_SUCC_001", "II_SUCC_001"]),
        ([{**row, "SeriesDescription": "QA Phantom"} for row in course()], {}, ["I_EXEC_004"]),
        (course(), {"possibilities": ["ctv"]}, ["I_EXEC_005"]),
        (course(), {"possibilities": ["HEART"]}, ["I_SUCC_001", "II_SUCC_001"]),
        ([*images(), structures(rois=()), plan(), dose()], {}, ["I_EXEC_005"]),
        (course(), {"study_desc_should_not_contain": ["Left"]}, ["I_EXEC_006"]),
        ([{**row, "StudyDescription": "missing"} for row in course()], {}, ["I_SUCC_001", "II_SUCC_001"]),
        ([*course(), *another(course())], {}, ["I_REV_001", "I_EXEC_007"]),
        (
            [*course(), *another([*images(), structures(rois=("ISO",)), plan(), dose()])],
            {"possibilities": ["ptv"]},
            ["I_REV_001", "I_SUCC_002", "II_SUCC_001"],
        ),
        (course(), {"images": "MR"}, ["I_EXEC_003"]),
        ([*images(modality="MR"), structures()], {"profile": "CR", "images": "MR"}, ["I_SUCC_001", "II_SUCC_001"]),
        ([*images(), structures(), plan(of="1.9"), dose()], {}, ["I_SUCC_001", "II_EXEC_002"]),
        ([*images(), structures(), plan(), dose(of="1.9")], {}, ["I_SUCC_001", "II_EXEC_002"]),
        ([*images(), structures(of="1.9"), plan(), dose()], {}, ["I_SUCC_001", "II_EXEC_002"]),
        (course(49), {}, ["I_SUCC_001", "II_REV_002", "II_EXEC_002"]),
        (course(50), {}, ["I_SUCC_001", "II_SUCC_001"]),
        (course(380), {}, ["I_SUCC_001", "II_SUCC_001"]),
        (course(381), {}, ["I_SUCC_001", "II_REV_001", "II_SUCC_001"]),
        (course(500), {}, ["I_SUCC_001", "II_REV_001", "II_SUCC_001"]),
        (course(501), {}, ["I_SUCC_001", "II_EXEC_002"]),
        (course(12), {"slices_drop_below": 10, "slices_review_above": 11}, ["I_SUCC_001", "II_REV_001", "II_SUCC_001"]),
        (course(61), {"slices_review_above": 51, "slices_drop_above": 60}, ["I_SUCC_001", "II_EXEC_002"]),
        ([*course(), *images(series="1.7"), structures("1.8", of="1.7")], {}, ["I_SUCC_001", "II_SUCC_001"]),
        ([*images(), structures(), dose(of="")], {"profile": "CRD"}, ["I_SUCC_001", "II_SUCC_001"]),
        ([*images(), structures()], {"profile": "CR"}, ["I_SUCC_001", "II_SUCC_001"]),
    ],
)  # fmt: skip
def test_the_rules_give_their_codes_in_pdcps_order(rows: Rows, keys: dict[str, Any], expected: list[str]) -> None:
    """One scenario for each rule."""
    assert names(of(rows, **keys)) == expected


def test_a_study_without_any_image_series_of_the_profile_says_so() -> None:
    """Where the list of required modalities does not ask for them: PDCP's first code of table 2."""
    rows = [row for row in course() if row["Modality"] != "CT"] + [one("CT", "1.7", SeriesInstanceUID="")]
    assert names(of(rows)) == ["I_SUCC_001", "II_EXEC_001"]


def test_two_series_that_both_have_everything_are_for_a_person_to_choose() -> None:
    """A rescan in the same study: both are kept, told apart, and noted."""
    rows = [
        *course(),
        *images(series="1.7"),
        structures("1.8", of="1.7"),
        plan("1.9", of="1.8"),
        dose("1.10", of="1.9"),
    ]
    decision = of(rows)
    assert names(decision) == ["I_SUCC_001", "II_EXEC_003"]
    assert decision.quarantine
    assert [chain.images.uid for chain in decision.candidates] == [CT, "1.7"]
    assert [values["CT_SeriesIdentifier"] for values in decision.notes.to_dict()["list_of_values"]] == [CT, "1.7"]
    assert "II: Study verification: 2 series have all that is needed" in decision.notes.lines("verification_notes")


def test_several_studies_go_to_quarantine_with_a_chain_each() -> None:
    """Step 8 of the manual."""
    decision = of([*course(), *another(course())])
    assert decision.quarantine
    assert [chain.images.study for chain in decision.candidates] == [STUDY, "1.3.100"]
    assert decision.why(DOSE) == (
        f"the dose {DOSE} does not count yet. Several studies fit and nothing says which is meant. "
        "Choose one: qa-fetch cohort quarantine."
    )


def test_a_course_that_is_filed_under_several_studies_is_one() -> None:
    """Its UIDs hold it together."""
    decision = of([*images(), structures(), plan(study="1.5"), dose(study="1.6")])
    assert names(decision) == ["I_SUCC_001", "II_SUCC_001"]
    assert "I: Initial Verification: 3 studies name each other's objects and count as one." in decision.notes.lines(
        "verification_notes"
    )


@pytest.mark.parametrize(
    ("status", "rule", "chosen"),
    [
        ("APPROVED", "respect", True),
        ("UNAPPROVED", "respect", False),
        ("REJECTED", "respect", False),
        ("missing", "respect", True),
        ("missing", "require", False),
        ("APPROVED", "require", True),
        ("REJECTED", "ignore", True),
    ],
)
def test_approval_is_respected(status: str, rule: str, chosen: bool) -> None:
    """Unless the cohort says otherwise, as PDCP did."""
    decision = of([*images(), structures(), plan(ApprovalStatus=status), dose()], approval=rule)
    assert (decision.chosen is not None) is chosen
    if not chosen:
        reason = "its approval status is not APPROVED" if rule == "require" else f"its approval status is {status}"
        assert decision.why(f"plan {PLAN}") == f"the plan {PLAN} does not count: {reason}."
        assert decision.why(DOSE) == (
            f"the dose {DOSE} does not count: the plan {PLAN} that it belongs to does not count, since {reason}."
        )


def test_an_approved_plan_outweighs_one_without_a_status() -> None:
    """And an unapproved one beside it is no boost."""
    rows = [
        *course(),
        *boost(ApprovalStatus="missing"),
        plan("1.7", ApprovalStatus="UNAPPROVED"),
        dose("1.8", of="1.7"),
    ]
    decision = of(rows)
    assert decision.chosen is not None
    assert decision.chosen.uids == {CT, SETS, PLAN, DOSE}
    assert decision.why("1.2.100.5") == (
        "the plan 1.2.100.5 does not count: it has no approval status, while another plan on these structures is "
        "approved."
    )


def test_an_unapproved_dose_does_not_come_back_by_where_it_lies() -> None:
    """Profile CRD asks for no plan, and still looks at one that is there."""
    rows = [*images(), structures(), plan(ApprovalStatus="REJECTED"), dose()]
    assert names(of(rows, profile="CRD")) == ["I_SUCC_001", "II_EXEC_002"]


def test_a_boost_of_an_approved_course_is_joined() -> None:
    """Both approved, days apart, with labels and fractions of their own."""
    decision = of([*course(), *boost(RTPlanDate="20150115")])
    assert decision.status == "SUCCESS"
    assert decision.chosen is not None
    assert {node.uid for node in decision.chosen.doses} == {DOSE, "1.2.100.6"}
    assert (
        f"II: Study verification: 2 approved plans make one course: plan {PLAN} with 25 fractions and "
        "plan 1.2.100.5 with 8 fractions" in decision.notes.lines("verification_notes")
    )


@pytest.mark.parametrize(
    ("rows", "keys", "reason"),
    [
        (boost(), {"boosts": "quarantine"}, "2 plans lie on one series"),
        (boost(RTPlanLabel="l3"), {}, "2 plans lie on one series and their labels do not tell them apart"),
        (boost(RTPlanDate="missing"), {}, "2 plans lie on one series and not all of them have a date"),
        (boost(RTPlanDate="20149999"), {}, "2 plans lie on one series and not all of them have a date"),
        (
            boost(RTPlanDate="20160101"),
            {},
            "2 plans lie on one series and are 374 days apart, so they may be several courses",
        ),
        (
            boost(FractionGroupSequence=[{}]),
            {},
            "2 plans lie on one series and not all of them say how many fractions they have",
        ),
        (
            boost(ApprovalStatus="UNAPPROVED"),
            {"approval": "ignore"},
            "2 plans lie on one series and not all of them are approved",
        ),
        (
            [plan("1.7"), dose("1.8", of="1.7", FrameOfReferenceUID="1.9")],
            {},
            "the doses of 2 plans do not lie in one frame of reference",
        ),
        (
            boost(RTPlanDescription="missing"),
            {},
            "2 plans lie on one series and nothing says that one does not replace the other",
        ),
        ([dose("1.8")], {}, f"the plan {PLAN} has 2 doses of type PLAN and nothing says which is meant"),
        ([dose("1.8")], {"profile": "CRD"}, "2 doses lie on one series and no plan tells them apart"),
    ],
)
def test_what_only_a_person_can_tell_apart_goes_to_quarantine(rows: Rows, keys: dict[str, Any], reason: str) -> None:
    """PDCP summed them all; here each dose is a candidate of its own."""
    decision = of([*course(), *rows], **keys)
    assert names(decision) == ["I_SUCC_001", "II_EXEC_003"]
    assert f"II: Study verification: {reason}" in decision.notes.lines("verification_notes")
    alone = [chain for chain in decision.candidates if len(chain.doses) == 1]
    assert len({chain.doses[0].uid for chain in alone}) == len(alone) == 2
    # Both as one course may be chosen where each plan has its dose and they lie in one frame of reference.
    together = "2 doses" not in reason and "the doses of" not in reason
    assert [len(chain.doses) for chain in decision.candidates] == [1, 1, 2] if together else [1, 1]


def test_a_plan_without_a_dose_does_not_count() -> None:
    """It would be listed with doses that are not its own."""
    decision = of([*course(), plan("1.7")])
    assert decision.chosen is not None
    assert [node.uid for node in decision.chosen.plans] == [PLAN]
    assert decision.why("1.7") == "the plan 1.7 does not count: no dose of type PLAN names it."


def test_every_removed_object_knows_why() -> None:
    """Rules, limits and words."""
    assert of(course(), possibilities=["ctv"]).why(SETS) == (
        f"the structure set {SETS} does not count: none of its ROI names has a word of possibilities in it."
    )
    assert of([*images(), structures(organs="x"), plan(), dose()]).status == "SUCCESS"
    unreadable = [{**row, "organs": "[open('x')]"} if row["Modality"] == "RTSTRUCT" else row for row in course()]
    assert of(unreadable).why(SETS) == (
        f"the structure set {SETS} does not count: its ROI names cannot be read in the summary."
    )
    assert of(course(3)).why(DOSE) == (
        f"the dose {DOSE} does not count: its series {CT} is left out: it has 3 slices, fewer than the 50 of "
        "slices_drop_below."
    )
    assert of(course(), study_desc_should_not_contain=["breast"]).why(CT) == (
        f"the CT series {CT} does not count: the description of its study has the banned word breast."
    )
    assert of(course()).why(f"dose {DOSE}") == f"the dose {DOSE} is chosen: the dose names the plan by its UID."


def test_a_link_without_a_uid_is_told() -> None:
    """So that nobody takes it for more than it is."""
    decision = of([*images(), structures(), dose(of="")], profile="CRD")
    told = "II: Study verification: linked without a UID: 100% of the dose grid lies inside the CT series"
    assert told in decision.notes.lines("verification_notes")
    assert decision.chosen is not None
    assert decision.chosen.weakest == 0.5


def test_a_slice_that_is_listed_twice_counts_once() -> None:
    """A table in which an interceptor has doubled rows is not twice as long."""
    assert names(of([*course(30), *images(30)])) == ["I_SUCC_001", "II_REV_002", "II_EXEC_002"]


def test_the_notes_of_a_decision_are_written_and_read(tmp_path: Path) -> None:
    """As the next step finds them."""
    of([*course(), *another(course())]).notes.write(tmp_path)
    notes = Notes.read(tmp_path, "1")
    assert notes is not None
    assert (notes.status, str(notes.excluded_by)) == ("EXECLUDE", "I_EXEC_007:EXECLUDE")
