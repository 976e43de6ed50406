"""Words that identify nobody: DICOM's and radiotherapy's own, those of addresses, titles, and stand-ins for names."""

from __future__ import annotations

from typing import Final

from .folding import WORD, folded, is_dense

# Words of defined terms, of code meanings and of what is written on beams, structures and series.
DICOM: Final = frozenset(
    """
    abdomen absolute acquisition additional adrenal angle anterior application applicator approved arc artifact artery
    asymmetric attenuation average axial axis background base baseline beam bladder blade body bolus bone boost both
    bottom bowel brachial brachy brachytherapy brain brainstem breast calculated calibration canal cancer cardiac
    carina carotid catheter caudal cavity center central cerebellum chamber channel chest chiasm circular clinical
    clip cochlea collimator colon completed composite compressed compression cone constraint contour contralateral
    contrast control conventional convolution cord coronal correction couch coverage cranial current curve cylinder
    default delivered delivery density derived description detector device diaphragm direction display distance dose
    double duct duodenum dynamic eclipse effective electron enhanced error esophagus evaluated evaluation event
    exit exposure external eye femoral femur field filter final fixed flat fluence fluoro fluoroscopy forward fraction
    frame frequency frontal gamma gantry gland gross head headfirst heart height helical high hippocampus horizontal
    humerus image imager imaging imported index inferior initial inner insert internal inverse ipsilateral iso
    isocenter jaw kidney label larynx laser lateral lead leaf left lens level limb limit linac linear lingula lips
    list liver localizer localiser lower lumbar lung lymph machine main mandible manual margin mark marked marker
    markers mask matrix maximum mean measured mediastinum medial midline minimum mixed model modality modified monitor
    mosaic mouth multiple muscle nasal neck needle nerve nodal node nodes nominal none normal number oblique off
    offset open optic optical oral orbit organ original other outer output ovary pancreas parallel parotid partial
    patient pelvis penile percent perineum phantom phase photon pitch pixel plan plane planned planning plans plate
    portal position positioning posterior prescription presentation preset primary procedure process profile projection
    prone prostate proton protocol quality radial radiation radiograph radiotherapy range rate ratio reconstruction
    record rectum reference region relative rescan resolution respiratory result retina review right rigid ring
    rotation routine safety sagittal sample scan scanned scatter scout screen secondary section segment seminal sequence
    series session setup shift side signal simulation single site skin slice small smart source spatial specified
    spinal spine spleen split square stack standard static status stereotactic sternum stomach structure structures
    study subtraction summation summed superior supine support surface symmetric system table target template
    temporal tension test testis thickness thin thoracic thorax thyroid time tissue tolerance tongue total trachea
    transverse treatment treatments tumor type ungated unit unknown unspecified upper ureter urethra uterus vagina valid
    validation value vein ventricle verification version vertebra vertical vesicle view virtual vision volume water
    wedge weight whole window
    """.split()
)
# Words of the names and addresses of institutions that are everywhere.
GENERIC: Final = frozenset(
    """
    abteilung address adresse affiliated and avenue azienda bank building campus cancer care cedex center centre centro
    chemin city clinic clinica clinical clinics clinique community county data departement department departments
    departamento der des development diagnostic diagnostics dienst die district division east email europe
    floor foundation france fuer general germany group gmbh haus health healthcare hopital hospital hospitalier
    hospitals house imaging inst institut institute institution instituto international istituto italia kantonsspital
    klinik kliniken klinikum krankenhaus laboratory limited main medical medecine medicine medizin memorial ministry
    national north northern nuclear nuklearmedizin office oncologia oncologie oncology onkologie ospedale partners
    patient patients physics place plaza policlinic policlinico polyclinic poliklinik praxis private public radiation
    radiologia radiologie radiologische radiology radio radiooncology radioonkologie radiotherapie radiotherapy region
    regional research road room route royal saint school science sciences section service services site south southern
    spital square state station strahlentherapie strasse street suite switzerland system team telephone the therapy
    town treatment trust tumor unit united universitaet universitaets universitaetsklinikum universitaetsspital
    universitaire universitario university via ward west western with zentrum
    """.split()
)
TITLES: Final = frozenset(
    "dr drmed med prof professor pd priv doz dipl ing mr mrs ms miss mister frau herr herrn mme mlle sir madame"
    " monsieur docteur phd md msc bsc jr sr dra sra".split()
)
# Parts of family names that are words of their own language.
PARTICLES: Final = frozenset(
    "van von vom der den de del della di da das dos du la le les el al bin ibn bint abu ten ter zu zum zur af av of"
    " and y e i st san santa saint".split()
)
# What stands where a name or a number should be.
_STAND_INS: Final = frozenset(
    """
    admin administrator anon anonym anonymised anonymized anonymous anonyme anonymus blank clinician default
    deidentified deleted doctor dummy empty entfernt external false inconnu intern internal keine name nameless nan nil
    noname none null nurse operator patient phantom physicist physician removed service staff stat student system tech
    technician technologist test tester testing therapist true unavailable unbekannt undefined unknown unnamed
    unspecified user available applicable specified provided assigned not
    """.split()
)
_NO_IDENTITIES: Final = frozenset("n/a na no non xx xxx xxxx yes y n qa".split())


def words(text: str) -> list[str]:
    """The words of a text, folded."""
    return WORD.findall(folded(text))


def identifies(text: str) -> bool:
    """Whether a value can identify anybody: it is longer than one letter, and not one that stands for nobody."""
    plain = folded(text).strip()
    found = words(plain)
    if plain in _NO_IDENTITIES or not found or all(word in _STAND_INS or word in _NO_IDENTITIES for word in found):
        return False
    joined = "".join(found)
    return len(joined) > 1 and not (len(set(joined)) == 1 and joined[0] in "09x")


def identifies_a_place(text: str) -> bool:
    """Whether an institution's name or address is more than words and numbers of any institution."""
    return identifies(text) and any(
        is_distinctive(word) or (len(word) < 4 and not word.isdigit() and word not in PARTICLES | GENERIC)
        for word in words(text)
    )


def is_distinctive(word: str) -> bool:
    """Whether a folded word of an institution's name or address is more than a word of any institution."""
    return (
        (len(word) >= 4 or (len(word) > 1 and is_dense(word)))
        and not word.isdigit()
        and not (word in GENERIC or word in DICOM or word in _STAND_INS or word in TITLES)
    )
