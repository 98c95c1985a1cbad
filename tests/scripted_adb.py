"""A stand-in for adb and one phone, which answers as adb's manual says; what is sent to the phone really runs, here.

`SCRIPTED_ADB` names a folder: `devices` is what `adb devices` lists, `phone/` is the phone's file system, `programs/`
are its programs, and `faults.json` says which command fails with which words: `{"push": "error: device offline"}`. A
number before the words lets so many of these commands pass.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(os.environ["SCRIPTED_ADB"])
PHONE = ROOT / "phone"
FOLDERS = ("/data/local/tmp", "/sys/devices/system/cpu", "/sys/class/thermal")


def there(path):
    return PHONE / path.lstrip("/")


def fail(words):
    sys.stderr.write(f"{words}\n")
    return 1


def fault_of(command):
    """Returns the words of a fault that is due; a count before them is taken down in the file."""
    path = ROOT / "faults.json"
    faults = json.loads(path.read_text()) if path.is_file() else {}
    words = faults.get(command, "")
    count, _, rest = words.partition(" ")
    if not count.isdigit():
        return words
    if int(count) == 0:
        return rest
    path.write_text(json.dumps({**faults, command: f"{int(count) - 1} {rest}"}))
    return ""


def shell(script):
    for folder in FOLDERS:
        script = script.replace(folder, str(there(folder)))
    environment = {**os.environ, "PATH": f"{ROOT / 'programs'}{os.pathsep}{os.environ['PATH']}"}
    # Of a device before Android 7 adb returns no exit code.
    subprocess.run(["sh", "-c", script], env=environment, stdin=subprocess.DEVNULL, check=False)
    return 0


def push(*paths):
    *sources, target = paths
    for source in sources:
        shutil.copyfile(source, there(target) / Path(source).name)
    sys.stdout.write(f"{len(sources)} files pushed, 0 skipped.\n")
    return 0


def pull(source, target):
    if not there(source).is_file():
        return fail(f"adb: error: failed to stat remote object '{source}': No such file or directory")
    shutil.copyfile(there(source), target)
    return 0


def main(words):
    with (ROOT / "log").open("a") as log:
        log.write(json.dumps(words) + "\n")
    if words == ["devices"]:
        sys.stdout.write(f"* daemon started successfully\nList of devices attached\n{(ROOT / 'devices').read_text()}\n")
        return 0
    assert words[0] == "-s", words
    command, *rest = words[2:]
    fault = fault_of(command)
    return fail(fault) if fault else {"shell": shell, "push": push, "pull": pull}[command](*rest)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
