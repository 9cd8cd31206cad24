"""A database of its own for each service under test."""

import itertools
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg

_numbers = itertools.count(1)


@contextmanager
def sqlite():
    """The URL of a SQLite file that does not exist yet."""
    folder = Path(tempfile.mkdtemp(prefix="rekindle-check-"))
    try:
        yield f"sqlite:{folder}/rekindle.db?mode=rwc"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def postgres(server):
    """The URL of a new, empty PostgreSQL database on the server that `server` points to."""
    name = f"rekindle_check_{os.getpid()}_{next(_numbers)}"
    administer(server, f'CREATE DATABASE "{name}"')
    try:
        yield urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
    finally:
        administer(server, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def administer(server, statement):
    """Runs one statement outside a transaction; its rows, if it has any."""
    with psycopg.connect(server, autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


@contextmanager
def of_kind(kind, server):
    """A database of `kind`: `sqlite` or `postgres`."""
    with sqlite() if kind == "sqlite" else postgres(server) as url:
        yield url
