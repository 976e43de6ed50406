"""The codes of PDCP: tables 1 to 11 of its manual, and those that only its code knows; each with its sentence."""

from __future__ import annotations

from dataclasses import dataclass

EXECLUDE = "EXECLUDE"  # PDCP's spelling, which scripts look for
REVIEW = "REVIEW"
PROCEED = "PROCEED"
SUCCESS = "SUCCESS"


@dataclass(frozen=True)
class Code:
    """One code.

    ``mark`` is the word behind its colon, ``table`` the table of the manual that has it (0 where only the code of PDCP
    has it), ``description`` PDCP's words for it, and ``sentence`` what happened and what to do.
    """

    name: str
    mark: str
    table: int
    description: str
    sentence: str

    @property
    def outcome(self) -> str:
        """What becomes of the patient: ``EXECLUDE``, ``REVIEW`` or ``PROCEED``."""
        return {"EXEC": EXECLUDE, "REV": REVIEW, "SUCC": PROCEED}[self.name.split("_")[1]]

    @property
    def step(self) -> str:
        """The Roman number of the step that gives it."""
        return self.name.partition("_")[0]

    @property
    def section(self) -> str:
        """Which list of the notes it goes into."""
        number = _STEPS[self.step]
        return f"{'verification' if number < 11 else 'retrieval' if number < 21 else 'loading'}_notes"

    def __str__(self) -> str:
        return f"{self.name}:{self.mark}"

    def told(self, **facts: object) -> str:
        """PDCP's words, with what is meant in the place of its braces; what is not said reads ``?``."""
        return self.description.format_map(_Facts(facts))


class _Facts(dict[str, object]):
    def __missing__(self, key: str) -> str:
        return "?"


_STEPS = {
    "I": 1, "II": 2, "XI": 11, "XII": 12, "XIII": 13, "XIV": 14, "XV": 15, "XVI": 16, "XXI": 21, "XXII": 22,
    "XXIII": 23, "XXIV": 24,
}  # fmt: skip
_I, _II = "I: Initial Verification: ", "II: Study verification: "
_XIII, _XXII, _XXIV = "XIII: RTSTRUCTS retrieval: ", "XXII: XXII loading masks: ", "XXIV: XXIV select RTDOSES: "

I_EXEC_001 = Code(
    "I_EXEC_001", EXECLUDE, 1, f"{_I}Patient details not found in the directory.",
    "This patient has no summary. Run: qa-fetch cohort summarise.",
)  # fmt: skip
I_EXEC_002 = Code(
    "I_EXEC_002", EXECLUDE, 1, f"{_I}ERROR in collected the dataset.",
    "The summary of this patient failed. Run qa-fetch cohort summarise again; it takes up such patients only.",
)  # fmt: skip
I_EXEC_003 = Code(
    "I_EXEC_003", EXECLUDE, 1, f"{_I}IMAGING DATA NOT FOUND.",
    "No study of this patient has all required modalities. Check the archive, or required_modalities_for_patient.",
)  # fmt: skip
I_EXEC_004 = Code(
    "I_EXEC_004", EXECLUDE, 1, f"{_I}Contained phantom study only (Patient cannot be included in the study).",
    "Nothing is left without phantom studies and structure sets that name no wanted ROI. "
    "Check the series descriptions, or possibilities.",
)  # fmt: skip
I_EXEC_005 = Code(
    "I_EXEC_005", EXECLUDE, 1, f"{_I}modality missing (Patient cannot be included in the study):{{modality}}",
    "A required modality is missing in all studies that count. Check the archive, or required_modalities_for_patient.",
)  # fmt: skip
I_EXEC_006 = Code(
    "I_EXEC_006", EXECLUDE, 1,
    f"{_I}The patient had no more available studies after removing studies with ineligible keywords in each study "
    "description.",
    "Every study has a word in its description that the cohort bans. Check study_desc_should_not_contain.",
)  # fmt: skip
I_EXEC_007 = Code(
    "I_EXEC_007", EXECLUDE, 1,
    f"{_I}The patient have multiple studies associated, discard. Patient data can be later exported to quarantine "
    "for review.",
    "Several studies fit and nothing says which is meant. Choose one: qa-fetch cohort quarantine.",
)  # fmt: skip
I_SUCC_001 = Code(
    "I_SUCC_001", PROCEED, 1, f"{_I}Patient has one associated study.",
    "One study fits. Nothing is to be done.",
)  # fmt: skip
I_SUCC_002 = Code(
    "I_SUCC_002", PROCEED, 1, f"{_I}Conflict removed. only one study remains",
    "One study fits, the others lack a required modality. Nothing is to be done.",
)  # fmt: skip
I_REV_001 = Code(
    "I_REV_001", "LOW", 1, f"{_I}Patient has {{count}} multiple associated studies",
    "Several studies fit the words of the cohort. See below which of them counts.",
)  # fmt: skip

