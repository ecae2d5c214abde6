"""Small helpers: numpy types of wide integers, writing files."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np


def get_np_struct_type(bits: int) -> np.dtype[np.void]:
    """The structured dtype of an integer of ``bits``: bytes f0 (least significant), f1 ...

    An array of it holds elements wider than 64 bits without Python ints; a signed element fills
    the last byte with its sign.
    """
    if bits < 1:
        raise ValueError(f"an integer has 1 bit or more, not {bits}")
    return np.dtype([(f"f{i}", np.uint8) for i in range(-(-bits // 8))])


def write_files(folder: Path, texts: Mapping[str, str]) -> list[Path]:
    """Write text files into a folder (made when missing); gives their paths.

    Each file appears whole or not at all; one whose text did not change keeps its time.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, text in texts.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            part = folder / f".{name}.part"
            part.write_text(text, encoding="utf-8")
            part.replace(path)
        paths.append(path)
    return paths


@contextmanager
def no_collection() -> Iterator[None]:
    """Let Python look for no garbage meanwhile.

    Where millions of objects are made and nearly all are kept, looking for others again and again
    takes a quarter of the time.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
