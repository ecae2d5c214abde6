"""Part of allo_rtl; import it as ``allo_rtl.frontend``."""

if __name__ != "allo_rtl.frontend":
    raise ImportError(
        f"this folder is the package 'allo_rtl.frontend', imported here as {__name__!r}; "
        "write 'import allo_rtl.frontend'"
    )
