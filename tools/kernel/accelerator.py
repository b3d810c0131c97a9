"""KVM or emulation (TCG): decided by trying, and remembered.

That /dev/kvm can be opened proves nothing: in some virtual machines `-cpu host` aborts, or a guest crawls for
minutes; and QEMU's accel=kvm:tcg does not fall back once KVM is open. So a guest that only reports its boot
is given as long as an emulated one would need. The verdict is kept for as long as this host boots this
kernel and this QEMU.
"""

from __future__ import annotations

import json
import os
import pathlib
import platform
import subprocess

from kernel import guest
from kernel.common import Failed, cache, read_json, replace
from kernel.store import Image

TRIAL = 20  # seconds for init to speak under KVM, where it works in one or two


def usable() -> bool:
    """Whether KVM is worth a trial."""
    return os.access("/dev/kvm", os.R_OK | os.W_OK)


def host() -> str:
    """What the verdict depends on."""
    try:
        version = subprocess.run(
            [guest.QEMU, "--version"], stdout=subprocess.PIPE, text=True, check=False
        ).stdout
    except OSError:
        version = ""
    return f"{platform.release()}, {version.partition(chr(10))[0]}"


async def boots(image: Image, init: pathlib.Path, accelerator: str) -> bool:
    """Whether a guest that only reports its boot does so in time."""
    setup = guest.Setup(
        image, "tmpfs", init, init, None, accelerator, boot_timeout=TRIAL if accelerator == "kvm" else None
    )
    try:
        return (await guest.Guest(setup).run()).what == "booted"
    except Failed:
        return False


async def choose(image: Image, init: pathlib.Path) -> tuple[str, str]:
    """(accelerator, how that was decided)."""
    if not usable():
        return "tcg", "no KVM here"
    memory = cache() / "accelerator.json"
    key = host()
    known = read_json(memory, {})
    if key in known:
        return known[key], "tried before"
    if await boots(image, init, "kvm"):
        verdict, remember = "kvm", True
    else:  # perhaps this kernel boots nowhere: then nothing was learned about KVM
        verdict, remember = "tcg", await boots(image, init, "tcg")
    if remember:
        replace(memory, json.dumps({**known, key: verdict}))
    return verdict, "tried now"


NAMES = {"kvm": "KVM", "tcg": "emulation (TCG)"}
