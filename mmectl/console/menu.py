"""The list of commands and the first help, without click."""

import os

# command -> (module in mmectl.commands, what it does)
COMMANDS = {
    "init": ("init", "Begin a project: config.yaml, .gitignore, an example."),
    "doctor": ("doctor", "Check account, permissions, image and models."),
    "build": ("build", "Build the image that serves the models."),
    "upload": ("upload", "Package models and upload their tarballs to S3."),
    "plan": ("deploy", "Show what deploy would do."),
    "deploy": ("deploy", "Create or update the endpoint and wait until it serves."),
    "wait": ("deploy", "Wait for the end of a deployment, and tell its outcome."),
    "scale": ("scale", "Change the number of instances, in place."),
    "models": ("models", "List, check, fetch, copy, promote and remove models."),
    "status": ("status", "Show the endpoint and its models."),
    "invoke": ("invoke", "Send requests to models and print the answers."),
    "warm": ("warm", "Load models before the traffic comes."),
    "bench": ("bench", "Measure the endpoint under load, and compare two runs."),
    "metrics": ("metrics", "Show the endpoint's metrics: counts, latencies, cache hits."),
    "logs": ("logs", "Show the output of the endpoint's containers."),
    "console": ("console", "Show endpoint, models and traffic in the browser."),
    "destroy": ("destroy", "Remove endpoint, configurations and models, and verify it."),
    "export": ("export", "Print the endpoint for Terraform or CloudFormation."),
    "gc": ("gc", "Show and remove what is left over; name idle endpoints."),
    "adopt": ("adopt", "Take over a multi-model endpoint that exists."),
    "iam": ("iam", "Print IAM policies of least privilege for this configuration."),
    "config": ("config", "Check and show the configuration."),
    "local": ("local", "The embedded platform: up, down, status, top, logs, env."),
    "bug-report": ("bug_report", "Collect what a bug report needs, without secrets."),
    "explain": ("explain", "Tell what an error's code means, and how to fix it."),
    "completion": ("completion", "Print the shell completion script."),
}

_HEAD = """\
Usage: mmectl [OPTIONS] COMMAND [ARGS]...

  Serve many models from one SageMaker multi-model endpoint.

  With `platform: local` in config.yaml everything runs on this machine: no
  account, no Docker. With `platform: aws` the same commands run there.

Options:
  --version   Show what is installed and exit; also with --json.
  -h, --help  Show this message and exit.

Commands:
"""
_TAIL = """
  Start with: mmectl init, mmectl build, mmectl upload --all, mmectl deploy.
  Every command takes --json, --config, --set and --help."""


_WIDTH = 80  # of the texts above


def text(width: int = _WIDTH) -> str:
    """The first help, for a terminal of so many columns."""
    column = max(map(len, COMMANDS))
    lines = [f"  {name:{column}}  {what}" for name, (_, what) in COMMANDS.items()]
    whole = _HEAD + "\n".join(lines) + "\n" + _TAIL
    return whole if width >= _WIDTH else _narrow(whole, max(width, 40), " " * (column + 4))


def columns() -> int:
    """The width of the terminal that stdout is; 80 where it is none."""
    try:
        return os.get_terminal_size(1).columns or _WIDTH
    except OSError:
        return _WIDTH


def _narrow(whole: str, width: int, hanging: str) -> str:
    """Wrap paragraphs, and descriptions below their own column."""
    from textwrap import fill

    def block(lines: list[str]) -> str:
        if lines[0].startswith("  "):
            return fill(
                " ".join(map(str.strip, lines)), width, initial_indent="  ", subsequent_indent="  "
            )
        return "\n".join(fill(line, width, subsequent_indent=hanging) for line in lines)

    paragraphs = (part.split("\n") for part in whole.split("\n\n"))
    return "\n\n".join(block(lines) for lines in paragraphs)
