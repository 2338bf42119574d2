"""`python -m scalekit` is the command line."""

from scalekit.cli.main import main

main()
