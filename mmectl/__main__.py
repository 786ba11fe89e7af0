"""The entry point: prints the first help and completes lines itself, else starts `cli`."""

import os
import sys


def main() -> None:
    """Run the command line of this process and leave with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # what its encoding lacks is escaped
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    if os.environ.get("_MMECTL_COMPLETE") in ("bash", "zsh", "fish"):
        from mmectl.completion.answer import main as complete

        complete(os.environ["_MMECTL_COMPLETE"], sys.argv[1:])
        return
    if sys.argv[1:] in (["--help"], ["-h"]) and sys.stdout is not None:
        from mmectl.console.menu import columns, text

        try:
            print(text(columns()), flush=True)  # noqa: T201
        except OSError:
            pass  # `cli` meets the same and says it
        else:
            return
    try:
        from mmectl.cli import main as run
    except KeyboardInterrupt:
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
