"""``demo``: a market report on synthetic data, and with --crash the proof that a crash loses and repeats nothing."""

from __future__ import annotations

import click

from holdfast.cli.common import Target, shared


@click.command()
@click.option("--crash", is_flag=True, help="Kill the run (kill -9) at a random point, resume it, and account for it.")
@click.option("--out", metavar="DIR", help="Where everything goes (default: a new temporary folder).")
@click.option("--seed", type=int, metavar="N", help="Choose the point of the crash as an earlier demo did.")
@shared
def demo(to: Target, crash: bool, out: str | None, seed: int | None) -> int:
    """Make a market report on synthetic data; with --crash, kill it in the middle and resume it.

    The database is a new one in the demo's folder unless --db names one.
    """
    import random
    import tempfile
    from pathlib import Path

    from holdfast.cli.crash import Demo
    from holdfast.cli.preflight import check_out

    to.require_local()
    if out:
        check_out(Path(out).expanduser())
    folder = Path(out).expanduser().absolute() if out else Path(tempfile.mkdtemp(prefix="holdfast-demo-"))
    seed = random.SystemRandom().randrange(1_000_000) if seed is None else seed
    playing = Demo(folder, to.path if to.db else folder / "holdfast.db", seed, json=to.json)
    return playing.crash() if crash else playing.report()
