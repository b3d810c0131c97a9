from __future__ import annotations

import unittest

from kernel import archive, store

# Recorded from Debian's indexes in November 2026; fields that nobody reads are left out, and suites joined.
BULLSEYE_SECURITY = """\
Package: linux-image-5.10.0-45-cloud-amd64-unsigned
Source: linux
Version: 5.10.259-1
Architecture: amd64
Depends: kmod, linux-base (>= 4.3~), initramfs-tools (>= 0.120+deb8u2) | linux-initramfs-tool
Size: 21487132

Package: linux-image-5.10.0-45-cloud-amd64
Source: linux-signed-amd64 (5.10.259+1)
Version: 5.10.259-1
Architecture: amd64
Size: 21498420

Package: linux-image-5.10.0-46-cloud-amd64
Source: linux-signed-amd64 (5.10.262+1)
Version: 5.10.262-1
Architecture: amd64
Size: 21521796

Package: linux-image-5.10.0-46-cloud-amd64-dbg
Source: linux
Version: 5.10.262-1
Size: 262316428

Package: linux-image-cloud-amd64
Source: linux-signed-amd64 (5.10.262+1)
Version: 5.10.262-1
Size: 1492
"""
BACKPORTS = """\
Package: linux-binary-unsigned-7.3.4+deb13-cloud-amd64
Source: linux
Version: 7.3.4-1~bpo13+1
Size: 13605000

Package: linux-base-7.3.4+deb13-cloud-amd64
Source: linux
Version: 7.3.4-1~bpo13+1
Size: 1025208

Package: linux-modules-7.3.4+deb13-cloud-amd64
Source: linux
Version: 7.3.4-1~bpo13+1
Size: 22918420

Package: linux-binary-7.3.4+deb13-cloud-amd64
Source: linux-signed-amd64 (7.3.4+1~bpo13+1)
Version: 7.3.4-1~bpo13+1
Size: 13604064

Package: linux-image-7.3.4+deb13-cloud-amd64
Source: linux-signed-amd64 (7.3.4+1~bpo13+1)
Version: 7.3.4-1~bpo13+1
Size: 1916

Package: linux-image-6.12.94+deb12-cloud-amd64
Version: 6.12.94-1~bpo12+1
Size: 33926448

Package: linux-image-6.16.3+deb13-cloud-amd64
Version: 6.16.3-1~bpo13+1
Size: 51151824

Package: linux-modules-cloud-amd64
Version: 7.3.4-1~bpo13+1
Size: 1708
"""


def recorded() -> list[archive.Kernel]:
    return archive.kernels_in({"bullseye-security": BULLSEYE_SECURITY, "trixie-backports": BACKPORTS})


class Index(unittest.TestCase):
    def test_the_kernels_are_found_in_order_of_their_versions_not_of_their_names(self) -> None:
        self.assertEqual(
            [(kernel.version, kernel.release) for kernel in recorded()],
            [
                ("5.10.259", "5.10.0-45-cloud-amd64"),
                ("5.10.262", "5.10.0-46-cloud-amd64"),
                ("6.12.94", "6.12.94+deb12-cloud-amd64"),
                ("6.16.3", "6.16.3+deb13-cloud-amd64"),
                ("7.3.4", "7.3.4+deb13-cloud-amd64"),
            ],
        )

    def test_debug_unsigned_and_meta_packages_are_not_kernels(self) -> None:
        releases = [kernel.release for kernel in recorded()]
        self.assertEqual(
            [name for name in releases if "dbg" in name or "unsigned" in name or name[0] not in "567"], []
        )

    def test_a_kernel_in_several_packages_has_them_all_at_one_version(self) -> None:
        newest = recorded()[-1]
        self.assertEqual(
            [package.partition("=")[0][6:12] for package in newest.packages],
            ["base-7", "binary", "image-", "module"],
        )
        self.assertEqual({package.partition("=")[2] for package in newest.packages}, {"7.3.4-1~bpo13+1"})
        self.assertEqual(newest.size, 1025208 + 22918420 + 13604064 + 1916)

    def test_a_kernel_whose_modules_have_left_the_archive_says_so(self) -> None:
        torn = BACKPORTS.replace("linux-modules-7.3.4", "linux-else-7.3.4")
        self.assertFalse(archive.kernels_in({"sid": torn})[-1].has_modules)
        self.assertEqual([kernel.has_modules for kernel in recorded()], [True] * 5)

    def test_of_a_release_in_two_suites_the_newer_version_is_taken(self) -> None:
        older = BULLSEYE_SECURITY.replace("5.10.262-1", "5.10.260-1")
        for indexes in ([older, BULLSEYE_SECURITY], [BULLSEYE_SECURITY, older]):
            kernels = archive.kernels_in({str(n): text for n, text in enumerate(indexes)})
            self.assertEqual(kernels[-1].packages, ("linux-image-5.10.0-46-cloud-amd64=5.10.262-1",))

    def test_an_image_package_without_its_binary_is_not_offered(self) -> None:
        torn = BACKPORTS.replace("linux-binary-7.3.4", "linux-else-7.3.4")
        self.assertEqual(archive.kernels_in({"sid": torn})[-1].version, "6.16.3")


class Names(unittest.TestCase):
    def names(self, word: str) -> list[str]:
        return [kernel.version for kernel in store.choose(word, recorded())]

    def test_a_word_names_the_kernel_that_a_person_means(self) -> None:
        for word, version in (
            ("5.10", "5.10.262"),
            ("5.10.259", "5.10.259"),
            ("5.10.0-45", "5.10.259"),
            ("6.12.94+deb12-cloud-amd64", "6.12.94"),
            ("oldest", "5.10.262"),
            ("newest", "7.3.4"),
        ):
            self.assertEqual(self.names(word), [version], word)
        self.assertEqual(self.names("all"), ["5.10.262", "6.12.94", "6.16.3", "7.3.4"])

    def test_a_prefix_of_a_number_names_nothing(self) -> None:
        for word in ("6.1", "5.1", "5", "", "6.12.9", "5.10.0-4"):
            self.assertEqual(self.names(word), [], word)

    def test_the_nearest_are_told_where_there_is_none(self) -> None:
        for word, hint in (
            ("6.14", "6.12 and 6.16"),
            ("5.4", "is 5.10"),
            ("8.0", "is 7.3"),
            ("5.10.260", "5.10.259 and 5.10.262"),
            ("newset", "did you mean newest?"),
        ):
            self.assertIn(hint, store.nearest(word, recorded()))


class Mirrors(unittest.TestCase):
    def test_the_systems_mirrors_are_recognised(self) -> None:
        listing = (
            "bookworm http://mirror.example/debian/\nbookworm-updates http://mirror.example/debian/\n"
            "bookworm-security http://mirror.example/debian-security/\nnodistro https://other.example/x\n"
        )
        self.assertEqual(
            archive.system_mirrors(listing),
            ("http://mirror.example/debian/", "http://mirror.example/debian-security/"),
        )

    def test_another_distribution_has_none(self) -> None:
        listing = "noble http://archive.example/ubuntu/\nnoble-security http://security.example/ubuntu/\n"
        self.assertEqual(archive.system_mirrors(listing)[0], None)
