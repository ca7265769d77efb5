"""`python -m ironcrab.app`: the command line without its script."""

from ironcrab.app.cli import main

main()
