"""What every test process has in common: no network, few threads."""

from __future__ import annotations

import os

# before timm and albumentations are imported: both look at the network otherwise
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"

import torch
from hypothesis import settings

# a busy machine is no defect, and a test that failed once fails again
settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")
torch.set_num_threads(min(2, torch.get_num_threads()))
