"""The links between a patient's objects."""

from __future__ import annotations

import pytest
from cohort_rows import CT, DOSE, FRAME, PLAN, SETS, course, dose, images, plan, settings, structures

from qa_fetch.cohort import columns
from qa_fetch.cohort.choices import Choice
from qa_fetch.cohort.config import PROFILES
from qa_fetch.cohort.linking import chains, link, select, why
from qa_fetch.cohort.linking.placement import box_of
from qa_fetch.errors import BadArchive


def uids(nodes: object) -> list[str]:
    """The UIDs of some nodes."""
    return [node.uid for node in nodes]  # type: ignore[attr-defined]


def test_a_course_is_linked_by_uids_and_each_link_says_so() -> None:
    """The dose also lies within the images, which is told beside."""
    graph = link(course())
    found = {(edge.source, edge.target): [(part.kind, part.sentence) for part in edge.evidence] for edge in graph.edges}
    assert found == {
        (SETS, CT): [("uid", "the structure set names the CT series by its UID")],
        (PLAN, SETS): [("uid", "the plan names the structure set by its UID")],
        (DOSE, PLAN): [("uid", "the dose names the plan by its UID")],
        (DOSE, CT): [
            ("frame", "the dose and the CT series share a frame of reference"),
            ("geometry", "100% of the dose grid lies inside the CT series"),
        ],
    }
    (chain,) = chains(graph, PROFILES["CRDP"])
    assert (chain.images.uid, uids(chain.structures), uids(chain.plans), uids(chain.doses)) == (
        CT,
        [SETS],
        [PLAN],
        [DOSE],
    )
    assert chain.weakest == 1.0


@pytest.mark.parametrize(
    ("tags", "kinds"),
    [
        ({"ImagePositionPatient": "-50\\-50\\150"}, ["frame", "geometry"]),
        ({"ImagePositionPatient": "missing"}, ["frame"]),
        ({"ImagePositionPatient": "900\\0\\0"}, None),
        ({"FrameOfReferenceUID": "1.9"}, None),
        ({"FrameOfReferenceUID": ""}, None),
        (
            {  # feet first: its rows run to the left, and its offsets are positions that descend
                "ImageOrientationPatient": "-1\\0\\0\\0\\1\\0",
                "ImagePositionPatient": "50\\-50\\130",
                "GridFrameOffsetVector": "130\\80\\30",
            },
            ["frame", "geometry"],
        ),
    ],
)
def test_a_dose_without_uids_is_linked_by_where_it_lies(tags: dict[str, str], kinds: object) -> None:
    """A grid beside the images, or in another frame, is not linked at all."""
    graph = link([*images(), dose(of="", **tags)])
    found = [[part.kind for part in edge.evidence] for edge in graph.edges]
    assert found == ([] if kinds is None else [kinds])


def test_without_plans_a_frame_of_reference_alone_links_no_dose() -> None:
    """Where the grid lies inside the images, it does; where UIDs lead elsewhere, these count."""
    rows = [*images(), structures()]
    profile = PROFILES["CRD"]
    (chain,) = chains(link([*rows, dose(of="")]), profile)
    assert (uids(chain.doses), chain.weakest) == ([DOSE], 0.5)
    assert chains(link([*rows, dose(of="", ImagePositionPatient="missing")]), profile) == []
    elsewhere = [*images(series="1.7"), structures("1.8", of="1.7"), plan("1.9", of="1.8")]
    (chain,) = chains(link([*rows, *elsewhere, dose(of="1.9")]), profile)
    assert chain.images.uid == "1.7"


def test_only_doses_of_whole_plans_count() -> None:
    """PDCP's rule: summation type PLAN."""
    rows = [*images(), structures(), plan(), dose(DoseSummationType="BEAM")]
    assert chains(link(rows), PROFILES["CRDP"]) == []
    assert why(link(rows), DOSE) == (
        f"the dose {DOSE} does not count: it is of BEAM, and not of PLAN. Export the dose of the whole plan."
    )


