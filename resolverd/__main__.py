"""``python -m resolverd`` is the ``resolverd`` command."""

from resolverd.cli import main

if __name__ == "__main__":
    main()
