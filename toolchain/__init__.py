"""What a machine needs before `pulumi up` can run: found, fetched or built, pinned, into `.venv/` and `.toolchain/`."""
