#!/usr/bin/env python3
"""Prints the software bill of materials of one Debian package of Fairlead: SPDX 2.3 as JSON.

    tools/sbom.py fairctl_0.2.0_amd64.deb TREE

It lists the Debian packages whose shared libraries the programs load, and those whose headers are compiled into them
(header-only libraries, inline functions), with version and licences. TREE: the tree that the package was built in. The
loaded libraries come from the programs themselves. The package must depend on each of them, and ldd must find the same
ones; else this fails.
"""
import functools
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import urllib.parse

# Names of debian/copyright that SPDX spells in another way.
SPDX_NAMES = {"Expat": "MIT", "BSD-2-clause": "BSD-2-Clause", "BSD-3-clause": "BSD-3-Clause",
              "GPL-2": "GPL-2.0-only", "GPL-2+": "GPL-2.0-or-later", "GPL-3": "GPL-3.0-only",
              "GPL-3+": "GPL-3.0-or-later", "LGPL-2": "LGPL-2.0-only", "LGPL-2+": "LGPL-2.0-or-later",
              "LGPL-2.1": "LGPL-2.1-only", "LGPL-2.1+": "LGPL-2.1-or-later", "LGPL-3+": "LGPL-3.0-or-later"}
# Packages whose copyright file has no fields to read.
KNOWN = {**dict.fromkeys(["libc6", "libc6-dev"], "LGPL-2.1-or-later"),
         **dict.fromkeys(["libgcc-s1", "libstdc++6", "libstdc++-12-dev"], "GPL-3.0-or-later WITH GCC-exception-3.1")}
SAME_IN_SPDX = {"Apache-2.0", "BSL-1.0", "ISC", "Zlib", "MIT", "BSD-2-Clause", "BSD-3-Clause"}


class SbomError(Exception):
    pass


def output(*argv, **kwargs):
    return subprocess.run([str(word) for word in argv], check=True, capture_output=True, text=True,
                          env={**os.environ, "LC_ALL": "C.UTF-8"}, **kwargs).stdout


def fields(*argv):
    """Fields of a control file, without continuation lines."""
    return dict(line.split(": ", 1) for line in output(*argv).splitlines() if re.match(r"[\w-]+: ", line))


@functools.cache
def installed_files():
    """{path: package} of this host, from dpkg's lists. `dpkg-query -S` would take seconds for each path."""
    owner = {}
    for listing in pathlib.Path("/var/lib/dpkg/info").glob("*.list"):
        for path in listing.read_text(encoding="utf-8", errors="replace").splitlines():
            owner[path] = listing.stem.split(":")[0]
    return owner


def owners(paths):
    """The names of the Debian packages that the files belong to. /lib is a link to /usr/lib on a merged host."""
    names = set()
    for path in paths:
        real = os.path.realpath(path)
        known = [place for place in (path, real, real.removeprefix("/usr")) if place in installed_files()]
        if not known:
            raise SbomError(f"{path} belongs to no Debian package")
        names.add(installed_files()[known[0]])
    return names


def licences(package):
    """SPDX expression of the licences in the package's copyright file, and the file's own names."""
    if package in KNOWN:
        return KNOWN[package], ""
    path = pathlib.Path(f"/usr/share/doc/{package}/copyright")
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    found = sorted(set(re.findall(r"^License: *(\S.*)$", text, re.M))) if text.startswith("Format:") else []
    words = [SPDX_NAMES.get(name, name) for name in found]
    known = bool(words) and all(word in SAME_IN_SPDX or word in SPDX_NAMES.values() for word in words)
    return " AND ".join(dict.fromkeys(words)) if known else "NOASSERTION", "; ".join(found)


def programs(folder):
    return [path for path in sorted(folder.rglob("*"))
            if path.is_file() and not path.is_symlink() and path.read_bytes()[:4] == b"\x7fELF"]


def loaded_libraries(program):
    """The paths of the libraries that the program itself names, as ldd finds them."""
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", output("readelf", "-d", program))
    found = dict(re.findall(r"^\s*(\S+) => (\S+) \(", output("ldd", program), re.M))
    missing = [name for name in needed if name not in found and not name.startswith("ld-linux")]
    if missing:
        raise SbomError(f"ldd does not find {', '.join(missing)} of {program.name}")
    return [found[name] for name in needed if name in found]


