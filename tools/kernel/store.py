"""The kernels on this machine, below the cache folder: kernels/RELEASE/{vmlinuz,modules/,kernel.json}."""

from __future__ import annotations

import dataclasses
import difflib
import json
import os
import pathlib
import re
import shutil
import subprocess
import tarfile
import tempfile
import typing

from kernel.archive import Archive, Kernel
from kernel.common import (
    CANNOT_RUN,
    USAGE,
    Failed,
    Progress,
    cache,
    locked,
    read_json,
    replace,
    series,
    version_key,
)

# Of a package only the image and the modules that a guest may load: most others drive networks and hardware.
IMAGE = re.compile(r"\./(boot/vmlinuz-[^/]+|usr/lib/modules/[^/]+/vmlinuz)")
MODULES = re.compile(
    r"\./(?:usr/)?lib/modules/[^/]+/((?:modules\.builtin|kernel/(?:arch|crypto|lib|fs|block|"
    r"drivers/(?:virtio|block|char|nvme|ata|scsi|dax|nvdimm|md)))(?:/.*)?)"
)


@dataclasses.dataclass(frozen=True)
class Image:
    """A kernel that can be booted."""

    name: str  # uname -r, or the name of the user's file
    version: str  # of Linux, as far as it is known
    path: pathlib.Path
    modules: pathlib.Path | None

    @property
    def order(self) -> tuple:
        return version_key(self.version), version_key(self.name)

    @property
    def series(self) -> str:
        return series(self.version)


Known = typing.TypeVar("Known", bound=typing.Union[Kernel, Image])  # in the archive or here


def unpack(packages: list[pathlib.Path], folder: pathlib.Path) -> None:
    """Puts the image and the modules of downloaded packages into a folder."""
    for package in packages:
        process = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE)
        assert process.stdout is not None
        with process, tarfile.open(fileobj=process.stdout, mode="r|") as members:
            for entry in members:
                if IMAGE.fullmatch(entry.name):
                    write_member(members, entry, folder / "vmlinuz")
                elif match := MODULES.fullmatch(entry.name):
                    write_member(members, entry, folder / "modules" / match[1])
        if process.returncode != 0:
            raise Failed(f"{package.name}: dpkg-deb could not unpack it")
    if not (folder / "vmlinuz").exists():
        raise Failed(f"no kernel image in {', '.join(package.name for package in packages)}")


def write_member(members: tarfile.TarFile, entry: tarfile.TarInfo, path: pathlib.Path) -> None:
    if not entry.isfile():
        return
    if ".." in path.parts:
        raise Failed(f"{entry.name}: a path that leads out of the package")
    path.parent.mkdir(parents=True, exist_ok=True)
    source = members.extractfile(entry)
    assert source is not None  # as it is a file
    with source, open(path, "wb") as target:
        shutil.copyfileobj(source, target)


def image_in(folder: pathlib.Path, release: str, version: str) -> Image:
    modules = folder / "modules"
    return Image(release, version, folder / "vmlinuz", modules if modules.is_dir() else None)


def fetched() -> list[Image]:
    """The kernels that are here, oldest first."""
    images = []
    for folder in cache("kernels").iterdir():
        about = read_json(folder / "kernel.json", None)
        if about:
            images.append(image_in(folder, about["release"], about["version"]))
    return sorted(images, key=lambda image: image.order)


def fetch(kernel: Kernel, archive: Archive) -> tuple[Image, bool]:
    """Makes a kernel of the archive one that is here: (the image, whether it was downloaded)."""
    home = cache("kernels")
    folder = home / kernel.release
    about = {"release": kernel.release, "version": kernel.version, "packages": list(kernel.packages)}
    with locked(home / f".{kernel.release}.lock"):
        here = read_json(folder / "kernel.json", {})
        new = here.get("packages") != about["packages"]
        if new:
            downloads = cache("kernels", f".{kernel.release}.download")
            packages = archive.download(kernel, downloads)
            shutil.rmtree(folder, ignore_errors=True)
            with tempfile.TemporaryDirectory(dir=home, prefix=".unpacking.") as temporary:
                unpacked = pathlib.Path(temporary, "kernel")
                unpacked.mkdir()
                unpack(packages, unpacked)
                replace(unpacked / "kernel.json", json.dumps(about))
                unpacked.rename(folder)
            shutil.rmtree(downloads)
    return image_in(folder, kernel.release, kernel.version), new


# --- what the user calls it -----------------------------------------------------------------------


