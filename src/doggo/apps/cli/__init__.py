"""The `doggo` command: parse, call, reply. Each command's work is elsewhere."""

from __future__ import annotations

import atexit
import logging
import os
import signal
import sys
import threading
from io import TextIOWrapper
from typing import Annotated, Any, Never, cast

import typer
from typer.core import TyperGroup

from doggo import __version__
from doggo.apps.cli import (
    bot,
    buckets,
    data,
    datasets,
    imports,
    models,
    operate,
    predict,
    simulate,
    train,
)
from doggo.apps.cli.output import say
from doggo.core.errors import DoggoError, UsageError

_INTERRUPTED = 130
_MOMENT_S = 0.01


# Typer has click's errors in one place or another, depending on its version.
_WrongUsage = cast("type[Exception]", typer.BadParameter.__base__)


class _Edge(TyperGroup):
    """Translates our errors into one line and an exit code, for every command below it.

    0 done, 1 failed with one clear line, 2 wrong usage, 130 stopped by Ctrl-C.
    """

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().make_context(*args, **kwargs)
        except _WrongUsage as error:
            _refuse(error)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except DoggoError as error:
            say(f"doggo: {error}")
            raise typer.Exit(2 if isinstance(error, UsageError) else 1) from error
        except _WrongUsage as error:
            _refuse(error)
        except KeyboardInterrupt as stop:
            say("doggo: stopped; nothing is lost, the same command goes on from here")
            raise typer.Exit(_INTERRUPTED) from stop
        except BrokenPipeError as error:
            # The reader of our output went away (doggo ... | head): not our failure.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from error
        except OSError as error:
            from doggo.core.os_errors import explain_os_error

            say(f"doggo: {error.filename or 'the system'}: {explain_os_error(error)}")
            raise typer.Exit(1) from error
        except ModuleNotFoundError as error:
            if error.name is None or error.name.split(".")[0] == "doggo":
                raise
            extra = "fast" if error.name == "openvino" else "train"
            say(f"doggo: this needs {error.name!r}; install it: pip install 'doggo[{extra}]'")
            raise typer.Exit(1) from error


app = typer.Typer(
    cls=_Edge,
    name="doggo",
    help="Turns a folder of labelled dog photos into an API and a bot that name breeds.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for _commands in (data, train, predict, simulate, operate):
    _commands.add_to(app)
app.add_typer(models.app, name="models")
app.add_typer(datasets.app, name="data")
app.add_typer(bot.app, name="bot")
app.add_typer(buckets.app, name="buckets")
app.add_typer(imports.app, name="import")


def _refuse(error: Exception) -> Never:
    """Say in one line what is wrong with the words that were given; where there were none, help."""
    if type(error).__name__ == "NoArgsIsHelpError":
        raise error
    say(f"doggo: {_how_to_use(error)}")
    raise typer.Exit(2) from error


def _how_to_use(error: Any) -> str:
    """Return in one line what is wrong with the words that were given."""
    from doggo.settings import in_plain_words

    names: list[str] = []
    context = error.ctx
    while context is not None and context.parent is not None:
        names.insert(0, context.info_name)
        context = context.parent
    said = in_plain_words(error.format_message()).rstrip(".")
    return f"{said}; `{' '.join(['doggo', *names, '--help'])}` says more"


# They log every failed try with its traceback, or every form that is none; what is left of it
# comes as our one line, or as the answer.
_TALKATIVE = ("gcsfs", "s3fs", "fsspec", "aiobotocore", "asyncio", "python_multipart")


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log more to stderr.")] = False,
) -> None:
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO if verbose else logging.WARNING,
        format="%(levelname)s %(name)s %(message)s",
    )
    if not verbose:
        for name in _TALKATIVE:
            logging.getLogger(name).setLevel(logging.CRITICAL)
    if version:
        typer.echo(__version__)
        raise typer.Exit


def main() -> None:
    """Run the command line and end the process."""
    sys.unraisablehook = repeat_lost_interrupt
    if isinstance(sys.stdout, TextIOWrapper):  # a file's name may be bytes that are no text
        sys.stdout.reconfigure(errors="replace")
    try:
        app()
    except SystemExit as stop:
        # Python dies of SIGINT instead of exiting with 130 if the interrupt came up through C
        # code, such as a library being imported, although it was caught.
        if isinstance(stop.code, int) and ("torch" in sys.modules or stop.code == _INTERRUPTED):
            _leave(stop.code)
        raise


def repeat_lost_interrupt(unraisable: Any) -> None:
    """Have Ctrl-C count when it came while an object was being taken apart.

    For `sys.unraisablehook`: Python prints and forgets what is raised there, and the command goes
    on. From a thread and a moment later: raised in here it would be lost once more.
    """
    if unraisable.exc_type is not KeyboardInterrupt:
        sys.__unraisablehook__(unraisable)
        return
    main_thread = threading.main_thread().ident
    again = threading.Timer(_MOMENT_S, signal.pthread_kill, (main_thread, signal.SIGINT))
    again.daemon = True
    again.start()


def _leave(code: int) -> None:
    """End as the interpreter would, but for taking torch apart object by object.

    That takes three seconds, during which the result is on the screen and the prompt is not.
    Threads are joined, exit functions run and streams flushed: what `multiprocessing` does for
    its children.
    """
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
