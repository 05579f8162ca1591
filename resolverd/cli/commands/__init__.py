"""The subcommands, a module each; every module has its ``command``."""