def matches(word: str, kernel: Known) -> bool:
    """Whether a word (5.10, 6.12.117, 5.10.0-46, a release) names a kernel or the series it is of."""
    return word in (kernel.name, kernel.name.replace("-cloud-amd64", ""), kernel.version, kernel.series)


def newest_of_series(kernels: typing.Sequence[Known]) -> list[Known]:
    newest = {kernel.series: kernel for kernel in kernels}  # the list is ordered
    return list(newest.values())


def choose(word: str, kernels: typing.Sequence[Known]) -> list[Known]:
    """The kernels of an ordered list that a word names: all, oldest, newest, a series, a version, a release."""
    if word == "all":
        return newest_of_series(kernels)
    if word in ("oldest", "newest") and kernels:
        # The oldest series that there is, at its newest release: that is what people run.
        return newest_of_series(kernels)[:1] if word == "oldest" else [kernels[-1]]
    return [kernel for kernel in kernels if matches(word, kernel)][-1:]


def nearest(word: str, kernels: typing.Sequence[Known]) -> str:
    """What to say about a word that names nothing."""
    known = [kernel.series for kernel in newest_of_series(kernels)]
    if not re.match(r"\d+\.\d+", word):
        close = difflib.get_close_matches(word, ["all", "oldest", "newest"], 1)
        return (
            f"; did you mean {close[0]}?"
            if close
            else f"; a version or all, oldest or newest is expected, of {', '.join(known)}"
        )
    same = [kernel.version for kernel in kernels if kernel.series == series(word)]
    key = version_key(word)
    others = same or known
    below = [version for version in others if version_key(version) < key]
    above = [version for version in others if version_key(version) > key]
    close = [*below[-1:], *above[:1]]
    verb = "is" if len(close) == 1 else "are"
    return f"; the nearest {verb} {' and '.join(close)}" if close else ""


def obtain(
    words: list[str],
    mirror: str | None = None,
    progress: Progress | None = None,
    on_missing: typing.Callable[[Kernel, Failed], None] | None = None,
) -> list[Image]:
    """The images that the words name, downloaded where they are not here.

    all, oldest and newest ask the archive; a version does only when it is not here. A kernel that is listed and
    cannot be downloaded is an error, or left to `on_missing`.
    """
    archive = Archive(mirror)
    listed: list[Kernel] | None = None
    images: list[Image] = []
    for word in words:
        image = as_file(word)
        if image:
            images.append(image)
            continue
        found = [] if word in ("all", "oldest", "newest") else choose(word, fetched())
        if not found:
            if listed is None:
                if progress:
                    progress.show("asking the archive which kernels there are")
                listed = archive.kernels()
            wanted = choose(word, listed)
            if not wanted:
                raise Failed(
                    f"no kernel {word} in the archive{nearest(word, listed)}"
                    " (tools/kernels list shows them all)",
                    CANNOT_RUN,
                )
            for kernel in wanted:
                if progress:
                    progress.show(f"fetching {kernel.release}, {kernel.size / 1e6:.0f} MB")
                try:
                    found.append(fetch(kernel, archive)[0])
                except Failed as error:
                    if on_missing is None:
                        raise
                    on_missing(kernel, error)
        images += found
    if progress:
        progress.clear()
    unique = {image.path: image for image in images}
    return list(unique.values())


def as_file(word: str, modules: str | None = None) -> Image | None:
    """The image that a word names as a path, if it does."""
    path = pathlib.Path(word)
    if not path.exists():
        if "/" in word:
            raise Failed(f"{word}: there is no such kernel image", CANNOT_RUN)
        return None
    if not path.is_file() or not os.access(path, os.R_OK):
        raise Failed(f"{word}: not a file that can be read", USAGE)
    if modules is not None and not pathlib.Path(modules).is_dir():
        raise Failed(f"--modules {modules}: there is no such folder", USAGE)
    return Image(
        path.name, linux_version(path) or "0", path.resolve(), pathlib.Path(modules) if modules else None
    )


def linux_version(path: pathlib.Path) -> str:
    """What an x86 boot image says of itself: the boot protocol's kernel_version, or None if it is none."""
    with open(path, "rb") as file:
        head = file.read(0x10000)
    if head[0x202:0x206] != b"HdrS":
        raise Failed(f"{path}: not a bootable x86 kernel (a bzImage or vmlinuz is expected)", CANNOT_RUN)
    start = 0x200 + int.from_bytes(head[0x20E:0x210], "little")
    return head[start : start + 200].split(b"\0")[0].split(b" ")[0].decode(errors="replace")
