"""What the commands that boot guests have in common."""

from __future__ import annotations

import argparse
import asyncio
import pathlib
import re
import shlex
import typing

from kernel import arguments as arguments_of_guest
from kernel import accelerator, common, disk, guest, programs, store
from kernel.common import USAGE, Failed, Progress


class Booter:
    """Boots kernels with one program."""

    def __init__(self, asked: argparse.Namespace) -> None:
        self._asked = asked
        self.program, self._init = programs_of(asked)
        self._accelerator = asked.accel

    @property
    def is_ours(self) -> bool:
        """Whether it is filemap-uring that runs in the guests."""
        return not (is_conformance(self._asked) or getattr(self._asked, "program", None))

    @property
    def accelerator(self) -> str:
        """kvm or tcg; auto until it was chosen."""
        return self._accelerator

    def choose_accelerator(self, image: store.Image) -> str:
        """Decides it, if need be by booting an image; how guests are run, in a few words."""
        how = "as asked"
        if self._accelerator == "auto":
            self._accelerator, how = asyncio.run(accelerator.choose(image, self._init))
        return f"{accelerator.NAMES[self._accelerator]} ({how}), {guest.CPUS} CPUs"

    async def __call__(
        self,
        image: store.Image,
        filesystem: str,
        arguments: list[str],
        on_output: typing.Callable[[bytes], None] | None = None,
        attach_disk: bool = True,
    ) -> guest.Outcome:
        asked = self._asked
        setup = guest.Setup(
            image,
            filesystem,
            self.program,
            self._init,
            arguments,
            self._accelerator,
            timeout=asked.timeout,
            boot_timeout=asked.boot_timeout,
            memory=asked.memory,
            is_ours=self.is_ours,
            attach_disk=attach_disk,
            mkfs_options=asked.mkfs_options,
            mount_options=asked.mount_options,
            sysctl=asked.sysctl,
        )
        if is_conformance(asked):
            setup.temporary = arguments_of_guest.MOUNT_POINT
        return await guest.Guest(setup, on_output).run()


def is_conformance(asked: argparse.Namespace) -> bool:
    return getattr(asked, "conformance", False)


def programs_of(asked: argparse.Namespace) -> list[pathlib.Path]:
    """The program to run and the init."""
    if is_conformance(asked):
        return programs.build(programs.CONFORMANCE, programs.INIT)
    if getattr(asked, "program", None):
        return [programs.static_program(asked.program), *programs.build(programs.INIT)]
    return programs.build(programs.PROGRAM, programs.INIT)


def add_program(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--program", metavar="FILE", help="a static program to run instead, with ARGUMENTS alone"
    )
    which.add_argument(
        "--conformance",
        action="store_true",
        help="run the conformance suite of the engines instead; ARGUMENTS are GoogleTest's",
    )


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--mkfs-options",
        type=mkfs_options,
        default=[],
        metavar="WORDS",
        help="for making the disk, beside ours: '-b 1024 -O inline_data'; with one filesystem",
    )
    parser.add_argument(
        "--mount-options", default="", metavar="LIST", help="as mount -o has them: noatime,data=journal"
    )
    parser.add_argument(
        "--sysctl",
        action="append",
        type=setting,
        default=[],
        metavar="NAME=VALUE",
        help="set in the guest before the program starts: vm.dirty_bytes=262144; may be repeated",
    )
    parser.add_argument(
        "--accel",
        choices=["auto", "kvm", "tcg"],
        default="auto",
        help="auto tries KVM once and remembers whether it works",
    )
    parser.add_argument(
        "--timeout",
        type=common.seconds,
        metavar="TIME",
        help="for the program in a guest: 90s, 5m, 2h (10m; emulated 30m)",
    )
    parser.add_argument(
        "--boot-timeout",
        type=common.seconds,
        metavar="TIME",
        help="to give a silent boot up after (30s; emulated 2m)",
    )
    parser.add_argument(
        "--memory", type=int, default=guest.MEMORY, metavar="MIB", help="of a guest (%(default)s)"
    )
    parser.add_argument("--mirror", metavar="URL", help="of Debian, instead of the one that apt uses")


def mkfs_options(text: str) -> list[str]:
    return shlex.split(text)


def setting(text: str) -> str:
    if not re.fullmatch(r"[\w./-]+=[^\0]+", text) or ".." in text.partition("=")[0]:
        raise ValueError(f"'{text}': NAME=VALUE is expected, such as vm.dirty_bytes=262144")
    return text


def guest_options(asked: argparse.Namespace) -> list[typing.Any]:
    """What makes a guest another one: for telling an earlier result of the same question."""
    return [asked.memory, asked.mkfs_options, asked.mount_options, asked.sysctl]


def check_filesystems(asked: argparse.Namespace, names: list[str]) -> list[str]:
    for name in names:
        if name not in disk.FILESYSTEMS:
            raise Failed(f"--fs {name}: one of {', '.join(disk.FILESYSTEMS)} is expected", USAGE)
    for option, given in (("--mkfs-options", asked.mkfs_options), ("--mount-options", asked.mount_options)):
        if given and len(names) > 1:
            raise Failed(f"{option}: they belong to one filesystem; choose it with --fs", USAGE)
    if asked.mkfs_options and names == ["tmpfs"]:
        raise Failed("--mkfs-options: a tmpfs is not made; --mount-options has its settings", USAGE)
    return names


def add_kernel(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    parser.add_argument(
        "--kernel",
        required=default is None,
        default=default,
        metavar="IMAGE|VERSION",
        help="a boot image (bzImage, vmlinuz), or a kernel of tools/kernels: 6.12, 6.12.117, newest; "
        "it is fetched if it is not here" + (" (%(default)s)" if default else ""),
    )
    parser.add_argument(
        "--modules", metavar="DIR", help="the modules of an IMAGE, as make modules_install puts them"
    )


def kernel_of(asked: argparse.Namespace) -> store.Image:
    """The kernel of --kernel and --modules."""
    image = store.as_file(asked.kernel, asked.modules)
    if image is None and asked.modules:
        raise Failed("--modules belongs to an image file; a fetched kernel has its own", USAGE)
    return image or store.obtain([asked.kernel], asked.mirror, Progress())[-1]


def images_in(folder: pathlib.Path) -> list[store.Image]:
    """The user's own builds: the boot images in a folder, oldest version first, then by name.

    A folder NAME.modules beside an image NAME has its modules.
    """
    files = [path for path in folder.iterdir() if path.is_file()]
    images = []
    for path in files:
        modules = path.with_name(f"{path.name}.modules")
        try:
            image = store.as_file(str(path), str(modules) if modules.is_dir() else None)
        except Failed:
            continue  # another kind of file
        if image:
            images.append(image)
    return sorted(images, key=lambda image: (image.order, image.name))
