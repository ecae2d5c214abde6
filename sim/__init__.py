"""Part of allo_rtl; import it as ``allo_rtl.sim``."""

if __name__ != "allo_rtl.sim":
    raise ImportError(
        f"this folder is the package 'allo_rtl.sim', imported here as {__name__!r}; "
        "write 'import allo_rtl.sim'"
    )
