"""The image at 12 x 12 pixels without one region that is the same for all images: no lungs, and no outline of any."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pneumobench.errors import DataError
from pneumobench.lungs.region_names import FIXED_SHARE
from pneumobench.training.controls import Seen, register_control
from pneumobench.training.controls.thumbnail import masked_thumbnails


@register_control(
    "fixed_region_removed",
    words=f"12 x 12 pixels without one region, the same for all images, that holds {100 * FIXED_SHARE:g} % of all lung "
    "pixels of the training part",
    of_fold=True,
)
def fixed_region_removed(seen: Seen) -> NDArray[np.float64]:
    """Return the gray levels of the thumbnails (N, 144).

    Raises:
        DataError: no training image has a lung mask.
    """
    from pneumobench.lungs.masked_regions import without_lungs  # here: its words are asked for without PyTorch
    from pneumobench.lungs.outlines import fixed_region

    region = fixed_region(seen.masks, seen.train)
    if region is None:
        raise DataError(
            f"{seen.index.root}: no training image has a lung mask, which the control fixed_region_removed needs; take "
            "it out of controls.names."
        )
    return masked_thumbnails(
        seen.radiographs, without_lungs, lambda rows: np.broadcast_to(region, (len(rows), *region.shape))
    )
