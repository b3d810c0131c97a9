"""What tools/kernels, kernel-run, kernel-matrix and kernel-bisect have in common; one concern a module.

    common       errors, folders, versions, progress
    archive      which kernels the distribution has, and downloading them, through apt
    store        the kernels on this machine: unpacking packages, finding one by what the user calls it
    modules      what a module needs, and the order of loading
    cpio         the archive that a kernel unpacks as its first filesystem
    disk         images with a filesystem
    programs     the program and the init of the guests, built statically
    guest        one run of one guest in QEMU, and what came of it
    accelerator  KVM or emulation: decided by trying
    matrix       kernel × filesystem × mode
    bisection    the first bad one of an ordered list
"""
