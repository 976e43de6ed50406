"""A figure that is measured in pixels, and gives the same bytes for the same things drawn.

Drawn with matplotlib's objects alone, and with a font that comes with it: no state that others share, no time and no
name of a program in the file.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

DPI: Final = 100
_COMPRESSED: Final = 4  # a quarter faster than 6, and a tenth larger
BLACK, PAPER, LIGHT, FAINT = "#000000", "#0d1014", "#eef1f4", "#8d97a3"


class Canvas:
    """A figure measured in pixels from its left upper corner."""

    def __init__(self, width: float, height: float) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.transforms import Affine2D

        self.width, self.height = round(width), round(height)
        size = (self.width / DPI, self.height / DPI)
        self.figure: Any = Figure(figsize=size, dpi=DPI, facecolor=PAPER, edgecolor="none", linewidth=0)
        self._agg: Any = FigureCanvasAgg(self.figure)
        across = Affine2D().scale(1 / self.width, -1 / self.height).translate(0, 1)
        self._page = across + self.figure.transFigure  # from pixels

    def axes(self, where: Sequence[float], limits: Sequence[float]) -> Any:
        """Axes without anything of their own: left, top, width and height; and left, right, bottom and top."""
        left, top, width, height = where
        place = (left / self.width, 1 - (top + height) / self.height, width / self.width, height / self.height)
        found = self.figure.add_axes(place, zorder=1)
        found.set_axis_off()
        found.set_autoscale_on(False)
        found.set_xlim(limits[0], limits[1])
        found.set_ylim(limits[2], limits[3])
        return found

    def rectangle(self, where: Sequence[float], colour: str) -> None:
        """A filled one, below everything else."""
        from matplotlib.patches import Rectangle

        left, top, width, height = where
        found = Rectangle((left, top), width, height, facecolor=colour, edgecolor="none", zorder=0)
        found.set_transform(self._page)
        self.figure.add_artist(found)

    def line(self, places: Sequence[tuple[float, float]], colour: Any, width: float = 1.5, dark: bool = False) -> None:
        """A line on the page.

        Parameters
        ----------
        places
            Its points.
        colour, width
            How it is drawn.
        dark
            Whether it has a dark rim, which it needs on an image.
        """
        from matplotlib.lines import Line2D
        from matplotlib.patheffects import withStroke

        found = Line2D([x for x, _ in places], [y for _, y in places], color=colour, linewidth=points(width))
        found.set(solid_capstyle="butt", antialiased=True, linestyle="-", marker="", transform=self._page, zorder=2)
        if dark:
            found.set_path_effects([withStroke(linewidth=points(width + 2), foreground=BLACK)])
        self.figure.add_artist(found)

    def text(
        self,
        x: float,
        y: float,
        words: str,
        *,
        size: float,
        colour: str = LIGHT,
        weight: bool = False,
        align: str = "left",
        dark: bool = False,
    ) -> None:
        """A line of words; nothing in it is a formula.

        Parameters
        ----------
        x, y
            Where it begins, ends or has its middle, as ``align`` says, and the middle of its height.
        words
            Of any script; what the font does not have is drawn as ``?``.
        size, colour, weight, align
            How it is drawn; ``weight`` is bold.
        dark
            As for ``line``.
        """
        from matplotlib.font_manager import FontProperties
        from matplotlib.patheffects import withStroke

        font = FontProperties(fname=_font(weight), size=points(size))
        text = self.figure.text(
            x,
            y,
            _drawable(words, weight),
            fontproperties=font,
            color=colour,
            ha=align,
            va="center_baseline",
            parse_math=False,
            usetex=False,
            transform=self._page,
            zorder=2,
        )
        if dark:
            text.set_path_effects([withStroke(linewidth=points(3), foreground=BLACK)])

    def png(self) -> bytes:
        """The file."""
        file = io.BytesIO()
        self._agg.print_png(file, metadata={"Software": None}, pil_kwargs={"compress_level": _COMPRESSED})
        return file.getvalue()


# Fonts


def points(pixels: float) -> float:
    """A length in pixels as matplotlib counts it."""
    return pixels * 72 / DPI


@lru_cache(maxsize=2)
def _font(bold: bool) -> Path:
    import matplotlib

    return Path(matplotlib.get_data_path()) / "fonts" / "ttf" / ("DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf")


def _drawable(words: str, bold: bool) -> str:
    """What the font has letters for; ``?`` stands for the rest, and control characters are gone."""
    return "".join(letter if ord(letter) in _known(bold) else "?" for letter in words if letter.isprintable())


@lru_cache(maxsize=2)
def _known(bold: bool) -> frozenset[int]:
    from matplotlib.ft2font import FT2Font

    return frozenset(FT2Font(str(_font(bold))).get_charmap())
