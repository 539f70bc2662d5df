"""Whether a file is the one that was published: the names of the releases end in digits of the MD5 of their bytes."""

import hashlib
import re
from pathlib import Path

_NAMES = re.compile(r"(?:NAS-Bench-201-v\d_\d-([0-9a-f]{6})\.pth|NATS-[ts]ss-v\d_\d-([0-9a-f]{5})\.pickle\.pbz2)")
# The script that made the names of NATS-Bench takes the last digits of the MD5. NAS-Bench-201's author says "the last
# six digits for this file"; those who have v1_1-096897 report the MD5 55e847143ce1f7c2d89b676f6b096897.


def check_release(path: Path) -> bool:
    """Returns whether the bytes of a file are those that its name promises; False where it promises nothing.

    Raises:
      ValueError: The name is that of a release, and the bytes are others.
    """
    found = _NAMES.fullmatch(path.name)
    if found is None:
        return False
    digits = found[1] or found[2]
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.new("md5", usedforsecurity=False)).hexdigest()
    if digest.endswith(digits):
        return True
    raise ValueError(
        f"{path} is not the file that was published under this name, or it is damaged: the MD5 of its bytes is "
        f"{digest}, and should end in {digits}; get it again from its source, or give a file that was made anew "
        "another name"
    )


def note_without_checksum(path: Path) -> str:
    """Returns the note of a table from a file that has no checksum and is no release."""
    return (
        f"nothing vouches for the bytes of {path.name}: the older format of torch.save has no checksum, and its "
        "name is not that of a release, which would end in digits of its MD5"
    )
