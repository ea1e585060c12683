"""Parse every expression of rules and dashboard with a real parser of PromQL: `make deploy-check`."""

import sys

import promql_parser

from tests.deploy.artefacts import expressions


def main() -> int:
    """Say what cannot be parsed; return 1 when there is something."""
    wrong = 0
    count = 0
    for name, expression in expressions():
        count += 1
        try:
            promql_parser.parse(expression)
        except ValueError as error:
            wrong += 1
            sys.stdout.write(f"{name}: {error}\n")
    sys.stdout.write(f"{count} expressions of PromQL, {wrong} wrong\n")
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main())
