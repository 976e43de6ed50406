"""Where everything of a patient lies, under the names that PDCP gives."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .config import Settings
from .notes import stem


@dataclass(frozen=True)
class PatientFolder:
    """The folder of one patient; ``modality`` is that of the images: PDCP's CT, else MR or PT."""

    root: Path
    patient: str
    modality: str = "CT"

    @classmethod
    def of(cls, settings: Settings, patient: str) -> PatientFolder:
        """That of a patient of a cohort."""
        return cls(settings.datadirectory / stem(patient), str(patient), settings.profile.images)

    @property
    def images(self) -> Path:
        """The images as they came, numbered along the patient."""
        return self.root / self.modality

    @property
    def images_nifti(self) -> Path:
        """The images as one volume."""
        return self.root / f"{self.modality}nifti"

    @property
    def structures(self) -> Path:
        """The structure sets as they came."""
        return self.root / "RTSTRUCT"

    @property
    def masks(self) -> Path:
        """A folder of masks for each structure set."""
        return self.root / "masks"

    @property
    def plans(self) -> Path:
        """The plans as they came."""
        return self.root / "RTPLAN"

    @property
    def doses(self) -> Path:
        """The doses as they came."""
        return self.root / "RTDOSE"

    @property
    def doses_nifti(self) -> Path:
        """The doses as volumes, each on its own grid."""
        return self.root / "RTDOSEnifti"

    @property
    def doses_on_images(self) -> Path:
        """The doses on the grid of the images, where the cohort wants them."""
        return self.root / f"RTDOSEnifti_on_{self.modality}"

    @property
    def dosimetry(self) -> Path:
        """What the doses do to the regions."""
        return self.root / "dosimetrydata"

    @property
    def pictures(self) -> Path:
        """What people look at."""
        return self.root / "pictures"

    @property
    def built(self) -> Path:
        """What was built, and from what (``built.Built``)."""
        return self.root / "built.json"
