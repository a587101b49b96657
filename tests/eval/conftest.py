"""What the tests of evaluation share: a trained model, and a small random one whose tokens are bytes."""

import io
import json
import lzma
import tarfile

import pytest
from fixture_files import STORY5M

import pynanochat as nc
from pynanochat import checkpoint
from pynanochat.config import GPTConfig
from pynanochat.initialize import random_tensors
from pynanochat.tokenizer import SPECIAL_TOKENS, Tokenizer

CONFIG = GPTConfig(sequence_len=96, vocab_size=265, n_layer=2, n_head=2, n_kv_head=1, n_embd=32)


@pytest.fixture(scope="session")
def story():
    return nc.load(STORY5M, backend="cpu")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    words = Tokenizer({bytes([i]): i for i in range(256)}, {name: 256 + i for i, name in enumerate(SPECIAL_TOKENS)})
    folder = tmp_path_factory.mktemp("models") / "tiny"
    return nc.load(checkpoint.save(folder, config=CONFIG, tensors=random_tensors(CONFIG, 1), tokenizer=words),
                   backend="cpu", context=96)


@pytest.fixture
def packed(tmp_path):
    """Writes a tar.xz from names and contents: text, bytes, or a list of objects as JSON lines."""

    def write(name, files):
        place = tmp_path / name
        with lzma.open(place, "wb") as file, tarfile.open(fileobj=file, mode="w|") as archive:
            for path, content in files.items():
                data = as_bytes(content)
                member = tarfile.TarInfo(path)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
        return place

    return write


def as_bytes(content):
    if isinstance(content, list):
        content = "".join(json.dumps(item) + "\n" for item in content)
    return content if isinstance(content, bytes) else content.encode()
