"""The subcommands, a module a subject."""
