"""Many radiographs: layouts, index, patients, folds, audit, cards, download, pixel cache and batches."""
