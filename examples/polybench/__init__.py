"""The thirteen PolyBench kernels of Allo's published designs, in float32.

:mod:`.kernels` has the kernels, :mod:`.sizes` their problem sizes, :mod:`.references` what they
compute in numpy, :mod:`.published` the schedules of the published designs, and :mod:`.lanes`
schedules that keep every multiplier busy.
"""
