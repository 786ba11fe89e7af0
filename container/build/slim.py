"""Make the image's file system from what serving needs, and from nothing else.

Runs inside the build stage: removes from the serving environment what the server never opens,
then copies the Python it runs on and every shared library that is linked to into a new root.
What a vulnerability scanner reads (os-release, one record for each Debian package of which a
file was taken) comes along. Usage: slim.py ENVIRONMENT JAVA REQUIREMENTS ROOT FRAMEWORK...
"""

from __future__ import annotations

import compileall
import os
import py_compile
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatch
from importlib import metadata
from pathlib import Path

import sections

# Lines of a framework's requirements: a pattern of what it never opens, perhaps from a Python on; a
# package that stays whole beside others, which may use less of it; a library and its section that
# is never read
UNUSED, WHOLE, UNREAD = "# unused: ", "# whole: ", "# unread: "
_FROM = re.compile(r'\s*;\s*python_version\s*>=\s*"3\.(\d+)"\s*$')
_NAME = re.compile(r"[A-Za-z0-9._-]+")
# What of a package nobody imports, whoever uses it
_NOBODYS = ("tests", "test", "*.pyi")
PACKAGES = (
    "future*",
    "libfuturize*",
    "libpasteurize*",
    "past*",
    "model_archiver*",
    "setuptools*",
    "pkg_resources*",
    "_distutils_hack*",
    "distutils-precedence.pth",
    "numpy/f2py/tests",  # scipy imports all that numpy has
    "numpy/distutils",
    "numpy/*/tests",
    "numpy/tests",
    "numpy/typing/tests",
    "numpy/*core/include",
    "numpy/*core/lib",
    "numpy/random/lib",
    "numpy/random/_examples",
    "numpy/**/*.pyi",
    "numpy/*core/_[!m]*tests*.so",
    "numpy/*core/*_simd*.so",
    # of Pillow's plugins the handler imports five, and none of these
    "PIL/_avif*",
    "PIL/_imagingft*",
    "PIL/_imagingtk*",
    "PIL/_imagingcms*",
    "PIL/*.pyi",
    "mms/tests",
    "psutil/tests",
    "**/__pycache__",
)
JAVA = (  # java.desktop is there for its beans alone
    "lib/libawt*",
    "lib/libfontmanager*",
    "lib/libfreetype*",
    "lib/libjavajpeg*",
    "lib/libjawt*",
    "lib/libjsound*",
    "lib/liblcms*",
    "lib/libmlib_image*",
    "lib/libsplashscreen*",
    "lib/psfont*",
    "lib/jexec",
    "bin/[!j]*",
    "legal",
)
LIBRARY = (  # of Python's own
    "test",
    "idlelib",
    "tkinter",
    "turtledemo",
    "turtle.py",
    "ensurepip",
    "lib2to3",
    "pydoc_data",
    "site-packages",
    "dist-packages",
    "sitecustomize.py",
    "config-*",
    "**/__pycache__",
    "**/tests",
    "lib-dynload/_test*",
    "lib-dynload/_tkinter*",
    "lib-dynload/_curses*",
    "lib-dynload/_dbm*",
    "lib-dynload/_gdbm*",
    "lib-dynload/_sqlite3*",
    "lib-dynload/readline*",
    "lib-dynload/nis*",
    "lib-dynload/*xxlimited*",
)
SYSTEM = ("/etc/os-release", "/etc/debian_version", "/usr/lib/locale/C.utf8")
FILES = {
    "etc/passwd": "root:x:0:0:root:/home/serving:/none\nserving:x:1000:1000::/home/serving:/none\n",
    "etc/group": "root:x:0:\nserving:x:1000:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}


def remove(folder: Path, patterns: Iterable[str]) -> None:
    """Remove what the patterns name below `folder`."""
    for pattern in patterns:
        for path in list(folder.glob(pattern)):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.exists() or path.is_symlink():
                path.unlink()


def unused(requirements: Iterable[str], minor: int = sys.version_info[1]) -> list[str]:
    """Read the patterns that the requirements of frameworks, as texts, name for Python 3.`minor`.

    What another one of them needs stays: a package, and what is below it unless that one has the
    same pattern.
    """
    files = [text.splitlines() for text in requirements]
    own = [list(patterns(lines, minor)) for lines in files]
    found = []
    for index, mine in enumerate(own):
        others = [i for i in range(len(files)) if i != index]
        found += [one for one in mine if not any(needs(files[i], own[i], one) for i in others)]
    return list(dict.fromkeys(found))


def patterns(lines: Iterable[str], minor: int) -> Iterator[str]:
    """What a framework says that it never opens, for that Python."""
    for line in lines:
        if line.startswith(UNUSED):
            condition = _FROM.search(line)
            if condition is None or int(condition[1]) <= minor:
                yield _FROM.sub("", line[len(UNUSED) :])


def needs(lines: Sequence[str], never: Sequence[str], pattern: str) -> bool:
    """Whether a framework may open what the pattern names; `never` are its own patterns."""
    package, _, below = pattern.partition("/")
    if pattern in never or below.rpartition("/")[2] in _NOBODYS:
        return False
    opened = [name for name in packages(lines) if not any(fnmatch(name, one) for one in never)]
    return any(fnmatch(name, package) for name in opened)


def packages(lines: Iterable[str]) -> list[str]:
    """The packages of a file of requirements, or that it wants whole, as their folders are called.

    xgboost-cpu has the folder of xgboost.
    """
    named = (line[len(WHOLE) :] if line.startswith(WHOLE) else line for line in lines)
    found = (_NAME.match(line.strip()) for line in named)
    folders = [one[0].lower().replace("-", "_").replace(".", "_") for one in found if one]
    return [name[:-4] if name.endswith("_cpu") else name for name in folders]


def with_theirs(names: Iterable[str], site: Path) -> str:
    """Packages and all that they need of what is installed, as a file of requirements."""
    held = {
        packages([one.metadata["Name"]])[0]: one for one in metadata.distributions(path=[str(site)])
    }
    found: set[str] = set()
    waiting = packages(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            wanted = held[name].requires or () if name in held else ()
            waiting += packages(one for one in wanted if "extra ==" not in one)
    return "\n".join(sorted(found))


def shorten(site: Path, requirements: Iterable[str]) -> None:
    """Take the sections that are never read out of libraries, as the requirements name them."""
    lines = [line for text in requirements for line in text.splitlines()]
    for line in lines:
        if line.startswith(UNREAD):
            pattern, section = line[len(UNREAD) :].split()
            for path in site.glob(pattern):
                less = sections.remove(path, section)
                sys.stdout.write(f"{path.name}: {section}: {less / 1e6:.0f} MB less\n")


def elf_files(folders: Iterable[Path]) -> Iterator[Path]:
    """Find programs and shared libraries."""
    for folder in folders:
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink():
                with path.open("rb") as file:
                    if file.read(4) == b"\x7fELF":
                        yield path


def linked(path: Path, shipped: frozenset[str]) -> set[Path]:
    """List the libraries that a program is linked to, those they are linked to included.

    What ldd does not find must at least be among the `shipped` names: libraries of a package
    (Java's, a wheel's) are often found only because another one loaded them before.
    """
    done = subprocess.run(["ldd", str(path)], capture_output=True, text=True, check=False)
    found = set()
    for line in done.stdout.splitlines():
        if "not found" in line and line.split()[0] not in shipped:
            raise SystemExit(f"{path}: {line.strip()}")
        words = [word for word in line.split() if word.startswith("/")]
        if words:
            found.add(Path(words[0]))
    return found


def unpack_libraries(packages: Path, target: Path) -> None:
    """Unpack the libraries of the server's jars, which it unpacks when it starts, into `target`."""
    for jar in sorted(packages.glob("mms/frontend/*.jar")):
        with zipfile.ZipFile(jar) as archive:
            for name in archive.namelist():
                if name.endswith(".so"):
                    (target / Path(name).name).write_bytes(archive.read(name))


def names(folders: Iterable[Path]) -> frozenset[str]:
    """List the names of all files below the folders."""
    return frozenset(path.name for folder in folders for path in folder.rglob("*"))


def place(path: Path, root: Path) -> Path:
    """Copy a file to the same place below `root`, with its folder's links resolved."""
    real = Path(os.path.realpath(path.parent), path.name)
    target = root / real.relative_to("/")
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)
    return real


def unused_libraries(packages: Path) -> None:
    """Remove the libraries of Pillow and numpy that nothing is linked to any more."""
    shipped = names([packages])
    users = [path for path in elf_files([packages]) if path.parent.suffix != ".libs"]
    needed = {library.resolve() for path in users for library in linked(path, shipped)}
    for folder in packages.glob("*.libs"):
        for path in list(folder.iterdir()):
            if path.resolve() not in needed:
                path.unlink()


def python(environment: Path, root: Path) -> list[Path]:
    """Copy the interpreter and its library; returns the files as they were named."""
    program = Path(os.path.realpath(environment / "bin" / "python"))
    taken = [place(program, root)]
    for name in ("python3", "python"):
        link = root / program.relative_to("/").with_name(name)
        link.symlink_to(program.name)
    library = Path(sysconfig.get_path("stdlib"))
    target = root / library.relative_to("/")
    shutil.copytree(library, target, symlinks=False, ignore_dangling_symlinks=True)
    remove(target, LIBRARY)
    compile_below(target, root)
    return [*taken, *(Path("/", p.relative_to(root)) for p in target.rglob("*.py"))]


def shell(root: Path) -> list[Path]:
    """Copy the shell that is started for each model (serving/server/launches.py)."""
    link = Path(os.path.realpath("/bin"), "sh")
    program = Path(os.path.realpath(link))
    if not program.exists():
        return []
    taken = place(program, root)
    target = root / link.relative_to("/")
    if not target.exists():
        target.symlink_to(program)
    return [taken]


def compile_below(folder: Path, root: Path) -> None:
    """Compile Python files; the result holds for them whatever their time stamps are."""
    compileall.compile_dir(
        folder,
        quiet=1,
        stripdir=str(root),
        prependdir="/",
        workers=0,
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )


def record_packages(files: Iterable[Path], root: Path) -> None:
    """Write dpkg's record of every package of which something was taken, as distroless does."""
    if not shutil.which("dpkg"):
        return
    paths = sorted({n for f in files for n in (str(f), str(f).replace("/usr/", "/", 1))})
    owners: set[str] = set()
    for start in range(0, len(paths), 500):
        command = ["dpkg", "-S", *paths[start : start + 500]]
        said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        owners.update(line.split(": ")[0].split(", ")[0] for line in said.splitlines())
    folder = root / "var/lib/dpkg/status.d"
    folder.mkdir(parents=True)
    for owner in sorted(owners - {""}):
        if owner.startswith("diversion "):
            continue
        record = subprocess.run(["dpkg", "-s", owner], capture_output=True, text=True, check=True)
        (folder / owner.split(":")[0]).write_text(record.stdout)


def kept_out(more: str) -> list[str]:
    """What of the environment is never opened; packages of a user's may open more."""
    return [one for one in PACKAGES if not more or "/" in one]


def main(
    environment: Path, java: Path, requirements: Path, root: Path, frameworks: Sequence[str]
) -> None:
    """Fill `root`; the environment and Java stay where they are, made smaller."""
    more = os.environ.get("REQUIREMENTS", "").replace("|", "\n")
    root.mkdir(parents=True)
    for name in ("bin", "sbin", "lib", "lib64"):
        if Path("/", name).is_symlink():
            (root / name).symlink_to(Path("/", name).readlink())
            (root / "usr" / name).mkdir(parents=True, exist_ok=True)
    chosen = [(requirements / f"{name}.txt").read_text("utf-8") for name in frameworks]
    (site,) = environment.glob("lib/python3*/site-packages")
    remove(site, [*kept_out(more), *unused([*chosen, with_theirs(more.splitlines(), site)])])
    shorten(site, chosen)
    remove(java, JAVA)
    unused_libraries(site)
    compile_below(site, Path("/nowhere"))
    taken = python(environment, root)
    taken += shell(root)
    shipped = names([environment, java])
    packed = Path(tempfile.mkdtemp())
    unpack_libraries(site, packed)
    for path in list(elf_files([environment, java, root, packed])):
        inside = path.is_relative_to(root)
        for library in linked(Path("/", path.relative_to(root)) if inside else path, shipped):
            if not library.is_relative_to(environment) and not library.is_relative_to(java):
                taken.append(place(library, root))
    for name in SYSTEM:
        if Path(name).is_dir():
            shutil.copytree(name, root / name[1:])
        elif Path(name).exists():
            place(Path(name), root)
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)
    home = root / "home" / "serving"
    home.mkdir(parents=True)
    home.chmod(0o1777)  # whoever runs it
    folders = sorted({str(path.parent) for path in taken if ".so" in path.name})
    (root / "etc/ld.so.conf").write_text("".join(f"{folder}\n" for folder in folders))
    subprocess.run(["ldconfig", "-r", str(root)], check=True)
    record_packages(taken, root)


if __name__ == "__main__":
    environment, java, requirements, root = map(Path, sys.argv[1:5])
    main(environment, java, requirements, root, sys.argv[5:])
