"""``--memory-limit``, and sizes as people write them."""

from __future__ import annotations

import argparse
import re

_UNITS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}


def byte_size(text: str) -> int:
    """Bytes that ``500M``, ``1.5G``, ``2GiB`` or ``1000000`` stand for; units are powers of 1024.

    Raises:
        argparse.ArgumentTypeError: something else.

    Example:
        >>> byte_size("2G"), byte_size("1.5k"), byte_size("12")
        (2147483648, 1536, 12)
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", text.strip(), re.I | re.ASCII)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no size: write 500M, 1.5G or bytes")
    size = int(float(match[1]) * 1024 ** _UNITS[match[2].upper()])
    if size >= 1 << 63:
        raise argparse.ArgumentTypeError(f"{text!r} is more than any machine has")
    return size


def add_memory_limit(parser: argparse.ArgumentParser) -> None:
    """Adds the option to a command that counts."""
    parser.add_argument(
        "--memory-limit",
        type=byte_size,
        metavar="SIZE",
        help="memory that counting may take, such as 2G: what needs more is put aside in the "
        "folder for temporary files (TMPDIR); if the sums do not fit, the rarest pretokens are "
        "left out, with a message",
    )
