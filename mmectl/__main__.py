"""The way in: the first help and the version need nothing but this, anything else is `cli`."""

import sys


def main() -> None:
    """Run the command line of this process and leave with its exit code."""
    if sys.argv[1:] in (["--help"], ["-h"]):
        from mmectl.menu import text

        print(text())  # noqa: T201
    else:
        from mmectl.cli import main as run

        run()


if __name__ == "__main__":
    main()
