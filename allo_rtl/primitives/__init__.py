"""Transformations of whole kernels, under Allo's names."""