def compiled_headers(tree, program):
    """The system headers that the objects of a program include, as ninja recorded them."""
    build = next(tree.glob("obj-*"))
    target = next((str(path.relative_to(build)) for path in build.rglob(program.name)
                   if path.is_file() and path.read_bytes()[:4] == b"\x7fELF"), None)
    if target is None:
        raise SbomError(f"{build} has no program {program.name}")
    # A precompiled header has its own list.
    objects = [name for name in output("ninja", "-C", build, "-t", "inputs", target).splitlines()
               if name.endswith((".o", ".gch", ".pch"))]
    recorded = output("ninja", "-C", build, "-t", "deps", *objects)
    return sorted(set(re.findall(r"^\s+(/usr/include/\S+)$", recorded, re.M)))


def spdx_package(name):
    version = output("dpkg-query", "-W", "-f", "${Version}", name)
    declared, debian = licences(name)
    row = {"SPDXID": "SPDXRef-" + re.sub(r"[^A-Za-z0-9.-]", "-", name), "name": name, "versionInfo": version,
           "downloadLocation": "NOASSERTION", "filesAnalyzed": False, "licenseConcluded": "NOASSERTION",
           "licenseDeclared": declared, "copyrightText": "NOASSERTION", "supplier": "Organization: Debian",
           "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
                             "referenceLocator": f"pkg:deb/debian/{urllib.parse.quote(name)}@{urllib.parse.quote(version)}"}]}
    if debian and declared == "NOASSERTION":
        row["licenseComments"] = f"debian/copyright: {debian}"
    return row


def provided_by(name):
    """The virtual packages that a package stands for: spdlog's name contains the ABI of fmt."""
    return {word.split()[0] for word in output("dpkg-query", "-W", "-f", "${Provides}", name).split(",") if word.strip()}


def document(deb, tree):
    control = fields("dpkg-deb", "-f", deb)
    depends = {word.split()[0].split(":")[0] for word in re.split(r"[,|]", control.get("Depends", "")) if word.strip()}
    loaded, compiled = set(), set()
    with tempfile.TemporaryDirectory() as folder:
        output("dpkg-deb", "-x", deb, folder)
        for program in programs(pathlib.Path(folder)):
            loaded |= owners(loaded_libraries(program))
            compiled |= owners(compiled_headers(tree, program))
    undeclared = sorted(name for name in loaded if not depends & {name, *provided_by(name)})
    if undeclared:
        raise SbomError(f"{deb.name} loads libraries of {', '.join(undeclared)}, but does not depend on them")
    own = {"SPDXID": "SPDXRef-Package", "name": control["Package"], "versionInfo": control["Version"],
           "downloadLocation": "NOASSERTION", "filesAnalyzed": False, "licenseConcluded": "NOASSERTION",
           "licenseDeclared": "Apache-2.0", "copyrightText": "NOASSERTION", "packageFileName": deb.name,
           "checksums": [{"algorithm": "SHA256", "checksumValue": hashlib.sha256(deb.read_bytes()).hexdigest()}]}
    if control["Package"] == "fairlead-agent":
        own["licenseDeclared"] = "Apache-2.0 AND (Apache-2.0 OR GPL-2.0-only)"
    others = [spdx_package(name) for name in sorted(loaded | compiled)]
    relations = [("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-Package")]
    for row in others:
        kind = "DYNAMIC_LINK" if row["name"] in loaded else "STATIC_LINK"
        relations.append(("SPDXRef-Package", kind, row["SPDXID"]))
    made = int(output("dpkg-parsechangelog", "-l", tree / "debian/changelog", "-S", "Timestamp"))
    return {"spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": deb.name,
            "documentNamespace": f"https://spdx.org/spdxdocs/{deb.name}-{own['checksums'][0]['checksumValue'][:16]}",
            "creationInfo": {"created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(made)),
                             "creators": ["Tool: fairlead tools/sbom.py"]},
            "packages": [own, *others],
            "relationships": [{"spdxElementId": source, "relationshipType": kind, "relatedSpdxElement": target}
                              for source, kind, target in relations]}


def main():
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        print(json.dumps(document(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])), indent=1))
    except (SbomError, subprocess.CalledProcessError) as error:
        print(f"sbom.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