def test_objects_in_other_studies_are_linked_and_their_studies_count_as_one() -> None:
    """An archive may file one course under several studies; one that nothing names stays alone."""
    rows = [
        *images(),
        structures(study="1.5"),
        plan(study="1.6"),
        dose(study="1.6"),
        *images(2, series="1.7", study="1.8"),
    ]
    graph = link(rows)
    assert len(chains(graph, PROFILES["CRDP"])) == 1
    assert sorted(map(sorted, graph.groups())) == [["1.2.100", "1.5", "1.6"], ["1.8"]]


def test_images_of_other_modalities_are_linked_for_their_profiles() -> None:
    """MR and PET with structures."""
    rows = [*images(series="1.7", modality="MR"), structures(of="1.7"), *images(series="1.8", modality="PT")]
    graph = link(rows)
    assert uids(chain.images for chain in chains(graph, PROFILES["MR"])) == ["1.7"]
    assert chains(graph, PROFILES["PET"]) == []
    assert settings(profile="MR").profile == PROFILES["MR"]


def test_why_says_where_the_way_ends_and_what_to_do() -> None:
    """For every end there is."""
    whole = link(course())
    assert why(whole, DOSE) == (
        f"the dose {DOSE} names the plan {PLAN}, the plan {PLAN} names the structure set {SETS}, "
        f"the structure set {SETS} names the CT series {CT}; so they belong together."
    )
    assert why(whole, f"{CT}.5") == f"the CT series {CT} is named by the structure set {SETS}."
    assert why(whole, "9") == (
        "9 is not in the summary of this patient. Check the UID, or summarise the patient again."
    )
    assert why(link(images(1)), CT) == (
        f"the CT series {CT} does not count: no structure set names it. Export one that was drawn on it."
    )
    assert why(link([*images(), structures(), dose()]), DOSE) == (
        f"the dose {DOSE} does not count: the dose {DOSE} names {PLAN}, which is no plan in the summary; the dose and "
        "the CT series share a frame of reference and 100% of the dose grid lies inside the CT series, which alone is "
        "weak evidence. Send that plan to the archive."
    )
    assert why(link([plan(of="1.7"), dose(FrameOfReferenceUID="")]), DOSE) == (
        f"the dose {DOSE} does not count: the dose {DOSE} names the plan {PLAN}, and the plan {PLAN} names 1.7, which "
        "is no structure set in the summary. Send that structure set to the archive."
    )
    assert why(link([plan(ReferencedStructureSetSequence="missing")]), PLAN) == (
        f"the plan {PLAN} does not count: the plan {PLAN} names no structure set. "
        "Export it again from its source, together with its structure set."
    )
    assert why(link([plan(ReferencedStructureSetSequence="[open('x')]")]), PLAN) == (
        f"the plan {PLAN} does not count: what it refers to cannot be read in the plan {PLAN}. "
        "Summarise the patient again."
    )


def test_a_uid_of_the_wrong_sort_links_nothing() -> None:
    """A plan that names images as its structure set, a structure set that names itself, a dose that names a dose."""
    rows = [*images(), plan(of=CT), structures(of=SETS), dose(of=DOSE, FrameOfReferenceUID="")]
    assert link(rows).edges == ()


def test_the_structure_set_that_the_plan_names_comes_first() -> None:
    """Others on the same images are kept, as PDCP does."""
    rows = [*images(), structures("1.7"), structures(), plan(), dose()]
    (chain,) = chains(link(rows), PROFILES["CRDP"])
    assert uids(chain.structures) == [SETS, "1.7"]
    assert FRAME in {node.frame for node in chain.doses}


@pytest.mark.parametrize(
    ("axes", "offsets", "span"),
    [
        ("1\\0\\0\\0\\1\\0", "0\\50\\100", (130.0, 230.0)),
        ("1\\0\\0\\0\\1\\0", "0\\-50\\-100", (30.0, 130.0)),
        ("1\\0\\0\\0\\1\\0", "130\\80\\30", (30.0, 130.0)),
        ("-1\\0\\0\\0\\1\\0", "0\\50\\100", (30.0, 130.0)),
        ("-1\\0\\0\\0\\1\\0", "130\\80\\30", (30.0, 130.0)),
        ("-1\\0\\0\\0\\1\\0", "130\\180\\230", (130.0, 230.0)),
    ],
)
def test_a_dose_grid_lies_where_its_offsets_say(axes: str, offsets: str, span: tuple[float, float]) -> None:
    """Distances along the normal, or positions along the patient, ascending or descending."""
    row = dose(ImageOrientationPatient=axes, ImagePositionPatient="0\\0\\130", GridFrameOffsetVector=offsets)
    box = box_of([row])
    assert box is not None
    assert box[2] == span


