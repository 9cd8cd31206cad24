"""The client's side of the API, generated from the published protos when a check starts."""

import atexit
import importlib
import shutil
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import grpc_tools
from grpc_tools import protoc

from checks.report import Failed

PROTO = Path(__file__).resolve().parents[3] / "proto"


def load():
    """Every message, enum, enum value and stub of `rekindle.v1`, by its name."""
    out = Path(tempfile.mkdtemp(prefix="rekindle-protos-"))
    atexit.register(shutil.rmtree, out, ignore_errors=True)
    files = sorted(path.relative_to(PROTO).as_posix() for path in PROTO.glob("rekindle/v1/*.proto"))
    well_known = Path(grpc_tools.__file__).parent / "_proto"
    arguments = ["protoc", f"-I{PROTO}", f"-I{well_known}", f"--python_out={out}", f"--grpc_python_out={out}", *files]
    if protoc.main(arguments) != 0:
        raise Failed("the published protos do not compile")
    sys.path.insert(0, str(out))
    api = SimpleNamespace()
    for file in files:
        module = file.removesuffix(".proto").replace("/", ".")
        for kind in ("_pb2", "_pb2_grpc"):
            for name, value in vars(importlib.import_module(module + kind)).items():
                if not name.startswith("_"):
                    setattr(api, name, value)
    return api
