"""Sessions from one kind of store to another; `python3 -m alforja.export --help`."""
