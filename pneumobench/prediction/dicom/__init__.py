"""Answers as DICOM objects beside the image in its study, and a node that receives images and sends them on.

Importing it needs no package of the extra `pacs`; what needs one asks for it by `extra.required`.
"""
