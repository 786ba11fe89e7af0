"""The entry point: prints the first help and the version itself, else starts `cli`."""

import sys


def main() -> None:
    """Run the command line of this process and leave with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # what its encoding lacks is escaped
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
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