# --- what a person is offered, and what is taken for one course


def test_one_course_beside_another_series_stays_one_and_can_be_chosen() -> None:
    """Only a chain in doubt is taken apart dose by dose; each candidate leads on when it is chosen."""
    second = [plan("1.2.100.5", fractions=8, RTPlanLabel="Boost"), dose("1.2.100.6", of="1.2.100.5")]
    rescan = [*images(series="1.2.100.11"), structures("1.2.100.12", of="1.2.100.11")]
    rows = [*course(), *second, *rescan, plan("1.2.100.13", of="1.2.100.12"), dose("1.2.100.14", of="1.2.100.13")]
    waiting = select("1", rows, settings())
    assert waiting.code.name == "II_EXEC_003"
    assert [uids(one.doses) for one in waiting.candidates] == [[DOSE, "1.2.100.6"], ["1.2.100.14"]]
    for candidate in waiting.candidates:
        chosen = select("1", rows, settings(), choice=Choice(candidate.uids)).chosen
        assert chosen is not None and chosen.uids == candidate.uids


@pytest.mark.parametrize(
    ("relation", "code"),
    [
        ("PREDECESSOR", "II_EXEC_003"),
        ("ALTERNATIVE", "II_EXEC_003"),
        ("VERIFIED_PLAN", "II_EXEC_003"),
        ("PRIOR", "II_SUCC_001"),
        ("CONCURRENT", "II_SUCC_001"),
    ],
)
def test_a_plan_instead_of_another_is_no_boost(relation: str, code: str) -> None:
    """Their doses are never added up, however near their dates are."""
    says = [{"ReferencedSOPInstanceUID": PLAN, "RTPlanRelationship": relation}]
    second = plan("1.2.100.5", ReferencedRTPlanSequence=says)
    decision = select("1", [*course(), second, dose("1.2.100.6", of="1.2.100.5")], settings())
    assert decision.code.name == code
    told = (
        f"II: Study verification: the plan 1.2.100.5 calls the plan {PLAN} its {relation}, "
        "so they are no phases of one course"
    )
    assert (told in decision.notes.lines("verification_notes")) is (code == "II_EXEC_003")


def test_what_a_plan_says_of_others_and_nobody_can_read_is_a_doubt() -> None:
    """It may be that it replaces them."""
    second = {**plan("1.2.100.5"), "ReferencedRTPlanSequence": "os.system"}
    decision = select("1", [*course(), second, dose("1.2.100.6", of="1.2.100.5")], settings())
    assert decision.code.name == "II_EXEC_003"
    assert "II: Study verification: what the plan 1.2.100.5 says of other plans cannot be read" in (
        decision.notes.lines("verification_notes")
    )


@pytest.mark.parametrize(
    ("patient", "named", "orthanc", "refused"),
    [
        ("1", "1.0", "other", False),
        ("01", "1", "other", False),
        ("01", "1.0", columns.orthanc_identifier("01"), False),
        ("01", "1", columns.orthanc_identifier("1"), True),
        ("1", "1.0", columns.orthanc_identifier("1.0"), True),
        ("1", "01", "other", True),
        ("A", "a", "other", True),
        ("1_2", "12", "other", True),
    ],
)
def test_rows_are_of_the_patient_or_as_pandas_writes_his_number(
    patient: str, named: str, orthanc: str, refused: bool
) -> None:
    """Orthanc's identifier, which pandas leaves alone, tells 1 from 01; one row of another patient is too many."""
    rows = course()
    rows[-1] = {**rows[-1], "PatId": named, "OrthancId": orthanc}
    rows = [{**row, "PatId": patient} for row in rows[:-1]] + rows[-1:]
    if not refused:
        assert select(patient, rows, settings()).status == "SUCCESS"
        return
    with pytest.raises(BadArchive) as caught:
        select(patient, rows, settings())
    assert str(caught.value) == (
        "the summary of a patient holds rows of another one. Remove it, then run: qa-fetch cohort summarise."
    )
