"""Bank maps as SVG: which access of a pipelined loop has which bank's port in which cycle.

Rows are the ports of banks, columns the cycles of the initiation interval: in each of them an
iteration may be at any of its cycles that leave this remainder.  An empty cell is a port that
could serve another access; a row without one keeps iterations apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from allo_rtl.hls.report import BankAccess, LoopReport
from allo_rtl.svg import CHAR, MARGIN, label, num, rect, with_title

MAX_ROWS = 40
MAX_COLUMNS = 32

_ROW, _HEAD = 20, 34
_COLOURS = {"read": "#3b82d6", "write": "#1f9e89"}

type _Port = tuple[str, int, str]


def draw_bank_map(loop: LoopReport, top: float) -> tuple[list[str], float, float]:
    """Elements of one loop's map whose upper edge is at ``top``, its width and its height.

    Nothing for a loop that is not pipelined or accesses no memory.
    """
    if loop.ii is None or not loop.accesses:
        return [], 0.0, 0.0
    ports = cells(loop)
    shown = list(ports.items())[:MAX_ROWS]
    columns = min(loop.ii, MAX_COLUMNS)
    labels = max(len(_name(port)) for port, _ in shown) * CHAR + 16
    cell = max([len(_cell(users)) for _, slots in shown for users in slots] + [6]) * CHAR + 8
    title = f"banks of loop {loop.name}, by cycle modulo {loop.ii}"
    if any(access.varies for access in loop.accesses):
        title += " (?: if this is the bank that is meant)"
    out = [label(MARGIN, top + 12, title, "dim")]
    for column in range(columns):
        x = MARGIN + labels + column * cell + cell / 2
        out.append(label(x, top + 29, str(column), "dim"))
    for row, (port, slots) in enumerate(shown):
        y = top + _HEAD + row * _ROW
        out.append(label(MARGIN, y + 14, _name(port), ""))
        out += _row(port, slots[:columns], MARGIN + labels, y, cell)
    height = _HEAD + len(shown) * _ROW
    hidden = len(ports) - len(shown)
    if hidden or loop.ii > columns:
        more = f"{hidden} more ports, {loop.ii - columns} more cycles are not shown"
        out.append(label(MARGIN, top + height + 14, more, "dim"))
        height += 18
    return out, max(labels + columns * cell, len(title) * CHAR), height


def cells(loop: LoopReport) -> dict[_Port, list[list[BankAccess]]]:
    """For each port of a bank the accesses in each cycle of the interval."""
    assert loop.ii is not None
    ports: dict[_Port, list[list[BankAccess]]] = {}
    for access in sorted(loop.accesses, key=lambda a: (a.array, a.kind, a.bank, a.cycle)):
        port = access.array, access.bank, access.kind
        slots = ports.setdefault(port, [[] for _ in range(loop.ii)])
        slots[access.cycle % loop.ii].append(access)
    return ports


def _name(port: _Port) -> str:
    array, bank, kind = port
    return f"{array}[{bank}] {kind}"


def _cell(users: Sequence[BankAccess]) -> str:
    """What a cell says: the line of its access, or how many share it."""
    if len(users) > 1:
        return f"{len(users)} in turn"
    if not users:
        return ""
    line = f"line {users[0].loc.line}" if users[0].loc else "one"
    return f"{line}?" if users[0].varies else line


def _row(
    port: _Port, slots: Sequence[Sequence[BankAccess]], left: float, y: float, cell: float
) -> Iterator[str]:
    for column, users in enumerate(slots):
        x = left + column * cell
        if not users:
            yield rect(x, y, cell - 2, _ROW - 3, "stripe")
            continue
        when = ", ".join(
            f"cycle {u.cycle}" + (f" at {u.loc.short}" if u.loc else "")
            + (", when its bank is meant" if u.varies else "")
            for u in users
        )
        box = (
            f'<rect x="{num(x)}" y="{num(y)}" width="{num(cell - 2)}" '
            f'height="{_ROW - 3}" rx="2" fill="{_COLOURS[port[2]]}">'
        )
        yield with_title(box, f"{_name(port)}: {when}", "</rect>")
        yield (
            f'<text x="{num(x + 5)}" y="{num(y + 12.5)}" style="fill:#fff;font-size:11px">'
            f"{_cell(users)}</text>"
        )
