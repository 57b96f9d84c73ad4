"""The commands: one file each, every one with ``main(argv) -> exit code``."""
