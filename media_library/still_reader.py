"""Makes a plain JPEG of a picture somebody sent: `python still_reader.py SOURCE TARGET`, in a process of its own.

Decoders parse hostile bytes: limits are set by `sandbox`, and what is kept is only what was drawn anew here, so
that nothing else in the file (places, scripts, second pictures) goes any further. No Django here.
"""

from __future__ import annotations

import sys
from typing import Final

FORMATS: Final = ("PNG", "JPEG", "WEBP")
LONGEST_SIDE: Final = 4096
KEPT_SIDE: Final = 1920
"""A larger picture is made smaller: this is what a programme of 1080 lines shows."""
UNREADABLE, TOO_LARGE = 1, 2
"""Exit codes."""


def convert(source: str, target: str) -> int:
    from PIL import Image, ImageOps, UnidentifiedImageError

    Image.MAX_IMAGE_PIXELS = LONGEST_SIDE * LONGEST_SIDE
    try:
        with Image.open(source, formats=FORMATS) as image:
            if max(image.size) > LONGEST_SIDE:
                return TOO_LARGE
            image.load()
            upright = ImageOps.exif_transpose(image).convert("RGBA")
    except Image.DecompressionBombError:
        return TOO_LARGE
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError):
        return UNREADABLE
    upright.thumbnail((KEPT_SIDE, KEPT_SIDE))
    drawn = Image.new("RGB", upright.size)
    drawn.paste(upright, mask=upright.getchannel("A"))
    drawn.save(target, "JPEG", quality=92)
    return 0


if __name__ == "__main__":
    sys.exit(convert(sys.argv[1], sys.argv[2]))
