"""What the text of an advice makes of a schedule."""

from allo_rtl.ir.types import Partition


def pasted(advice, s, clock, units=None):
    """The schedule with the text in it, and the options to build it with but for the device."""
    text, after = advice.edit, []
    if text.startswith("in place of "):
        old, _, text = text.removeprefix("in place of ").partition(": ")
        steps = s.history()
        left_out = [[f"s.{x}" for x in steps].index(name) for name in old.split(" and ")]
        after = [x for n, x in enumerate(steps) if n > left_out[0] and n not in left_out]
        while len(s.history()) > left_out[0]:
            s.undo()
    given = {"clock_mhz": clock, "units": units or {}}
    if text.startswith("s.build("):
        options = text.removeprefix('s.build(target="rtl", ').rstrip(")")
        given |= eval(f"dict({options})")
        del given["device"]
        return s, given
    exec(text, {"s": s, "Partition": Partition})
    for step in after:
        getattr(s, step.name)(*step.args, **step.kwargs)
    return s, given


def delivers(advice, make, device, clock, units=None):
    """Whether the schedule with the text is built as the advice says, and is faster."""
    before = make().build(target="rtl", device=device, clock_mhz=clock, units=units or {})
    s, options = pasted(advice, make(), clock, units)
    after = s.build(target="rtl", device=device, **options)
    rate = options["clock_mhz"]
    assert advice.latency == (before.predicted_cycles, after.predicted_cycles)
    assert advice.clock_mhz == (clock, rate)
    assert advice.interval[1] in [x.ii for x in after.report().loops]
    for name, (few, more) in advice.units.items():
        counts = [sum(f.units[name] for f in x.design.functions) for x in (before, after)]
        assert counts == [few, more]
    return after.predicted_cycles / rate < before.predicted_cycles / clock