II_EXEC_001 = Code(
    "II_EXEC_001", EXECLUDE, 2, f"{_II}Patient has no associated CT modality.",
    "The study has no image series of the wanted modality. Check the archive, or the profile.",
)  # fmt: skip
II_EXEC_002 = Code(
    "II_EXEC_002", EXECLUDE, 2, f"{_II}Patient has no associations between modalities.",
    "No images, structures, plan and dose belong together. Ask why an object does not count, by its UID.",
)  # fmt: skip
II_EXEC_003 = Code(
    "II_EXEC_003", EXECLUDE, 2,
    f"{_II}Patient has multiple associations between modalities, must be reviewed. Discard for now.",
    "Several sets of objects belong together and nothing says which is meant. Choose one: qa-fetch cohort quarantine.",
)  # fmt: skip
II_SUCC_001 = Code(
    "II_SUCC_001", PROCEED, 2, f"{_II}Patient has one CT associated with {{objects}}.",
    "One set of objects belongs together. Nothing is to be done.",
)  # fmt: skip
II_REV_001 = Code(
    "II_REV_001", "SEVERE", 0,
    "II: CT verification: Large number of instances associated with the patient CT: {count}",
    "The image series has very many slices. Look at it before it is used, or raise slices_review_above.",
)  # fmt: skip
II_REV_002 = Code(
    "II_REV_002", "SEVERE", 0, "II: CT verification: Low number of instances associated with the patient CT.",
    "An image series has too few slices and was left out. Check the archive, or lower slices_drop_below.",
)  # fmt: skip

XI_EXEC_001 = Code(
    "XI_EXEC_001", EXECLUDE, 3, "XI: CT retrieval: cannot sort retrieved instances.",
    "The slices cannot be put in order by their positions. Look at the series, or export it again from its source.",
)  # fmt: skip
XI_EXEC_002 = Code(
    "XI_EXEC_002", EXECLUDE, 0, "XI: CT retrieval: Issue in retrieving CT slices.",
    "The archive gave no good answer for some slices. Run the build again.",
)  # fmt: skip
XI_EXEC_02 = Code(
    "XI_EXEC_02", EXECLUDE, 3, "XI: CT retrieval: Failed to retrieve the patient's CT.",
    "The images could not be fetched. Check the archive with qa-fetch echo, then run the build again.",
)  # fmt: skip
XI_SUCC_001 = Code(
    "XI_SUCC_001", PROCEED, 3, "XI: CT retrieval: retrieved the CT series instances to the local directory.",
    "The images are there. Nothing is to be done.",
)  # fmt: skip
XII_SUCC_001 = Code(
    "XII_SUCC_001", PROCEED, 4, "XII: CTnifti generation: Successfully added the CT nifti file to its directory",
    "The images are there as NIfTI. Nothing is to be done.",
)  # fmt: skip
XII_EXEC_001 = Code(
    "XII_EXEC_001", EXECLUDE, 4, "XII: CTnifti generation: Failed to generate the patient's CTnifti.",
    "The images make no volume, or it could not be written. See the note before this one, then run the build again.",
)  # fmt: skip
XIII_SUCC_001 = Code(
    "XIII_SUCC_001", PROCEED, 5,
    f"{_XIII}added an RTSTRUCT instance to the RTSTRUCT directory.",
    "The structure sets are there. Nothing is to be done.",
)  # fmt: skip
XIII_EXEC_001 = Code(
    "XIII_EXEC_001", EXECLUDE, 5, f"{_XIII}failed to retrieve the RTSTRUCTs.",
    "A structure set could not be fetched. Check the archive with qa-fetch echo, then run the build again.",
)  # fmt: skip
XIV_SUCC_001 = Code(
    "XIV_SUCC_001", PROCEED, 6, "XIV: RTSTRUCTS nifti masks generation: RTSTRUCT masks generated",
    "The masks are there. Nothing is to be done.",
)  # fmt: skip
XIV_EXEC_001 = Code(
    "XIV_EXEC_001", EXECLUDE, 6,
    "XIV: RTSTRUCTS nifti masks generation: failed to generate the nifti masks for the patients.",
    "The structures make no masks on these images. See the note before this one, then run the build again.",
)  # fmt: skip
XV_EXEC_001 = Code(
    "XV_EXEC_001", EXECLUDE, 7, "XV: RTPLAN retrieval: failed to retrieve an RTPLAN",
    "A plan could not be fetched. Check the archive with qa-fetch echo, then run the build again.",
)  # fmt: skip
XV_EXEC_002 = Code(
    "XV_EXEC_002", EXECLUDE, 7, "XV: RTPLAN retrieval: Exception",
    "A plan was fetched and could not be kept. See the note before this one, then run the build again.",
)  # fmt: skip
XV_SUCC_001 = Code(
    "XV_SUCC_001", PROCEED, 7, "XV: RTPLAN Retrieval: added {count} RTPLANS into the RTPLANS directory.",
    "The plans are there. Nothing is to be done.",
)  # fmt: skip
XVI_EXEC_001 = Code(
    "XVI_EXEC_001", EXECLUDE, 8, "XVI: RTDOSE Retrieval: failed to retrieve an RTDOSE",
    "A dose could not be fetched. Check the archive with qa-fetch echo, then run the build again.",
)  # fmt: skip
XVI_EXEC_002 = Code(
    "XVI_EXEC_002", EXECLUDE, 8, "XVI: RTDOSE Retrieval: Exception",
    "A dose was fetched and could not be kept. See the note before this one, then run the build again.",
)  # fmt: skip
XVI_SUCC_001 = Code(  # table 8 of the manual calls it XV_SUCC_001, its code does not
    "XVI_SUCC_001", PROCEED, 8,
    "XVI: RTDOSE Retrieval: added {count} rtdose instances with dosesummationtype as PLAN to the RTDOSE directory.",
    "The doses are there. Nothing is to be done.",
)  # fmt: skip

