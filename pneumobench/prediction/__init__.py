"""What a finished run is used for: a bundle of its networks, and their answers about new images.

Nothing here trains, and only `networks`, `predictor` and what exports networks import PyTorch.
"""
