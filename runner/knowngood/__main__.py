"""`python -m knowngood`: the program, where its script is not on the path."""

from knowngood.cli.main import main

if __name__ == "__main__":
    main()
