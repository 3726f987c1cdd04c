"""One radiograph: file formats, DICOM, gray levels, geometry and augmentation."""
