"""Which kernels the distribution's archive has, and downloading them, through apt.

apt runs with a configuration of its own: sources, lists and packages are below the user's cache folder, and
the system's are neither changed nor used, except to learn the mirror from them. So it verifies what apt
verifies (signatures of the indexes, checksums of the packages), resumes, and needs no root.

A kernel is in one package, linux-image-R, in older releases; from 6.19 the image is in linux-binary-R and the
modules are in linux-modules-R. R is what uname -r says. Only the cloud flavour is looked at:
it has NVMe and ext4 built in, and is small.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import re
import shutil
import subprocess
import time
import typing

from kernel.common import USAGE, Failed, cache, locked, read_json, replace, series, version_key

SUITES = ["bullseye", "bookworm", "trixie", "bookworm-backports", "trixie-backports", "sid"]
SECURITY = ["bullseye-security", "bookworm-security", "trixie-security"]
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
FRESH = 24 * 3600  # seconds; indexes that are older are fetched again

PACKAGE = re.compile(r"linux-(?P<kind>image|binary|modules|base)-(?P<release>\d\S*-cloud-amd64)")
STANZA = re.compile(rf"^Package: {PACKAGE.pattern}\n(?:.+\n)*", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Kernel:
    """A kernel in the archive."""

    release: str  # of uname -r: 5.10.0-46-cloud-amd64
    version: str  # of Linux: 5.10.262
    suite: str  # where it was found first
    size: int  # bytes to download
    packages: tuple[str, ...]  # "name=version", as apt-get takes them

    @property
    def name(self) -> str:
        return self.release

    @property
    def has_modules(self) -> bool:
        """Whether its modules are there. Of older backports from 6.19 on they are not: ext4 and tmpfs work."""
        names = {match["kind"] for package in self.packages if (match := PACKAGE.match(package))}
        return "modules" in names or "binary" not in names

    @property
    def series(self) -> str:
        return series(self.version)

    @property
    def order(self) -> tuple:
        return version_key(self.version), version_key(self.release)


def parse_index(text: str) -> typing.Iterator[tuple[str, str, int]]:
    """The (name, version, size) of the packages of cloud kernels in an index ("Packages" file)."""
    for stanza in STANZA.finditer(text):
        fields = dict(
            line.split(": ", 1) for line in stanza.group().splitlines() if re.match(r"[A-Z][\w-]*: ", line)
        )
        yield fields["Package"], fields["Version"], int(fields["Size"])


def kernels_in(indexes: dict[str, str]) -> list[Kernel]:
    """The kernels of {suite: text of the index}, oldest first, each release once: the newest version of it."""
    found: dict[str, dict[str, tuple]] = {}  # release → kind → (version key, name, version, size, suite)
    for suite, text in indexes.items():
        for name, version, size in parse_index(text):
            match = PACKAGE.fullmatch(name)
            assert match is not None  # parse_index looked for it
            kinds = found.setdefault(match["release"], {})
            candidate = (version_key(version), name, version, size, suite)
            kind = match["kind"]
            if kind not in kinds or candidate[0] > kinds[kind][0]:
                kinds[kind] = candidate
    kernels = []
    for release, kinds in found.items():
        if "image" not in kinds or "base" in kinds and "binary" not in kinds:
            continue  # its image is not in this index
        _, _, version, _, suite = kinds["image"]
        parts = [part for part in kinds.values() if part[2] == version]
        kernels.append(
            Kernel(
                release,
                re.sub(r"^([\d.]+(~rc\d+)?).*", r"\1", version),
                suite,
                sum(part[3] for part in parts),
                tuple(sorted(f"{part[1]}={version}" for part in parts)),
            )
        )
    return sorted(kernels, key=lambda kernel: kernel.order)


# --- apt ------------------------------------------------------------------------------------------


def run(command: list[str], **options: typing.Any) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            **options,
        )
    except FileNotFoundError:
        raise Failed(
            f"{command[0]} is missing: kernels are downloaded with apt, on Debian; elsewhere give"
            " --kernel an image file"
        ) from None


def system_mirrors(listing: str) -> tuple[str | None, str | None]:
    """(mirror, security mirror) of `apt-get indextargets` lines "RELEASE URI"; None for one that is not there."""
    main = security = None
    for line in listing.splitlines():
        release, _, uri = line.partition(" ")
        if release.endswith("-security") and "security" in uri:
            security = security or uri
        elif re.match(
            r"(bullseye|bookworm|trixie|forky|sid|oldoldstable|oldstable|stable|testing|unstable)\b", release
        ) and uri.rstrip("/").endswith("debian"):
            main = main or uri
    return main, security


def mirrors(mirror: str | None) -> tuple[str, str]:
    """The two mirrors to use: those of the system's apt, or the one that the user named."""
    main: str | None
    security: str | None
    if mirror is not None:
        main, security = mirror, None
    else:
        listed = run(
            ["apt-get", "indextargets", "--format", "$(RELEASE) $(REPO_URI)", "Created-By: Packages"]
        )
        main, security = system_mirrors(listed.stdout)
    if not main:
        raise Failed("this system's apt has no Debian mirror to learn from; name one with --mirror URL")
    return main, security or main.rstrip("/") + "-security/"


