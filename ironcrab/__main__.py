"""`python -m ironcrab`: the command line without its script."""

from ironcrab.app.cli import main

main()
