"""Writes the .pt files of this folder: run `python3 make_golden.py` in it.

torch.save pickles with Python's own pickler, protocol 2, and hands storages out as persistent ids. This does the same with classes of
the same names, so that the opcodes are those of a real file, and packs the archive as torch does: stored, the data aligned to 64 bytes by
an extra field of each local header.
"""
import collections
import io
import pickle
import struct
import sys
import types
import zipfile

torch = types.ModuleType("torch")
utils = types.ModuleType("torch._utils")
torch._utils = utils
sys.modules["torch"] = torch
sys.modules["torch._utils"] = utils


def _rebuild_tensor_v2(*_):
    raise RuntimeError("never called")


_rebuild_tensor_v2.__module__ = "torch._utils"
_rebuild_tensor_v2.__qualname__ = "_rebuild_tensor_v2"
utils._rebuild_tensor_v2 = _rebuild_tensor_v2

codes = {"HalfStorage": "e", "FloatStorage": "f", "DoubleStorage": "d", "IntStorage": "i", "LongStorage": "q"}
for name in codes:
    setattr(torch, name, type(name, (), {"__module__": "torch"}))


class Storage:
    def __init__(self, kind, key, values):
        self.kind, self.key, self.values = kind, key, values


class Tensor:
    def __init__(self, storage, offset, size):
        self.storage, self.offset, self.size = storage, offset, size

    def __reduce_ex__(self, _protocol):
        arguments = (self.storage, self.offset, (self.size,), (1,), False, collections.OrderedDict())
        return _rebuild_tensor_v2, arguments


class Pickler(pickle.Pickler):
    def persistent_id(self, value):
        if not isinstance(value, Storage):
            return None
        return ("storage", getattr(torch, value.kind), value.key, "cpu", len(value.values))


def save(path, kind, values, offset=0, size=None):
    storage = Storage(kind, "0", values)
    buffer = io.BytesIO()
    Pickler(buffer, protocol=2).dump(Tensor(storage, offset, len(values) if size is None else size))
    folder = path.removesuffix(".pt")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in [
            ("data.pkl", buffer.getvalue()),
            ("byteorder", b"little"),
            ("data/0", struct.pack(f"<{len(values)}{codes[kind]}", *values)),
            ("version", b"3\n"),
        ]:
            info = zipfile.ZipInfo(f"{folder}/{name}", (1980, 1, 1, 0, 0, 0))
            header = archive.fp.tell() + 30 + len(info.filename)
            padding = -(header + 4) % 64
            info.extra = b"FB" + struct.pack("<H", padding) + b"Z" * padding
            archive.writestr(info, data)


save("int64.pt", "LongStorage", [0, 5, 123456789012, 7, 300])
save("int32.pt", "IntStorage", [3, 0, 70000])
save("float32.pt", "FloatStorage", [0.0, 1.5, 16777216.0])
save("float64.pt", "DoubleStorage", [0.25, 1e15])
save("float16.pt", "HalfStorage", [0.0, 2048.0, 0.5])
save("slice.pt", "LongStorage", list(range(300)), offset=257, size=4)
