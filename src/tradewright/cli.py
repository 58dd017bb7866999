"""The ``tradewright`` command: compose, check, run; the only place that prints errors and chooses exit codes.

Exit codes: 0 done, 1 a defect (with traceback), 2 an error that its message explains, 130 interrupted.
``TRADEWRIGHT_TRACEBACK=1`` shows the traceback of explained errors too. Nothing heavy is imported before the
configuration has passed the check, and not even Hydra for ``--help`` and ``--version``.
"""

import errno
import gc
import logging
import os
import sys
import traceback
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from tradewright import paths
from tradewright.config.arguments import expand
from tradewright.errors import ConfigError, TradewrightError

if TYPE_CHECKING:
    from tradewright.config.compose import Composer

TRACEBACK_VARIABLE = "TRADEWRIGHT_TRACEBACK"
GC_THRESHOLD = 1_000_000
"""Allocations between two collections. Start-up makes many objects that stay; with Python's 700, a fifth of a rule's
backtest goes into looking through them. A training returns to Python's own."""
NO_PLACE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENOTDIR)
"""Errors of the operating system that the user can mend: folders that cannot be written, full disks."""
OPTION_FOLDERS = ("--config-dir", "-cd")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Args:
        arguments: Words after the command's name; None: those of the process.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    gc.set_threshold(GC_THRESHOLD)
    try:
        _dispatch(words)
        sys.stdout.flush()
        return 0
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of a pipe has gone; Python would complain again when it flushes
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except TradewrightError as error:
        if os.environ.get(TRACEBACK_VARIABLE) == "1":
            traceback.print_exc()
        for line in str(error).splitlines():
            print(f"error: {line}", file=sys.stderr)
        return 2
    except OSError as error:
        if error.errno not in NO_PLACE:
            raise
        if os.environ.get(TRACEBACK_VARIABLE) == "1":
            traceback.print_exc()
        print(f"error: {error.filename or 'output'}: cannot be written ({error.strerror})", file=sys.stderr)
        return 2


def _dispatch(words: list[str]) -> None:
    if words[:1] == ["help"] or "--help" in words or "-h" in words:
        _help(words)
    elif "--version" in words:
        from importlib.metadata import version

        print(f"tradewright {version('tradewright')}")
    else:
        _command(words)


def _help(words: list[str]) -> None:
    from tradewright.config.help_page import print_help

    extra = [Path(after) for word, after in pairwise(words) if word in OPTION_FOLDERS]
    print_help([paths.shipped("conf"), *extra], [paths.shipped("experiments"), Path("experiments")])


def _command(words: list[str]) -> None:
    from hydra._internal.utils import get_args_parser

    from tradewright.config.compose import open_hydra

    parser = get_args_parser()
    parser.prog = "tradewright"
    flags = parser.parse_intermixed_args(words)
    if flags.config_name:
        raise ConfigError(
            "--config-name: the main configuration is always config.yaml; use --config-path for another folder"
        )
    conf = Path(flags.config_path) if flags.config_path else paths.shipped("conf")
    folders = [conf, *([Path(flags.config_dir)] if flags.config_dir else [])]
    overrides = expand(flags.overrides, folders)
    composer = open_hydra(conf=conf, extra=flags.config_dir)
    if not flags.shell_completion:
        for fault in composer.experiments.broken.values():
            print(f"warning: skipped {fault}", file=sys.stderr)
    texts = list(overrides.texts)
    if overrides.resume is not None:
        _resume(composer, flags, overrides.resume, texts)
    elif not _inspect(composer, parser, flags, texts):
        _run(composer, flags, texts, is_one=overrides.is_listed)


def _resume(composer: "Composer", flags: Namespace, directory: str, texts: list[str]) -> None:
    if flags.multirun:
        raise ConfigError("resume: continues one run; -m does not go with it")
    if flags.cfg or flags.info:
        raise ConfigError(
            f"resume: the run's configuration is in {Path(directory) / 'config.yaml'}; drop --cfg or --info"
        )
    from tradewright.resume import resume

    resume(composer, Path(directory), texts)


def _inspect(composer: "Composer", parser: ArgumentParser, flags: Namespace, texts: list[str]) -> bool:
    """Answer the flags that print something instead of running; return whether there was one."""
    from tradewright.config.compose import CONFIG_NAME
    from tradewright.config.explain import HYDRA_ERRORS

    hydra = composer.hydra
    try:
        if flags.hydra_help:
            hydra.hydra_help(config_name=CONFIG_NAME, args_parser=parser, args=flags)
        elif flags.cfg:
            hydra.show_cfg(
                config_name=CONFIG_NAME,
                overrides=texts,
                cfg_type=flags.cfg,
                package=flags.package,
                resolve=flags.resolve,
            )
        elif flags.info:
            logging.raiseExceptions = False  # Hydra logs this; a closed pipe is no reason for tracebacks
            hydra.show_info(flags.info, config_name=CONFIG_NAME, overrides=texts)
        elif flags.shell_completion:
            hydra.shell_completion(config_name=CONFIG_NAME, overrides=texts)
        else:
            return False
    except HYDRA_ERRORS as error:
        raise composer.explain(error, texts) from error
    return True


def _run(composer: "Composer", flags: Namespace, texts: list[str], *, is_one: bool) -> None:
    from hydra.types import RunMode

    from tradewright.config.compose import CONFIG_NAME
    from tradewright.jobs import run_one

    if flags.experimental_rerun:
        raise ConfigError("--experimental-rerun: use resume=<run directory> instead")
    if not flags.multirun:
        try:
            cfg = composer.compose(texts)
        except ConfigError:
            # An experiment may carry its own sweep; comma lists on the command line then belong to it.
            if composer.hydra.get_mode(CONFIG_NAME, texts) is not RunMode.MULTIRUN:
                raise
        else:
            if is_one or cfg.hydra.mode is not RunMode.MULTIRUN:
                run_one(composer, cfg)
                return
    from tradewright.sweeping import run_many

    run_many(composer, texts)
