"""What NAS-Bench-201 and NATS-Bench call their data sets and splits."""

from collections.abc import Mapping

DATASETS = ("cifar10-valid", "cifar10", "cifar100", "ImageNet16-120")
"""The published keys: `cifar10-valid` is trained on half of the training images, `cifar10` on all of them."""

SPLITS = ("train", "x-valid", "x-test", "ori-test")
"""The published splits: of `cifar10-valid`, x-valid is the other half of the training images and ori-test the test set;
of `cifar10`, ori-test is the test set; of the others, x-valid and x-test are the halves of ori-test."""

PAIRS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "cifar10-valid": {"validation": ("cifar10-valid", "x-valid"), "test": ("cifar10-valid", "ori-test")},
    "cifar10": {"validation": ("cifar10-valid", "x-valid"), "test": ("cifar10", "ori-test")},
    "cifar100": {"validation": ("cifar100", "x-valid"), "test": ("cifar100", "x-test")},
    "ImageNet16-120": {"validation": ("ImageNet16-120", "x-valid"), "test": ("ImageNet16-120", "x-test")},
}
"""What `validation` and `test` of a data set stand for: for `cifar10` they belong to two different trainings."""
