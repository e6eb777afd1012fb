"""`callcenter prompts`: build and list the prompts."""

import sys
import time

import click

from callcenter.platform.core.languages import CALLER_LANGUAGES
from callcenter.platform.core.settings import read_settings
from callcenter.telephony.calls.prompts import Prompts
from callcenter.telephony.calls.prompts.texts import texts


@click.group(name="prompts")
def command() -> None:
    """The prompts for callers, in Kazakh and Russian."""


@command.command()
def build() -> None:
    """Build missing or changed prompts; human recordings replace synthetic ones."""
    # Here, not above: `list` needs none of the arithmetic.
    from callcenter.telephony.calls.prompts.build import build as build_prompts

    settings = read_settings()
    started = time.monotonic()
    with click.progressbar(length=1, label="prompts", file=sys.stderr) as bar:

        def progress(done: int, every: int) -> None:
            bar.length = every
            bar.update(done - bar.pos)

        built = build_prompts(settings, progress)
        progress(1, 1)
    click.echo(
        f"prompts: {built.made} of {built.files} made in {time.monotonic() - started:.1f} s, "
        f"{built.synthetic} are synthetic, in {settings.prompts}"
    )


@command.command(name="list")
@click.option("--synthetic", is_flag=True, help="Only those still spoken by a machine.")
def list_(synthetic: bool) -> None:
    """List every prompt: name, length, voice, status of its text, and its words."""
    prompts = Prompts.load(read_settings())
    machine = set(prompts.synthetic())
    for language in CALLER_LANGUAGES:
        for prompt, text in texts().items():
            name = f"{language}/{prompt}"
            if synthetic and name not in machine:
                continue
            voice = "synthetic" if name in machine else "human"
            length = f"{prompts.length(language, prompt):.1f} s"
            click.echo("\t".join([name, length, voice, text.status, text.words[language]]))
