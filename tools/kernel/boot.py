"""What the commands that boot guests have in common."""

import asyncio

from kernel import accelerator, common, disk, guest, programs, store
from kernel.common import USAGE, Failed


class Booter:
    """Boots kernels with one program."""

    def __init__(self, asked):
        self._asked = asked
        if getattr(asked, "program", None):
            self.program = programs.static_program(asked.program)
            (self._init,) = programs.build(programs.INIT)
            self._is_ours = False
        else:
            self.program, self._init = programs.build(programs.PROGRAM, programs.INIT)
            self._is_ours = True
        self._accelerator = "tcg"

    def choose_accelerator(self, image):
        """Decides it, if need be by booting an image; how guests are run, in a few words."""
        if self._asked.accel == "auto":
            self._accelerator, how = asyncio.run(accelerator.choose(image, self._init))
        else:
            self._accelerator, how = self._asked.accel, "as asked"
        return f"{accelerator.NAMES[self._accelerator]} ({how}), {guest.CPUS} CPUs"

    async def __call__(self, image, filesystem, arguments, on_output=None, attach_disk=True):
        setup = guest.Setup(image, filesystem, self.program, self._init, arguments, self._accelerator)
        setup.timeout, setup.boot_timeout = self._asked.timeout, self._asked.boot_timeout
        setup.memory, setup.json, setup.attach_disk = self._asked.memory, self._is_ours, attach_disk
        return await guest.Guest(setup, on_output).run()


def add_program(parser):
    parser.add_argument(
        "--program", metavar="FILE", help="a static program to run instead, with ARGUMENTS alone"
    )


def add_options(parser):
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


def split(arguments):
    """What is before -- and what is behind it."""
    at = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:at], arguments[at + 1 :]


def check_filesystems(names):
    for name in names:
        if name not in disk.FILESYSTEMS:
            raise Failed(f"--fs {name}: one of {', '.join(disk.FILESYSTEMS)} is expected", USAGE)
    return names


def images_in(folder):
    """The user's own builds: the boot images in a folder, oldest version first, then by name.

    A folder NAME.modules beside an image NAME has its modules.
    """
    files = [path for path in folder.iterdir() if path.is_file()]
    images = []
    for path in files:
        modules = path.with_name(f"{path.name}.modules")
        try:
            images.append(store.as_file(str(path), str(modules) if modules.is_dir() else None))
        except Failed:
            continue  # another kind of file
    return sorted(images, key=lambda image: (image.order, image.name))
