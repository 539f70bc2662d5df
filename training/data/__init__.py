"""Data sets as arrays on the device, their sources, their augmentation."""
