"""One of the processes of a gateway of several, as its parent starts it: `python -m service.process.child PLACE…`.

All settings come from the environment, where the parent has put what its command line decided.
"""

from __future__ import annotations

import click

from service.process.place import Place
from service.process.run import run_one_of_several
from service.settings import GatewaySettings


@click.command()
@click.argument("place", nargs=-1, required=True)
def main(place: tuple[str, ...]) -> None:
    """Serve as one of several processes."""
    run_one_of_several(GatewaySettings(), Place.from_arguments(place))


if __name__ == "__main__":
    main()
