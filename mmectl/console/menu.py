"""The list of commands and the first help, without click."""

# command -> (module in mmectl.commands, what it does)
COMMANDS = {
    "build": ("build", "Build the image that serves the models."),
    "upload": ("upload", "Package models and upload their tarballs to S3."),
    "plan": ("deploy", "Show what deploy would do."),
    "deploy": ("deploy", "Create or update the endpoint and wait until it serves."),
    "models": ("models", "List, check, fetch, copy, promote and remove models."),
    "status": ("status", "Show the endpoint and its models."),
    "invoke": ("invoke", "Send requests to models and print the answers."),
    "warm": ("warm", "Load models before the traffic comes."),
    "bench": ("bench", "Measure the endpoint under load, and compare two runs."),
    "metrics": ("metrics", "Show the endpoint's metrics: counts, latencies, cache hits."),
    "logs": ("logs", "Show the output of the endpoint's containers."),
    "destroy": ("destroy", "Remove endpoint, configurations and models, and verify it."),
    "config": ("config", "Check and show the configuration."),
    "local": ("local", "The embedded platform: up, down, status, top, logs, env."),
    "completion": ("completion", "Print the shell completion script."),
}

_HEAD = """\
Usage: mmectl [OPTIONS] COMMAND [ARGS]...

  Serve many models from one SageMaker multi-model endpoint.

  With `platform: local` in config.yaml everything runs on this machine: no
  account, no Docker. With `platform: aws` the same commands run there.

Options:
  --version   Show the version and exit.
  -h, --help  Show this message and exit.

Commands:
"""
_TAIL = """
  Start with: mmectl build, mmectl upload --all, mmectl deploy. Every command
  takes --json, --config, --set and --help."""


def text() -> str:
    """What `mmectl --help` prints."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {what}" for name, (_, what) in COMMANDS.items()]
    return _HEAD + "\n".join(lines) + "\n" + _TAIL
