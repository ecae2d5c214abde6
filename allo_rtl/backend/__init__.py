"""What Allo's users find in ``allo.backend``: the CPU module, and which vendor tools are there."""
