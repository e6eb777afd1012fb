"""Writes the software bill of materials (CycloneDX 1.6, JSON) of the product into a folder.

It names what runs: the packages of requirements.lock, those that the pages are made of, Debian's
packages in the private Asterisk, and those of this machine that scripts/setup installs, with all
that they depend on. Needs scripts/setup once.
"""

import json
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from cyclonedx.model import Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from callcenter.telephony.asterisk.config import private_tree
from tests.licences import locked_npm, python_packages

ROOT = Path(__file__).parents[1]
TREE = ROOT / "var" / "asterisk-tree"
#: Packages in the tree whose files scripts/setup changes: docs/decisions/0028, 0079 and 0087.
PATCHED = ("asterisk", "asterisk-modules")
TREE_RELEASE = "forky"  #: of Debian; as in scripts/setup

Installed = Mapping[str, Mapping[str, str]]  #: fields of packages of Debian, by name


def bill(tree: Path, installed: Installed) -> Bom:
    """The bill of this clone, with the private Asterisk in `tree` and this machine's packages."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    product = _component("generic", project["name"], project["version"], project["license"])
    product.type = ComponentType.APPLICATION
    bom = Bom()
    bom.metadata.component = product
    bom.metadata.timestamp = datetime.now(UTC)
    bom.components.update(_of_python(), _of_npm(), _of_tree(tree), _of_machine(installed))
    bom.register_dependency(product, bom.components)
    return bom


def read_installed(status: Path = Path("/var/lib/dpkg/status")) -> Installed:
    """The packages that are installed on this machine, by dpkg; none where there is no dpkg."""
    if not status.exists():
        return {}
    found = {}
    for paragraph in status.read_text(encoding="utf-8").split("\n\n"):
        fields = dict(re.findall(r"^([A-Za-z-]+): (.*)$", paragraph, re.MULTILINE))
        if fields.get("Status") == "install ok installed":
            found[fields["Package"]] = fields
    return found


def programs() -> list[str]:
    """The packages of Debian that scripts/setup installs on a machine that runs the product."""
    setup = (ROOT / "scripts" / "setup").read_text(encoding="utf-8")
    (pairs,) = re.findall(r"^PROGRAMS=\((.*)\)$", setup, re.MULTILINE)
    return ["python3", *(pair.partition(":")[2] for pair in pairs.split())]


def with_dependencies(names: list[str], installed: Installed) -> list[str]:
    """These packages and all that they depend on, as far as they are installed."""
    providers = {
        virtual.split()[0]: name
        for name, fields in installed.items()
        for virtual in fields.get("Provides", "").split(", ")
        if virtual
    }
    found: set[str] = set()
    open_names = [*names]
    while open_names:
        name = open_names.pop()
        name = name if name in installed else providers.get(name, name)
        if name in found or name not in installed:
            continue
        found.add(name)
        for field in ("Depends", "Pre-Depends"):
            alternatives = re.split(r"[,|]", installed[name].get(field, ""))
            open_names += [each.split()[0].partition(":")[0] for each in alternatives if each]
    return sorted(found)


def _of_python() -> Iterator[Component]:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    licences = python_packages()
    for name, version in re.findall(r"^([a-z0-9-]+)==(\S+)", lock, re.MULTILINE):
        yield _component("pypi", name, version, licences[name])


def _of_npm() -> Iterator[Component]:
    for name, package in locked_npm().items():
        if "dev" not in package:  # it builds or tests them
            yield _component("npm", name, package["version"], package["license"])


def _of_tree(tree: Path) -> Iterator[Component]:
    if not tree.exists():
        return
    for name, version in private_tree.packages(tree).items():
        component = _component("deb", name, version, release=TREE_RELEASE)
        component.properties.add(Property(name="callcenter:place", value="private Asterisk"))
        if name in PATCHED:
            component.properties.add(Property(name="callcenter:patched", value="yes"))
        yield component


def _of_machine(installed: Installed) -> Iterator[Component]:
    for name in with_dependencies(programs(), installed):
        fields = installed[name]
        component = _component("deb", name, fields["Version"], release=_release())
        component.properties.add(Property(name="callcenter:place", value="machine"))
        yield component


def _release() -> str | None:
    """The release of this machine's Debian, by its name."""
    about = Path("/etc/os-release").read_text(encoding="utf-8")
    found = re.search(r"^VERSION_CODENAME=(\S+)$", about, re.MULTILINE)
    return found[1] if found else None


def _component(
    kind: str, name: str, version: str, licence: str | None = None, release: str | None = None
) -> Component:
    group, _, own_name = name.rpartition("/")
    namespace = "debian" if kind == "deb" else group or None
    url = PackageURL(kind, namespace, own_name, version, {"distro": release} if release else None)
    return Component(
        type=ComponentType.LIBRARY,
        group=group or None,
        name=own_name,
        version=version,
        purl=url,
        bom_ref=f"{url}{'#tree' if release == TREE_RELEASE else ''}",
        licenses=[LicenseExpression(licence)] if licence else None,
    )


def main() -> None:
    installed = read_installed()
    bom = bill(TREE, installed)
    missing = [name for name in programs() if name not in installed]
    if not TREE.exists():
        missing.append("the private Asterisk")
    if missing:
        print(f"left out, for they are not here: {', '.join(missing)}", file=sys.stderr)  # noqa: T201
    product = bom.metadata.component
    assert product is not None
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "dist"
    file = folder / f"{product.name}-{product.version}.cdx.json"
    file.parent.mkdir(exist_ok=True)
    JsonV1Dot6(bom).output_to_file(str(file), allow_overwrite=True, indent=2)
    print(f"{file}: {len(json.loads(file.read_text())['components'])} components")  # noqa: T201


if __name__ == "__main__":
    main()
