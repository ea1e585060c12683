"""Command lines, as documents, manifests and units name them, held against the commands that there are."""

import typer

from pv_stream.cli.main import COMMANDS, LazyCommands


def unknown_options(words: list[str]) -> set[str]:
    """Return the options of a command line that there are not; a command that there is not fails."""
    assert words[0] in COMMANDS, words[0]
    group = LazyCommands(name="pv-stream")
    command = group.get_command(typer.Context(group), words[0])
    rest = words[1:]
    while rest and hasattr(command, "commands") and not rest[0].startswith("-"):
        assert rest[0] in command.commands, words
        command, rest = command.commands[rest[0]], rest[1:]
    options = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    return {word.partition("=")[0] for word in rest if word.startswith("--")} - options
