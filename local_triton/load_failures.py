"""Reads from the server's log why it refused to load a model or to start, as one line instead of tables."""

import json
import re

# Each message of the server ends its line as a JSON string: E1123 14:58:41.525 77 model_lifecycle.cc:642] "failed …"
MESSAGE = re.compile(r'^[EWIF]\d{4} \S+ \d+ \S+\] (".*")$', re.MULTILINE)
NOT_LOADED = re.compile(r"failed to load '(?P<model>[^']+)' version \d+: (?P<reason>.+)", re.DOTALL)
UNREADABLE = re.compile(r"Poll failed for model directory '(?P<model>[^']+)': (?P<reason>.+)", re.DOTALL)
# protobuf says what is wrong in a config.pbtxt in a line of its own before that, with line and column.
TEXT_FORMAT = re.compile(r"Error parsing text-format inference\.ModelConfig: (.+)")
# "error: creating server: Internal - failed to load all models" is the last word of a server that gives up.
LAST_WORD = re.compile(r"^error: (.+)$", re.MULTILINE)


def load_failures(log: str) -> dict[str, str]:
    """Why each refused model was refused: its name and one line."""
    failures: dict[str, str] = {}
    syntax = ""
    for line in log.splitlines():
        if detail := TEXT_FORMAT.search(line):
            syntax = f" ({detail[1].rstrip('.')})"
        elif quoted := MESSAGE.match(line):
            message = _unquote(quoted[1])
            if found := NOT_LOADED.match(message):
                failures[found["model"]] = _one_line(found["reason"])
            elif found := UNREADABLE.match(message):
                failures[found["model"]] = _one_line(found["reason"]) + syntax
                syntax = ""
    return failures


def why_it_ended(log: str) -> str:
    """One line for a server that ended instead of getting ready."""
    failures = load_failures(log)
    if failures:
        return "; ".join(f"it refuses the model {model}: {reason}" for model, reason in failures.items())
    if last_words := LAST_WORD.findall(log):
        return str(last_words[-1])
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    return f"its log ends with {lines[-1]}" if lines else "its log is empty"


def _unquote(quoted: str) -> str:
    try:
        return str(json.loads(quoted))
    except ValueError:
        return quoted.strip('"')


def _one_line(reason: str) -> str:
    # What the Python backend appends to an exception's text is where it was raised.
    reason = reason.partition("\n\nAt:\n")[0]
    reason = re.sub(r"^(Internal|Invalid argument|Unavailable|Not found|Unsupported): ", "", reason)
    reason = re.sub(r"^(\w+(Exception|Error): |\[request id: \S+\] )", "", reason).partition(" NOTE: ")[0]
    # A warm-up says the same once for each request of its batch.
    sentences = dict.fromkeys(part.strip() for part in reason.split("; ") if part.strip())
    return re.sub(r"\s+", " ", "; ".join(sentences)).strip()
