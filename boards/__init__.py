"""Part of allo_rtl; import it as ``allo_rtl.boards``."""

if __name__ != "allo_rtl.boards":
    raise ImportError(
        f"this folder is the package 'allo_rtl.boards', imported here as {__name__!r}; "
        "write 'import allo_rtl.boards'"
    )
