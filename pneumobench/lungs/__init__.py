"""Where the lungs are, and how images are prepared for a network: segmenter, masks, crops, masked regions."""
