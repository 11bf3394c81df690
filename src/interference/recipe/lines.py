"""Where in a recipe's text a message points to."""

import re


def line_of(text: str, message: str) -> int | None:
    """The number of the first line that holds a key or value that a message quotes; None where none does.

    YAML's own messages say their line themselves.
    """
    if found := re.search(r"line (\d+), column", message):
        return int(found[1])
    lines = text.splitlines()
    for quoted in re.findall(r"'([^']+)'", message.partition(": did you mean")[0]):
        for number, line in enumerate(lines, start=1):
            if re.search(rf"(?<![\w-]){re.escape(quoted)}(?![\w-])", line.partition("#")[0]):
                return number
    return None