XXI_SUCC_001 = Code(
    "XXI_SUCC_001", PROCEED, 9, "XXI: loading CT: Load was successful",
    "The images can be read. Nothing is to be done.",
)  # fmt: skip
XXI_EXEC_001 = Code(
    "XXI_EXEC_001", EXECLUDE, 9, "XXI: loading CT: EXCEPTION",
    "The NIfTI file of the images cannot be read. Remove the patient's folder, then run the build again.",
)  # fmt: skip
XXII_SUCC_001 = Code(
    "XXII_SUCC_001", PROCEED, 0, f"{_XXII}loaded all the patient's masks.",
    "The masks can be read. Nothing is to be done.",
)  # fmt: skip
XXII_EXEC_001 = Code(
    "XXII_EXEC_001", EXECLUDE, 10, f"{_XXII}No mask folders found in the directory",
    "The patient's folder has no masks. Run the build again.",
)  # fmt: skip
XXII_REV_001 = Code(
    "XXII_REV_001", "NORMAL", 10, f"{_XXII}no masks were found for the RTSTRUCT.",
    "A structure set gave no mask. Look whether its ROIs have contours.",
)  # fmt: skip
XXII_REV_002 = Code(
    "XXII_REV_002", "NORMAL", 10, f"{_XXII}failed to load the mask",
    "A mask cannot be read. Remove it, then run the build again.",
)  # fmt: skip
XXII_REV_003 = Code(
    "XXII_REV_003", "NORMAL", 10,
    f"{_XXII}multiple masks referring to the same roi names, possibly a duplicate.",
    "Two masks have one ROI name. Look which of them is meant.",
)  # fmt: skip
XXIII_SUCC_001 = Code(
    "XXIII_SUCC_001", PROCEED, 0, "XXIII: XXIII loading RTDOSES: added the RTDOSES.",
    "The doses can be read. Nothing is to be done.",
)  # fmt: skip
XXIII_EXEC_001 = Code(
    "XXIII_EXEC_001", EXECLUDE, 0, "XXIII: XXIII loading RTDOSES: Failed to add the RTDOSES.",
    "A dose cannot be read. Remove the patient's folder, then run the build again.",
)  # fmt: skip
XXIV_EXEC_001 = Code(
    "XXIV_EXEC_001", EXECLUDE, 11, f"{_XXIV}No dosegrids associated with the list",
    "No dose is among what was built. Run the build again, or use profile CR.",
)  # fmt: skip
XXIV_EXEC_002 = Code(
    "XXIV_EXEC_002", EXECLUDE, 11, f"{_XXIV}No dosegrids associated with the study.",
    "No dose grid holds any dose. Look at the doses in the planning system.",
)  # fmt: skip
XXIV_EXEC_003 = Code(
    "XXIV_EXEC_003", EXECLUDE, 11, f"{_XXIV}Maximum dose received by a voxel is not acceptable.",
    "The highest dose lies outside the window. Look at the dose, or change suspicious_max_dose_lower_bound and "
    "suspicious_max_dose_upper_bound.",
)  # fmt: skip
XXIV_SUCC_001 = Code(
    "XXIV_SUCC_001", PROCEED, 11, f"{_XXIV}RTDOSES successfully loaded",
    "The dose is there. Nothing is to be done.",
)  # fmt: skip

CODES: dict[str, Code] = {value.name: value for value in list(vars().values()) if isinstance(value, Code)}


def code(text: str) -> Code:
    """The code that a note names, such as ``I_EXEC_001:EXECLUDE``; KeyError where there is none."""
    return CODES[text.partition(":")[0].strip()]
