"""`python -m organza` is `organza`."""

from organza.cli import main

main()
