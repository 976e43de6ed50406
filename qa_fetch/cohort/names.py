"""What a region would be called by the recommendation of AAPM TG-263, where its name leaves no doubt what it is."""

from __future__ import annotations

import re
from typing import Final, Optional

_TARGET: Final = re.compile(r"(?:[pcgi]tv|itv|igtv|ictv)(?![a-z])", re.IGNORECASE)
_PARTS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_LEFT: Final = frozenset(("l", "lt", "left", "li", "links"))
_RIGHT: Final = frozenset(("r", "rt", "right", "re", "rechts"))
_BOTH: Final = frozenset(("both", "bilateral", "bilat", "total", "tot", "whole", "sum"))
_IDLE: Final = frozenset(("oar", "organ", "the"))
# Words, in the order of the alphabet, to the name of an organ of which there is one.
_SINGLE: Final = {
    "heart": "Heart",
    "herz": "Heart",
    "cord spinal": "SpinalCord",
    "cord": "SpinalCord",
    "spinalcord": "SpinalCord",
    "myelon": "SpinalCord",
    "spinalkanal": "SpinalCanal",
    "canal spinal": "SpinalCanal",
    "spinalcanal": "SpinalCanal",
    "brain": "Brain",
    "brain stem": "Brainstem",
    "brainstem": "Brainstem",
    "chiasm": "OpticChiasm",
    "chiasm optic": "OpticChiasm",
    "chiasma": "OpticChiasm",
    "opticchiasm": "OpticChiasm",
    "hypophysis": "Pituitary",
    "pituitary": "Pituitary",
    "oesophagus": "Esophagus",
    "esophagus": "Esophagus",
    "trachea": "Trachea",
    "larynx": "Larynx",
    "thyroid": "Glnd_Thyroid",
    "gland thyroid": "Glnd_Thyroid",
    "mandible": "Bone_Mandible",
    "cavity oral": "Cavity_Oral",
    "lips": "Lips",
    "liver": "Liver",
    "leber": "Liver",
    "stomach": "Stomach",
    "spleen": "Spleen",
    "pancreas": "Pancreas",
    "duodenum": "Duodenum",
    "bowel": "Bowel",
    "bag bowel": "Bag_Bowel",
    "bowel small": "Bowel_Small",
    "bowel large": "Bowel_Large",
    "bladder": "Bladder",
    "blase": "Bladder",
    "rectum": "Rectum",
    "rektum": "Rectum",
    "prostate": "Prostate",
    "uterus": "Uterus",
    "sigmoid": "Colon_Sigmoid",
    "colon sigmoid": "Colon_Sigmoid",
    "bulb penile": "PenileBulb",
    "penilebulb": "PenileBulb",
    "aorta": "A_Aorta",
    "skin": "Skin",
    "body": "External",
    "external": "External",
    "cauda equina": "CaudaEquina",
}
# The same for organs of which there are two: the name of one, and that of both together.
_DOUBLE: Final = {
    "lung": ("Lung", "Lungs"),
    "lunge": ("Lung", "Lungs"),
    "kidney": ("Kidney", "Kidneys"),
    "niere": ("Kidney", "Kidneys"),
    "breast": ("Breast", "Breasts"),
    "mamma": ("Breast", "Breasts"),
    "parotid": ("Parotid", "Parotids"),
    "gland parotid": ("Parotid", "Parotids"),
    "submandibular": ("Glnd_Submand", "Glnds_Submand"),
    "gland submandibular": ("Glnd_Submand", "Glnds_Submand"),
    "eye": ("Eye", "Eyes"),
    "lens": ("Lens", ""),
    "nerve optic": ("OpticNrv", ""),
    "opticnerve": ("OpticNrv", ""),
    "cochlea": ("Cochlea", ""),
    "hippocampus": ("Hippocampus", "Hippocampi"),
    "lobe temporal": ("Lobe_Temporal", ""),
    "gland lacrimal": ("Glnd_Lacrimal", ""),
    "lacrimal": ("Glnd_Lacrimal", ""),
    "femoral head": ("Femur_Head", ""),
    "femur head": ("Femur_Head", ""),
    "femoralhead": ("Femur_Head", ""),
    "plexus brachial": ("BrachialPlex", ""),
    "brachialplexus": ("BrachialPlex", ""),
}
_PLURALS: Final = {
    "lungs": "lung",
    "kidneys": "kidney",
    "breasts": "breast",
    "parotids": "parotid",
    "eyes": "eye",
    "glnd": "gland",
    "nrv": "nerve",
    "heads": "head",
    "femurs": "femur",
    "hippocampi": "hippocampus",
}


def suggested(name: str) -> Optional[str]:
    """The name of TG-263 for a region; None where it has that name already, is a target, or is not sure.

    A name with a word that says nothing here (``Lung_L_old``, ``Heart-PTV``) is another region than the organ.
    """
    if _TARGET.match(name.strip()):
        return None
    words = [word.casefold() for word in _PARTS.findall(name)]
    if any(not (letter.isascii() and (letter.isalnum() or letter in " _./()")) for letter in name):
        return None  # a minus or a plus makes another region of it
    sides = [word for word in words if word in _LEFT | _RIGHT]
    both = [word for word in words if word in _BOTH]
    several = [word for word in words if word in _PLURALS and _PLURALS[word] in _DOUBLE]
    organ = " ".join(sorted(_PLURALS.get(word, word) for word in words if word not in _LEFT | _RIGHT | _BOTH | _IDLE))
    found = None
    if organ in _SINGLE and not sides and not both:
        found = _SINGLE[organ]
    elif organ in _DOUBLE and len(sides) == 1 and not both and not several:
        found = f"{_DOUBLE[organ][0]}_{'L' if sides[0] in _LEFT else 'R'}"
    elif organ in _DOUBLE and (both or several) and not sides:
        found = _DOUBLE[organ][1] or None
    return None if found == name else found
