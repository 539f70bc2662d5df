"""Makes the file of real images for `accelerator.py`: at most 40 MB, read without tensorflow-datasets.

    python tests/benchmarks/accelerator_images.py --data-dir ../shared/data/tfds -o images.npz
    python tests/benchmarks/accelerator_images.py --dataset imagenes.npz -o images.npz --images 5000

Takes a data set that `jnas.training.load_dataset` reads, with images of 32x32 pixels in three channels, and keeps as
many of the training images as are asked for, each class in its share, with an eighth of them for evaluation.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from jnas import training
from jnas.io._atomic import check_writable, replacing

MOST_BYTES = 40_000_000
EVALUATED = 8  # one image of so many


def main(words: list[str] | None = None) -> None:
    """Writes the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="cifar10", help="what load_dataset reads (default cifar10)")
    parser.add_argument("--data-dir", help="where it is; as for load_dataset")
    parser.add_argument("--images", type=int, default=12_800, help="how many to keep (default 12,800: 39 MB)")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.npz")
    options = parser.parse_args(words)
    if options.images < EVALUATED or options.images * 32 * 32 * 3 > MOST_BYTES:
        parser.error(f"--images is {options.images}, expected {EVALUATED} to {MOST_BYTES // 3072:,}: at most 40 MB")
    check_writable(options.output)
    dataset = training.load_dataset(options.dataset, data_dir=options.data_dir)
    if dataset.image_shape != (32, 32, 3):
        parser.error(f"{options.dataset} has images of {dataset.image_shape}, expected (32, 32, 3)")
    small = training.subset(dataset, "train", min(options.images, len(dataset.rows("train"))))
    rows = np.random.default_rng(0).permutation(np.asarray(small.rows("train")))
    images, labels = np.asarray(small.images)[rows], np.asarray(small.labels)[rows]
    held = len(rows) // EVALUATED
    arrays = {"test_images": images[:held], "test_labels": labels[:held]}
    with replacing(options.output) as file:
        np.savez_compressed(file, train_images=images[held:], train_labels=labels[held:], **arrays)
    size = options.output.stat().st_size
    print(f"{options.output}: {len(rows) - held:,} and {held:,} images of {dataset.name}, {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