def sources(main: str, security: str) -> str:
    key = f"Signed-By: {KEYRING}\n" if os.path.exists(KEYRING) else ""
    return "\n".join(
        f"Types: deb\nURIs: {uri}\nSuites: {' '.join(suites)}\nComponents: main\n{key}"
        for uri, suites in ((main, SUITES), (security, SECURITY))
    )


def check_mirror(mirror: str) -> None:
    """It becomes a line of apt's sources, where a line end would begin another setting ("Trusted: yes")."""
    if not re.fullmatch(r"[a-z][a-z0-9+.-]*:[!-~]+", mirror):
        raise Failed(
            f"--mirror {ascii(mirror)}: a URL is expected, without spaces and control characters", USAGE
        )


class Archive:
    """The archive as the private apt sees it."""

    def __init__(self, mirror: str | None = None) -> None:
        if mirror is not None:
            check_mirror(mirror)
        self._mirror = mirror
        self._folder = cache("apt")

    def _apt(self, *arguments: str, cwd: pathlib.Path | None = None) -> subprocess.CompletedProcess[str]:
        for name in ("lists/partial", "cache/archives/partial", "empty"):
            (self._folder / name).mkdir(parents=True, exist_ok=True)
        settings: dict[str, object] = {
            "Dir::Etc::sourcelist": self._folder / "debian.sources",
            "Dir::Etc::sourceparts": self._folder / "empty",
            "Dir::Etc::preferencesparts": self._folder / "empty",
            "Dir::State::lists": self._folder / "lists",
            "Dir::Cache": self._folder / "cache",
            "APT::Architecture": "amd64",
            "APT::Sandbox::User": "",  # another user could not read the cache folder
            "Acquire::Languages": "none",
            "Acquire::Retries": "3",
            "APT::Update::Post-Invoke": "",
            "APT::Update::Post-Invoke-Success": "",
        }
        options = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
        return run(["apt-get", "--quiet", *options, *arguments], cwd=cwd)

    def kernels(self, refresh: bool = False) -> list[Kernel]:
        """All kernels, oldest first. The indexes are fetched when asked for, absent or a day old."""
        index = self._folder / "kernels.json"
        with locked(self._folder / "lock"):
            known = read_json(index, {})
            wanted = sources(*mirrors(self._mirror))
            fresh = index.exists() and time.time() - index.stat().st_mtime < FRESH
            if refresh or not fresh or known.get("sources") != wanted:
                known = {
                    "sources": wanted,
                    "kernels": [dataclasses.asdict(kernel) for kernel in self._fetch(wanted)],
                }
                replace(index, json.dumps(known))
        kernels = [Kernel(**kernel) for kernel in known["kernels"]]
        return [dataclasses.replace(kernel, packages=tuple(kernel.packages)) for kernel in kernels]

    def _fetch(self, wanted: str) -> list[Kernel]:
        """The kernels in the indexes, fetched anew. Some suites may be gone from the mirror; not all of them."""
        replace(self._folder / "debian.sources", wanted)
        done = self._apt("update")
        indexes = {}
        for suite, path in self._targets():
            text = subprocess.run(
                ["/usr/lib/apt/apt-helper", "cat-file", path], stdout=subprocess.PIPE, check=False
            )
            indexes[suite] = text.stdout.decode(errors="replace")
        kernels = kernels_in(indexes)
        if not kernels:
            raise Failed(f"no index with kernels could be fetched: {last_error(done.stdout)}")
        return kernels

    def _targets(self) -> list[tuple[str, str]]:
        """[(suite, file)] of the indexes that are here."""
        listed = self._apt(
            "indextargets", "--format", "$(RELEASE) $(FILENAME)", "Created-By: Packages"
        ).stdout
        pairs = [line.partition(" ") for line in listed.splitlines() if " /" in line]
        return [(suite, path) for suite, _, path in pairs if os.path.exists(path)]

    def download(self, kernel: Kernel, folder: pathlib.Path) -> list[pathlib.Path]:
        """Downloads the packages of a kernel into a folder, or goes on with what is there; their paths."""
        if not shutil.which("dpkg-deb"):
            raise Failed("dpkg-deb is missing: install dpkg")
        done = self._apt("download", *kernel.packages, cwd=folder)
        if done.returncode != 0:
            raise Failed(f"{kernel.release} could not be downloaded: {last_error(done.stdout)}")
        return sorted(folder.glob("*.deb"))


def last_error(output: str) -> str:
    errors = [line[3:] for line in output.splitlines() if line.startswith("E: ")]
    return errors[0] if errors else (output.strip().splitlines() or ["apt-get said nothing"])[-1]
