"""Files that ask for more than reading data, and damaged ones; run as a script it reads them under an audit hook.

`build(folder)` writes them and gives their names; `read(path)` opens one as a user would.
"""

import json
import sys
from pathlib import Path

from hostile_folders import folders
from hostile_pickles import pickles
from hostile_quantized import folders as quantized_folders
from hostile_torch import torch_files

from pynanochat import checkpoint
from pynanochat.checkpoint import torch_file
from pynanochat.errors import NanochatError
from pynanochat.tokenizer import Tokenizer


def build(root: Path) -> list[str]:
    """Write all hostile files under `root`; their paths in it."""
    names = []
    for place, files, ending in (("pickles", pickles(), ".pkl"), ("torch", torch_files(), ".pt")):
        (root / place).mkdir(parents=True)
        for name, data in files:
            (root / place / f"{name}{ending}").write_bytes(data)
            names.append(f"{place}/{name}{ending}")
    (root / "folders").mkdir()
    (root / "quantized").mkdir()
    names += [f"folders/{folder.name}" for folder in folders(root / "folders")]
    return names + [f"quantized/{folder.name}" for folder, said in quantized_folders(root / "quantized") if said]


def read(path: Path):
    """Open a file as its user would."""
    if path.suffix in (".pkl", ".json"):
        return Tokenizer.load(path)
    if path.suffix == ".pt":
        return torch_file.read(path)
    return checkpoint.open(path)


FORBIDDEN = (  # beginnings of audit events
    "os.system", "os.exec", "os.spawn", "os.posix_spawn", "os.fork", "os.kill", "os.remove", "os.rename", "os.mkdir",
    "os.rmdir", "os.symlink", "os.link", "os.chmod", "os.truncate", "subprocess.", "pty.", "exec", "compile",
    "import", "socket.", "ctypes.", "shutil.", "urllib.", "http.", "ftplib.", "smtplib.", "webbrowser.", "marshal.",
    "code.", "pickle.", "function.", "sys.", "object.__getattr__",
)


def main(root: Path) -> None:
    """Read every file with an audit hook set; prints one JSON line: verdicts by name, and forbidden events."""
    events, armed = [], []

    def hook(event, args):
        if not armed:
            return
        writes = event == "open" and (set(str(args[1])) & set("wax+") or (args[1] is None and args[2] & 3))
        if writes or event.startswith(FORBIDDEN):
            events.append([armed[0], event, str(args)[:200]])

    names = json.loads((root / "names.json").read_text())
    sys.addaudithook(hook)
    verdicts = {}
    for name in names[:1] + names:  # the first one twice: what is imported late is imported then
        armed[:] = [name] if verdicts else []
        try:
            read(root / name)
            verdict, text = "accepted", ""
        except NanochatError as error:
            verdict, text = type(error).__name__, str(error)
        except BaseException as error:
            verdict, text = f"CRASH {type(error).__name__}", str(error)
        verdicts[name] = [verdict, text]
    armed.clear()
    print(json.dumps({"verdicts": verdicts, "events": events, "assertions": __debug__}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
